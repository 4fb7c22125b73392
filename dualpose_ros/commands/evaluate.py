"""`dualpose eval`: how good the shipped weights are, through the same stages as the live nodes."""

from pathlib import Path
from typing import Annotated

import typer

from dualpose_ros.commands import options as opt
from dualpose_ros.errors import InputError

app = typer.Typer(help="Measure the shipped weights; tables in the terminal, JSON on demand.", no_args_is_help=True)


@app.command("photographs")
def photographs(
    context: typer.Context,
    root: Annotated[
        Path, typer.Option("--root", help="Folder with images/ and COCO annotations, person_keypoints.json.")
    ],
    weights: opt.TopDownWeightsOption = None,
    out: Annotated[Path | None, opt.folder_option("--out", "Folder for a picture of everyone, best first.")] = None,
    flip_test: Annotated[
        bool, typer.Option("--flip-test", help="Average with mirrored patches, however many people.")
    ] = False,
    json_file: opt.JsonOption = None,
) -> None:
    """2D joints on real photographs, given the people's boxes: object keypoint similarity (OKS).

    Scored are people with eight labelled keypoints or more, over the joints that COCO and this package share.
    """
    from dualpose_ros.lab.evaluation.photographs import evaluate_photographs

    opt.report(context, evaluate_photographs(root, weights, out, flip_test), json_file)


@app.command("video")
def video(
    context: typer.Context,
    root: Annotated[
        Path,
        typer.Option(
            "--root",
            help="Folder with a video (or images/), camera.yaml, and truth.npz or a .trc file for each person.",
        ),
    ],
    source: Annotated[str | None, typer.Option("--source", help="Another video or folder of images.")] = None,
    calibration: Annotated[Path | None, typer.Option("--calibration", help="Another calibration file.")] = None,
    truth: Annotated[list[Path] | None, typer.Option("--truth", help="Other truth files; may be repeated.")] = None,
    fps: opt.FpsOption = None,
    max_frames: opt.MaxFramesOption = None,
    weights: opt.TopDownWeightsOption = None,
    out: Annotated[Path | None, opt.folder_option("--out", "Folder for overlays and errors by joint.")] = None,
    json_file: opt.JsonOption = None,
) -> None:
    """A real video with 3D truth, through all stages: found, errors, depth, ids, jitter and ghosts, a row a stage.

    The form of the truth is in docs/evaluating-videos.md.
    """
    from dualpose_ros.lab.evaluation.video import evaluate_video, find_files

    files = find_files(root, source, calibration, truth or ())
    opt.report(context, evaluate_video(files, out, max_frames, weights or "top_down", fps), json_file)


@app.command("joints")
def joints(
    context: typer.Context,
    data: opt.FramesOption,
    weights: opt.TopDownWeightsOption = None,
    count: opt.CountOption = 400,
    save: Annotated[
        Path | None, opt.file_option("--save", "Write every error to this file (.npz), to train lifting with.")
    ] = None,
    json_file: opt.JsonOption = None,
    seed: opt.SeedOption = 0,
) -> None:
    """2D joints on labelled frames, given people's boxes with a detector's inaccuracy: found, and how far off.

    Errors are shares of the longer side of the person on the image.
    """
    from dualpose_ros.lab.evaluation.joints import evaluate_joints

    opt.report(context, evaluate_joints(data, weights, count, seed, save), json_file, seed)


@app.command("top-down")
def top_down(
    context: typer.Context,
    data: opt.CaptureOption,
    real_errors: Annotated[
        Path | None,
        typer.Option("--errors", help="2D errors on real pictures (`eval joints --save`), to lift with them too."),
    ] = None,
    part: opt.PartOption = 1.0,
    json_file: opt.JsonOption = None,
    seed: opt.SeedOption = 0,
) -> None:
    """The top-down branch: people in front of each other, tilted cameras, hidden joints, time, honesty, speed.

    Images are drawn for the purpose; movements are the fifth of the clips that no training sees.
    """
    opt.require_numba("eval top-down")
    from dualpose_ros.lab.evaluation.top_down.tables import NOISE_FRAMES, OVERLAPS, VIEWS, evaluate_top_down

    overlaps, noise_frames, views = (opt.share_of(whole, part) for whole in (OVERLAPS, NOISE_FRAMES, VIEWS))
    result = evaluate_top_down(data, seed, real_errors, overlaps, noise_frames, views)
    opt.report(context, result, json_file, seed)


@app.command("bottom-up")
def bottom_up(
    context: typer.Context,
    data: opt.CaptureOption,
    weights: Annotated[
        Path | None, typer.Option("--weights", help="Another bottom-up network (.onnx) than the shipped one.")
    ] = None,
    pictures: Annotated[
        Path | None,
        opt.folder_option("--pictures", "Folder for the first frames: found without heatmaps, with them, from above."),
    ] = None,
    part: opt.PartOption = 1.0,
    json_file: opt.JsonOption = None,
    seed: opt.SeedOption = 0,
) -> None:
    """The bottom-up branch: with and without the top-down heatmaps, missed boxes, any camera, round trip, speed.

    A person is found if an estimate's joints are theirs on the image: object keypoint similarity of 0.5 or more.
    PCK counts the joints of people who aren't found as wrong. Frames are drawn for the purpose, in a world
    that trained nothing; guidance comes from the true boxes of people in view, each side off by 4 % of the box.
    """
    opt.require_numba("eval bottom-up")
    from dualpose_ros.lab.evaluation.bottom_up.tables import FRAMES, SCENES, evaluate_bottom_up

    frames, scenes = (opt.share_of(whole, part) for whole in (FRAMES, SCENES))
    result = evaluate_bottom_up(data, seed, frames, scenes, weights, pictures)
    opt.report(context, result, json_file, seed)


@app.command("fusion")
def fusion(
    context: typer.Context,
    data: opt.CaptureOption,
    pictures: Annotated[
        Path | None,
        opt.folder_option("--pictures", "Folder for the first videos' last frames: both branches, fused, from above."),
    ] = None,
    ground: Annotated[
        bool, typer.Option("--ground", help="Refined people too, without and with the ground that videos stand on.")
    ] = False,
    json_file: opt.JsonOption = None,
    seed: opt.SeedOption = 0,
) -> None:
    """Fusion of the branches: the paper's Tables 3, 4 and 5, matching in crowds, a branch killed, speed.

    Videos are drawn for the purpose, in a world and of clips that trained nothing, and go through detector, tracker
    and both branches. PCK and AUC count the joints of people who aren't found as wrong.
    """
    opt.require_numba("eval fusion")
    from dualpose_ros.lab.evaluation.fusion.tables import evaluate_fusion

    opt.report(context, evaluate_fusion(data, seed, pictures=pictures, ground=ground), json_file, seed)


@app.command("scores")
def scores(
    context: typer.Context,
    data: opt.CaptureOption,
    root: Annotated[
        Path | None, typer.Option("--root", help="Photographs with COCO annotations; their validation split is used.")
    ] = None,
    incomplete: Annotated[
        list[str] | None, typer.Option("--incomplete", help="SOURCE whose pictures show people without any box.")
    ] = None,
    every_split: Annotated[
        bool, typer.Option("--every-split", help="All photographs, where none of them trained anything.")
    ] = False,
    out: Annotated[Path | None, opt.folder_option("--out", "Folder for the reliability diagram, scores.png.")] = None,
    sequences: Annotated[int, typer.Option("--sequences", min=0, help="Rendered videos; 0: --root alone.")] = 36,
    json_file: opt.JsonOption = None,
    seed: opt.SeedOption = 0,
) -> None:
    """Whether published scores are chances: stated ones beside shares of real people, thresholds, the best scale.

    A person is real who matches one of the truth on the image, each of whom counts once.
    """
    if root is None and (incomplete or every_split):
        raise InputError(f"{'--incomplete' if incomplete else '--every-split'} does nothing without --root")
    opt.require_numba("eval scores")
    from dualpose_ros.lab.evaluation.scores import evaluate_scores

    result = evaluate_scores(data, seed, root, incomplete or (), out, sequences, every_split)
    opt.report(context, result, json_file, seed)


@app.command("ground")
def ground(
    context: typer.Context, data: opt.CaptureOption, json_file: opt.JsonOption = None, seed: opt.SeedOption = 0
) -> None:
    """Place and height of people on a known ground, against none: what refinement makes of it.

    Videos are drawn for the purpose, of people of 1.1 to 2.05 m before cameras 0.3 to 3 m above the floor, some of
    which drive, in a world and of clips that trained nothing; they go through detector, both branches and fusion once,
    and through refinement with each ground: exact, off by as much as it says, off by 1 and 2 degrees and by 5 %.
    """
    opt.require_numba("eval ground")
    from dualpose_ros.lab.evaluation.ground.tables import evaluate_ground

    opt.report(context, evaluate_ground(data, seed), json_file, seed)


@app.command("ablation")
def ablation(
    context: typer.Context,
    data: opt.CaptureOption,
    table: Annotated[int, typer.Option("--table", min=3, max=12, help="Of the paper, 3 to 12.")] = 3,
    recordings: Annotated[
        Path | None,
        opt.folder_option("--recordings", "Folder that keeps what the branches found, to go on and to measure again."),
    ] = None,
    json_file: opt.JsonOption = None,
) -> None:
    """The paper's tables on the project's own fixed benchmark, dualpose-synth-v2, beside the paper's figures.

    Those are another data set's: only which row is better than which can be compared, and every inequality of the
    paper that does not hold here is named. Tables that need data from others say which files.
    """
    opt.require_numba("eval ablation")
    from dualpose_ros.lab.evaluation.ablation.tables import evaluate_ablation

    opt.report(context, evaluate_ablation(data, table, recordings), json_file)


@app.command("refinement")
def refinement(
    context: typer.Context,
    data: opt.CaptureOption,
    pictures: Annotated[
        Path | None, opt.folder_option("--pictures", "Folder for a wrist's depth over time in the first movements.")
    ] = None,
    part: opt.PartOption = 1.0,
    json_file: opt.JsonOption = None,
    seed: opt.SeedOption = 0,
) -> None:
    """Refinement: the paper's Tables 6 and 7, videos before and after, cost beside the published solver, honesty.

    Captured movements that trained nothing, seen by moving cameras, get errors that detector, branches and fusion were
    recorded to make in videos drawn for the purpose. Frames in which a person was lost are missing for all rows.
    Deviations are of a joint's worst direction, shares within them those of a Gaussian of three axes.
    """
    opt.require_numba("eval refinement")
    from dualpose_ros.lab.evaluation.refinement.tables import MOVEMENTS, VIDEOS, evaluate_refinement

    videos, movements = (opt.share_of(whole, part) for whole in (VIDEOS, MOVEMENTS))
    result = evaluate_refinement(data, seed, videos, movements, pictures=pictures)
    opt.report(context, result, json_file, seed)


@app.command("trajectory")
def trajectory(context: typer.Context, data: opt.CaptureOption, json_file: opt.JsonOption = None) -> None:
    """How well past frames foretell where captured movements go next: the paper's Table 7, at three rates."""
    from dualpose_ros.lab.evaluation.trajectory import evaluate_trajectory

    opt.report(context, evaluate_trajectory(data), json_file)


@app.command("detector")
def detector(
    context: typer.Context,
    data: Annotated[Path | None, typer.Option("--data", help="Folder that `dualpose synth frames` made.")] = None,
    root: Annotated[
        Path | None, typer.Option("--root", help="Photographs with COCO annotations, instead of rendered frames.")
    ] = None,
    spec: Annotated[
        str, typer.Option("--detector", help="`own`, `own:FILE.onnx`, `yolox:FILE.onnx` or `fasterrcnn`.")
    ] = "own",
    count: opt.CountOption = 400,
    pictures: Annotated[
        Path | None, opt.folder_option("--pictures", "Folder for pictures of what is found in photographs.")
    ] = None,
    json_file: opt.JsonOption = None,
    seed: opt.SeedOption = 0,
) -> None:
    """Person detection: average precision at IoU 0.5, recall and precision, recall where nine in ten are right.

    In photographs, crowds and people under 32 pixels are left out.
    """
    from dualpose_ros.lab.evaluation.detector import evaluate_detector, evaluate_detector_photographs

    if (data is None) == (root is None):
        raise InputError("`eval detector` takes either --data, rendered frames, or --root, photographs")
    if root is not None:
        opt.refuse(context, ("seed",), "with --root")
        opt.report(context, evaluate_detector_photographs(root, spec, count, pictures), json_file)
    elif data is not None:
        if pictures is not None:
            raise InputError("--pictures does nothing without --root")
        opt.report(context, evaluate_detector(data, spec, count, seed), json_file, seed)


def _dataset_command(name: str, what: str) -> None:
    def command(
        context: typer.Context,
        root: Annotated[Path, typer.Option("--root", help="The data set's folder, as its authors publish it.")],
        protocol: Annotated[
            str | None, typer.Option("--protocol", help="How to score it; see the page on data sets for the names.")
        ] = None,
        predictions: Annotated[
            Path | None,
            opt.folder_option(
                "--predictions",
                "Folder of stored predictions, a JSON file a sequence. What it lacks runs through the live stages, and "
                "is written there as they go: an interrupted run goes on.",
            ),
        ] = None,
        stored_only: Annotated[
            bool,
            typer.Option("--stored-only", help="Score what is stored, whosever it is; a missing file is an error."),
        ] = False,
        stage: Annotated[
            str, typer.Option("--stage", help="Whose people: top_down, bottom_up, fused or refined.")
        ] = "refined",
        sequence: Annotated[
            list[str] | None, typer.Option("--sequence", help="This sequence alone; may be repeated.")
        ] = None,
        max_frames: opt.MaxFramesOption = None,
        weights: opt.TopDownWeightsOption = None,
        out: Annotated[Path | None, opt.folder_option("--out", "Folder for a picture of the PCK curve.")] = None,
        json_file: opt.JsonOption = None,
    ) -> None:
        from dualpose_ros.lab.evaluation.protocols.run import DatasetOptions, evaluate_dataset

        if stored_only and predictions is None:
            raise InputError("--stored-only needs --predictions")
        if stored_only:
            opt.refuse(context, ("stage", "weights"), "with --stored-only")
        options = DatasetOptions(
            name,
            root,
            protocol,
            predictions,
            stored_only,
            stage,
            tuple(sequence or ()),
            max_frames,
            out,
            weights or "top_down",
        )
        opt.report(context, evaluate_dataset(options), json_file)

    command.__doc__ = f"{what}, under a named protocol that says what it assumes."
    app.command(name)(command)


for _name, _what in (
    ("mupots", "MuPoTS-3D: PCK, AUC and AP of roots"),
    ("muco", "MuCo-3DHP: PCK, AUC and AP of roots"),
    ("jta", "JTA: F1 of joints within 0.4, 0.8 and 1.2 m"),
    ("h36m", "Human3.6M: MPJPE and PA-MPJPE"),
    ("3dpw", "3DPW: PA-MPJPE of all people and of the most occluded"),
    ("panoptic", "CMU Panoptic: MPJPE, MPRE and tracks"),
    ("coco", "COCO: average precision of keypoints"),
    ("crowdpose", "CrowdPose: average precision of keypoints by crowding"),
):
    _dataset_command(_name, _what)
