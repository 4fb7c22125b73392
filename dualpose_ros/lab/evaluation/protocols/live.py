"""What the stages of the live graph say of a data set's sequence, as predictions."""

from collections.abc import Iterable, Iterator
from functools import cache

from dualpose_ros.arrays import RgbImage
from dualpose_ros.datasets.predictions import FoundPeople, Predictions
from dualpose_ros.datasets.published.truth import DatasetError, TruthFrame, TruthSequence
from dualpose_ros.lab.evaluation.branches import Branches, LiveStages
from dualpose_ros.paths import version
from dualpose_ros.skeleton import H36M17
from dualpose_ros.sources.frames import open_source
from dualpose_ros.sources.pictures import IntensityRange, read_picture


@cache
def _branches(top_down: str) -> Branches:
    return Branches(top_down)


def predict(sequence: TruthSequence, frames: Iterable[TruthFrame], stage: str, top_down: str) -> Predictions:
    """The people that a stage finds in every frame of a sequence, its picture size and camera as the data set says.

    Frames of one picture each, whose stamps are alike, are each seen for the first time.

    sequence, frames: of the data set; stage: whose people; top_down: the network on patches, as `top_down.weights`
    names it.
    DatasetError for pictures that are missing, unreadable or not of the camera.
    """
    stages, found, last_s = LiveStages(_branches(top_down)), {}, None
    for frame, image in _pictures(sequence, frames):
        if frame.camera is None:
            raise DatasetError(f"{sequence.name}: frame {frame.index} has no camera, which the stages need")
        if last_s is not None and frame.stamp_s <= last_s:
            stages.restart()
        last_s = frame.stamp_s
        persons = stages.process(image, round(frame.stamp_s * 1e9), frame.camera, stage)[stage]
        found[frame.index] = FoundPeople(persons.track_ids, persons.scores, persons.joints_cam, persons.keypoints_px)
    network = "" if top_down == "top_down" else f", {top_down.partition(':')[0]}"
    return Predictions(sequence.name, f"dualpose_ros {version()}, {stage}{network}", H36M17.joint_names, found)


def _pictures(sequence: TruthSequence, frames: Iterable[TruthFrame]) -> Iterator[tuple[TruthFrame, RgbImage]]:
    video, intensities = _Video(sequence), IntensityRange()
    for frame in frames:
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
