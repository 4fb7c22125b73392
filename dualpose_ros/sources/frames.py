"""Where images come from: a video file, pictures, a camera device, or a stream of the network.

Images are RGB (H, W, 3) uint8 with square pixels.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.request import url2pathname

from natsort import natsorted

from dualpose_ros.arrays import RgbImage
from dualpose_ros.paths import user_path
from dualpose_ros.sources.live import open_device, open_pipeline, open_stream
from dualpose_ros.sources.names import kind_of
from dualpose_ros.sources.pictures import IntensityRange, read_picture
from dualpose_ros.sources.source import DEFAULT_FPS, FrameSource, SourceError, SourceInfo, printable
from dualpose_ros.sources.video import VideoFile

IMAGE_SUFFIXES = (".bmp", ".jfif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")


def open_source(source: str) -> FrameSource:
    """Open a video file, a picture or a folder of them (file:// too), a device (index such as "0", or /dev/videoN), a
    stream (rtsp://, http:// and the like), or a GStreamer pipeline ("... ! appsink").

    SourceError says what is wrong with anything that gives no image.
    """
    if not source:
        raise SourceError("no source given: name a video file, a directory of images or a device index")
    opened = {"device": open_device, "stream": open_stream, "pipeline": open_pipeline}.get(kind_of(source))
    if opened is not None:
        return opened(source)
    is_url = source.lower().startswith("file://")
    path = user_path(url2pathname(source[len("file://") :]) if is_url else source)
    if not path.exists():
        raise SourceError(f"source {printable(source)} does not exist")
    if path.is_dir():
        return Pictures(pictures_in(path))
    if not path.is_file():
        # It would be read twice: to look at it, and to work on it.
        raise SourceError(f"source {printable(source)} is no file that can be read again, but a pipe or the like")
    return Pictures([path]) if path.suffix.lower() in IMAGE_SUFFIXES else VideoFile(path)


def images_of(source: FrameSource) -> Iterator[RgbImage]:
    """All images of a source that ends, from where it is; SourceError as of its `read`."""
    while (image := source.read()) is not None:
        yield image


def pictures_in(folder: Path) -> list[Path]:
    """The images of a folder in natural order of their names (2 before 10); SourceError where there are none."""
    # macOS keeps a `._a.jpg` beside an `a.jpg`; of other things with such names a pipe would never end.
    files = (p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and p.name[0] != "." and p.is_file())
    if found := natsorted(files, key=lambda p: printable(p.name)):
        return found
    raise SourceError(f"directory {printable(folder)} holds no images ({', '.join(IMAGE_SUFFIXES)})")


class Pictures:
    """The pictures of files, one after the other, each of its own size."""

    def __init__(self, paths: Sequence[Path]) -> None:
        """SourceError where none of them can be read."""
        self._paths = paths
        self._next = self.time_ns = self.number = 0
        self.file = ""
        self._intensities = IntensityRange()
        first = self._first_readable()
        self.info = SourceInfo(first.shape[1], first.shape[0], DEFAULT_FPS, len(self._paths), False)

    def read(self) -> RgbImage | None:
        """The next image, None at the end; SourceError for one that is unreadable."""
        if self._next >= len(self._paths):
            return None
        self.number = self._next
        self.time_ns = round(self.number * 1e9 / DEFAULT_FPS)
        self._next += 1
        path = self._paths[self.number]
        self.file = printable(path.name)
        return read_picture(path, self._intensities)

    def _first_readable(self) -> RgbImage:
        first_error: SourceError | None = None
        for path in self._paths:
            try:
                return read_picture(path, self._intensities)
            except SourceError as error:
                first_error = first_error or error
        assert first_error is not None
        raise first_error

    def rewind(self) -> None:
        """Start again at the first image."""
        self._next = 0

    def close(self) -> None:
        """Nothing is held open."""
