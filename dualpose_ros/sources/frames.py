"""Where images come from: a video file, pictures, a camera device, or a stream of the network.

Images are RGB (H, W, 3) uint8 with square pixels.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.request import url2pathname

from natsort import natsorted

from dualpose_ros.arrays import RgbImage
from dualpose_ros.paths import user_path
from dualpose_ros.sources.live import open_device, open_pipeline, open_stream
from dualpose_ros.sources.names import kind_of
from dualpose_ros.sources.pictures import HOLDS_FILM, IntensityRange, holds_film, read_picture
from dualpose_ros.sources.source import DEFAULT_FPS, FrameSource, SourceError, SourceInfo, printable
from dualpose_ros.sources.stated_size import tiff_pages
from dualpose_ros.sources.video import Decoder, VideoFile

IMAGE_SUFFIXES = (".bmp", ".jfif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
_FILM_LIKE_SUFFIXES = (".avif", ".gif", ".heic", ".heif", ".hif", ".jp2")
"""Of pictures that are read as films are: some can hold one."""


def open_source(source: str) -> FrameSource:
    """Open a video file, a picture or a folder of them (file:// too), a device (index such as "0", or /dev/videoN), a
    stream (rtsp://, http:// and the like), or a GStreamer pipeline ("... ! appsink").

    SourceError says what is wrong with anything that gives no image.
    """
    if not source:
        raise SourceError("no source given: name a video file, a directory of images or a device index")
    kind = kind_of(source)
    opened = {"device": open_device, "stream": open_stream, "pipeline": open_pipeline}.get(kind)
    if opened is not None and not (kind == "pipeline" and user_path(source).exists()):
        return opened(source)
    path = path_of(source)
    if not path.exists():
        hint = ": of pictures name their folder" if re.search(r"[*?%]", source) else ""
        raise SourceError(f"source {printable(source)} does not exist{hint}")
    if path.is_dir():
        return Pictures(pictures_in(path))
    if not path.is_file():
        # It would be read twice: to look at it, and to work on it.
        raise SourceError(f"source {printable(source)} is no file that can be read again, but a pipe or the like")
    is_picture = path.suffix.lower() in IMAGE_SUFFIXES and not (path.suffix.lower() == ".png" and holds_film(path))
    return Pictures([path]) if is_picture else VideoFile(path)


def path_of(source: str) -> Path:
    """Where a file or folder is that is named as a source, by its path or as file://."""
    is_url = source.lower().startswith("file://")
    return user_path(url2pathname(source[len("file://") :].removeprefix("localhost")) if is_url else source)


def images_of(source: FrameSource) -> Iterator[RgbImage]:
    """All images of a source that ends, from where it is; SourceError as of its `read`."""
    while (image := source.read()) is not None:
        yield image


def pictures_in(folder: Path) -> list[Path]:
    """The images of a folder in natural order of their names (2 before 10); SourceError where there are none."""
    # macOS keeps a `._a.jpg` beside an `a.jpg`; of other things with such names a pipe would never end.
    kinds = (*IMAGE_SUFFIXES, *_FILM_LIKE_SUFFIXES)
    files = (p for p in folder.iterdir() if p.suffix.lower() in kinds and p.name[0] != "." and p.is_file())
    if found := natsorted(files, key=lambda p: printable(p.name)):
        return found
    raise SourceError(f"directory {printable(folder)} holds no images ({', '.join(kinds)})")


def _pages_of(path: Path) -> list[int]:
    if path.suffix.lower() not in (".tif", ".tiff"):
        return [0]
    try:
        with path.open("rb") as file:
            return tiff_pages(file) or [0]
    except OSError:
        return [0]


def _read_still(path: Path) -> RgbImage:
    """The picture of a file of a kind that may hold a film, too."""
    decoder = Decoder(path)
    try:
        image = decoder.read()
        if image is None:
            raise SourceError(f"image {printable(path)} cannot be decoded")
        if decoder.read() is not None:
            raise SourceError(f"image {printable(path)} {HOLDS_FILM}")
        return image
    finally:
        decoder.close()


class Pictures:
    """The pictures of files, one after the other, each of its own size; of a TIFF file all its pages."""

    def __init__(self, paths: Sequence[Path]) -> None:
        """SourceError where none of them can be read."""
        self._pictures = [(path, page) for path in paths for page in _pages_of(path)]
        self._next = self.time_ns = self.number = 0
        self.file = ""
        self._intensities = IntensityRange()
        first = self._first_readable()
        self.info = SourceInfo(first.shape[1], first.shape[0], DEFAULT_FPS, len(self._pictures), False)

    def read(self) -> RgbImage | None:
        """The next image, None at the end; SourceError for one that is unreadable."""
        if self._next >= len(self._pictures):
            return None
        self.number = self._next
        self.time_ns = round(self.number * 1e9 / DEFAULT_FPS)
        self._next += 1
        path, page = self._pictures[self.number]
        self.file = printable(path.name)
        return self._decoded(path, page)

    def _decoded(self, path: Path, page: int) -> RgbImage:
        is_film_like = path.suffix.lower() in _FILM_LIKE_SUFFIXES
        return _read_still(path) if is_film_like else read_picture(path, self._intensities, page)

    def _first_readable(self) -> RgbImage:
        first_error: SourceError | None = None
        for path, page in self._pictures:
            try:
                return self._decoded(path, page)
            except SourceError as error:
                first_error = first_error or error
        assert first_error is not None
        raise first_error

    def rewind(self) -> None:
        """Start again at the first image."""
        self._next = 0

    def close(self) -> None:
        """Nothing is held open."""
