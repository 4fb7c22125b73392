"""What the stages of the live graph say of a data set's sequence, as predictions."""

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path

from dualpose_ros.arrays import RgbImage
from dualpose_ros.datasets.predictions import FoundPeople
from dualpose_ros.datasets.published.truth import DatasetError, TruthFrame, TruthSequence
from dualpose_ros.lab.evaluation.branches import Branches, LiveStages
from dualpose_ros.paths import user_path, version
from dualpose_ros.sources.frames import open_source
from dualpose_ros.sources.pictures import IntensityRange, read_picture
from dualpose_ros.weights import networks_digest, sha256_of


@cache
def _branches(top_down: str) -> Branches:
    return Branches(top_down)


def system_of(stage: str, top_down: str) -> str:
    """What the live stages are called in predictions: version, stage and networks, by their files' sha256."""
    text = f"dualpose_ros {version()}, {stage}, networks {networks_digest()}"
    if top_down == "top_down":
        return text
    kind, colon, path = top_down.partition(":")
    file = user_path(path if colon else kind)
    return f"{text}, {kind if colon else file.name} {sha256_of(file)[:12] if file.is_file() else 'missing'}"


def shots_of(frames: Iterable[TruthFrame]) -> list[list[TruthFrame]]:
    """Frames by what the stages see as one video: a frame that isn't later than the one before begins another.

    Pictures that don't belong together have stamps that are alike, and are one each.
    """
    shots: list[list[TruthFrame]] = []
    for frame in frames:
        if not shots or frame.stamp_s <= shots[-1][-1].stamp_s:
            shots.append([])
        shots[-1].append(frame)
    return shots


def picture_of(sequence: TruthSequence, frame: TruthFrame) -> str:
    """Which file a frame is in, by its name and size, to tell it from another one."""
    file: Path | None = frame.picture if frame.picture is not None else sequence.video
    if file is None or not file.is_file():
        return "no file"
    return f"{file.name} of {file.stat().st_size} bytes"


def predict(
    sequence: TruthSequence, shots: Iterable[Sequence[TruthFrame]], stage: str, top_down: str
) -> Iterator[tuple[TruthFrame, FoundPeople]]:
    """The people that a stage finds in every frame of shots, its picture size and camera as the data set says.

    sequence, shots: of the data set, see `shots_of`; stage: whose people; top_down: the network on patches, as
    `top_down.weights` names it.
    DatasetError for pictures that are missing, unreadable or not of the camera.
    """
    stages, video = LiveStages(_branches(top_down)), _Video(sequence)
    for number, shot in enumerate(shots):
        if number:
            stages.restart()
        for frame, image in _pictures(sequence, video, shot):
            if frame.camera is None:
                raise DatasetError(f"{sequence.name}: frame {frame.index} has no camera, which the stages need")
            persons = stages.process(image, round(frame.stamp_s * 1e9), frame.camera, stage)[stage]
            yield (frame, FoundPeople(persons.track_ids, persons.scores, persons.joints_cam, persons.keypoints_px))


def _pictures(
    sequence: TruthSequence, video: "_Video", shot: Sequence[TruthFrame]
) -> Iterator[tuple[TruthFrame, RgbImage]]:
    intensities = IntensityRange()
    for frame in shot:
        image = video.at(frame.index) if frame.picture is None else read_picture(frame.picture, intensities)
        camera = frame.camera
        if camera is not None and image.shape[:2] != (camera.height, camera.width):
            raise DatasetError(
                f"frame {frame.index} of {sequence.name} is {image.shape[1]}x{image.shape[0]}, but its camera "
                f"{camera.width}x{camera.height}"
            )
        yield frame, image


class _Video:
    """The frames of a sequence's video, read in their order."""

    def __init__(self, sequence: TruthSequence) -> None:
        self._sequence, self._next = sequence, sequence.offset
        if sequence.video is not None and sequence.video.is_file():
            self._source = open_source(str(sequence.video))

    def at(self, index: int) -> RgbImage:
        """The picture of a frame; DatasetError if there is no video, or it is shorter."""
        if not hasattr(self, "_source"):
            raise DatasetError(f"{self._sequence.video} is not there, and {self._sequence.name} has no pictures")
        image = None
        while self._next <= index:
            image, self._next = self._source.read(), self._next + 1
            if image is None:
                break
        if image is None:
            raise DatasetError(f"{self._sequence.video} ends before frame {index}")
        return image
