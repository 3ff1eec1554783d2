"""Clips: frames of videos, animated GIFs and folders of pictures, read one by one; and videos written frame by frame.

Videos need PyAV (`pip install av`), whose wheels contain FFmpeg.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from logging import getLogger
from pathlib import Path
from typing import Any

import numpy as np

from ..support.checks import check_whole
from ..support.errors import ImageError, OutputError
from ..support.files import write_atomically
from ..support.limits import MAX_PIXELS
from .files import check_size, open_for_reading, opened
from .listing import by_numbers, is_picture
from .reading import read_image

log = getLogger(__name__)

VIDEO_SUFFIXES = (
    *(".mp4", ".m4v", ".mov", ".webm", ".mkv", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts"),
    *(".wmv", ".flv", ".3gp", ".ogv"),
)
# The containers that are tried on a file. Playlists are not among them, as they name other files and addresses.
_CONTAINERS = "mov,matroska,avi,mpegts,mpeg,asf,flv,ogg"


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame of a clip.

    Attributes:
        number: its number in the clip, from 0.
        name: that of its results: the number with six digits, or for a folder the picture's name without suffix.
        file_name: that of its picture in a folder; for other clips the same as `name`.
        time: seconds since the beginning; None if the clip does not say.
        pixels: (H, W, 3) uint8 RGB, upright.
    """

    number: int
    name: str
    file_name: str
    time: float | None
    pixels: np.ndarray


class ClipFile:
    """A clip whose header is readable; iterating reads its frames one by one.

    Attributes:
        path: the file or folder.
        kind: "video", "gif" or "folder".
        stride: only every `stride`-th frame is read.
        count: number of frames that will be read, as far as the clip says; None if it does not.
        rate: frames per second that will be read; None if the clip does not say.

    Args:
        path: a video, an animated GIF, or a folder of pictures, which are frames in the order of the numbers in their
            names; its subfolders are not searched.
        stride: the distance between the frames to read, 1 or more.
        max_pixels: larger frames are refused.

    Raises:
        ImageError: the clip is missing, damaged, empty or too large, or PyAV is needed and missing.
        InputError: the stride is wrong.
    """

    def __init__(self, path: str | Path, *, stride: int = 1, max_pixels: int = MAX_PIXELS) -> None:
        check_whole("stride", stride, 1)
        self.path, self.stride, self._max_pixels = Path(path), stride, max_pixels
        self.rate: Fraction | None = None
        count: int | None
        if os.path.isdir(path):
            self.kind = "folder"
            count = len(pictures_in(self.path))
        elif is_animated(path):
            self.kind = "gif"
            with opened(path, max_pixels, all_frames=True) as picture:
                count = int(getattr(picture, "n_frames", 1))
                seconds = picture.info.get("duration", 0) / 1000
                self.rate = Fraction(1 / seconds).limit_denominator(1000) if seconds else None
        else:
            self.kind = "video"
            with _video(self.path) as (_, stream):
                check_size((stream.width, stream.height), str(path), max_pixels)
                self.rate = stream.average_rate
                count = stream.frames or None
                if count is None and stream.duration and stream.time_base and self.rate:
                    count = max(1, round(stream.duration * stream.time_base * self.rate))
        self.rate = self.rate / stride if self.rate else None
        self.count = -(-count // stride) if count else None

    def __iter__(self) -> Iterator[Frame]:
        reader = {"folder": self._pictures, "gif": self._gif, "video": self._video}[self.kind]
        return reader()

    def _pictures(self) -> Iterator[Frame]:
        paths = pictures_in(self.path)
        stems = Counter(path.stem.casefold() for path in paths)
        for number in range(0, len(paths), self.stride):
            path = paths[number]
            try:
                pixels = read_image(path, max_pixels=self._max_pixels)
            except ImageError as error:
                log.warning("%s This frame is left out.", error)
                continue
            yield Frame(number, path.stem if stems[path.stem.casefold()] == 1 else path.name, path.name, None, pixels)

    def _gif(self) -> Iterator[Frame]:
        with opened(self.path, self._max_pixels, all_frames=True) as picture:
            time = 0.0
            for number in range(int(getattr(picture, "n_frames", 1))):
                picture.seek(number)
                if number % self.stride == 0:
                    pixels = read_image(picture.convert("RGBA"), max_pixels=self._max_pixels)
                    yield Frame(number, f"{number:06d}", f"{number:06d}", time, pixels)
                time += picture.info.get("duration", 0) / 1000

    def _video(self) -> Iterator[Frame]:
        import av

        number = 0
        with _video(self.path) as (container, stream):
            stream.thread_type = "AUTO"
            try:
                for frame in container.decode(stream):
                    check_size((frame.width, frame.height), str(self.path), self._max_pixels)
                    if number % self.stride == 0:
                        # Phones store videos as the sensor sees them, and write beside them how to turn them.
                        pixels = np.rot90(frame.to_ndarray(format="rgb24"), round(frame.rotation / 90))
                        yield Frame(number, f"{number:06d}", f"{number:06d}", frame.time, np.ascontiguousarray(pixels))
                    number += 1
            except av.error.FFmpegError as error:
                if not number:
                    raise _damaged(self.path, error) from None
                log.warning("%s is damaged after %d frames; only those are used.", self.path, number)
        if not number:
            raise ImageError(f"{self.path} does not have any frames that can be read; get the file again.")


def read_frames(path: str | Path, *, stride: int = 1, max_pixels: int = MAX_PIXELS) -> Iterator[np.ndarray]:
    """The frames of a clip, read one by one, so that a clip of any length needs the memory of a few frames.

    Args:
        path, stride, max_pixels: as in `ClipFile`.

    Returns:
        (H, W, 3) uint8 RGB arrays, upright.

    Raises:
        ImageError: the clip is missing, damaged, empty or too large, or it is a video and PyAV is missing.
        InputError: the stride is wrong.

    >>> import tempfile
    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for number in (9, 10):
    ...         Image.new("RGB", (6, 4), (number, 0, 0)).save(f"{folder}/{number}.png")
    ...     [frame[0, 0, 0].item() for frame in read_frames(folder)]
    [9, 10]
    """
    return (frame.pixels for frame in ClipFile(path, stride=stride, max_pixels=max_pixels))


def is_clip(path: str | Path, *, folders: bool = False) -> bool:
    """Whether a file is a video by its name, or a GIF with several frames; `folders`: or the path of any folder."""
    if os.path.isdir(path):
        return folders
    return os.path.splitext(path)[1].lower() in VIDEO_SUFFIXES or is_animated(path)


def is_animated(path: str | Path) -> bool:
    """Whether a file is a GIF with several frames; False if it cannot be read, which reading it will report."""
    if os.path.splitext(path)[1].lower() != ".gif":
        return False
    try:
        with opened(path, all_frames=True) as picture:
            return bool(getattr(picture, "is_animated", False))
    except ImageError:
        return False


def pictures_in(folder: Path) -> list[Path]:
    """The pictures of a folder without its subfolders, in the order of the numbers in their names.

    Raises:
        ImageError: the folder cannot be read, or does not contain any pictures.
    """
    try:
        names = [name for name in os.listdir(folder) if is_picture(name)]
    except OSError as error:
        raise ImageError(f"The folder {folder} cannot be read: {(error.strerror or str(error)).lower()}.") from None
    if not names:
        raise ImageError(f"The folder {folder} does not contain any pictures, so it is not a clip.")
    return [folder / name for name in sorted(names, key=by_numbers)]


@contextmanager
def write_video(path: Path, rate: Fraction | None) -> Iterator[Callable[[np.ndarray], None]]:
    """Writes a video, completely or not at all; gives a function that adds a frame, (H, W, 3) uint8 RGB.

    Args:
        path: ends in .mp4.
        rate: frames per second; None: 25.

    Raises:
        OutputError: the file cannot be written.
    """
    import av

    codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
    with write_atomically(path) as temporary:
        try:
            with av.open(str(temporary), "w", format="mp4") as container:
                stream: Any = container.add_stream(codec, rate=(rate or Fraction(25)).limit_denominator(65535))
                stream.pix_fmt = "yuv420p"  # the only one that every player and browser shows

                def add(pixels: np.ndarray) -> None:
                    height, width = pixels.shape[:2]
                    if not stream.codec_context.is_open:
                        stream.width, stream.height = width + width % 2, height + height % 2
                    even = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
                    container.mux(stream.encode(av.VideoFrame.from_ndarray(even, format="rgb24")))

                yield add
                container.mux(stream.encode())
        except av.error.FFmpegError as error:
            if isinstance(error, OSError):
                raise
            raise OutputError(f"{path} cannot be written as a video ({_reason(error)}).") from None


@contextmanager
def _video(path: Path) -> Iterator[tuple[Any, Any]]:
    """An opened video, and its first stream of pictures."""
    with open_for_reading(path) as file:
        try:
            import av
        except ImportError:
            raise ImageError(
                f"{path} is a video, which needs PyAV: pip install av, or ESG with pip install 'esg[video]'."
            ) from None
        try:
            container = av.open(file, options={"format_whitelist": _CONTAINERS})
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise _damaged(path, error) from None
        with container:
            # A picture in a music file is a stream of one frame.
            streams = [one for one in container.streams.video if one.codec_context and one.width]
            if not streams:
                raise ImageError(f"{path} does not contain any pictures.")
            yield container, streams[0]


def _damaged(path: Path, error: Exception) -> ImageError:
    return ImageError(f"{path} is not a video that can be read, or it is damaged ({_reason(error)}); get it again.")


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error)).lower()
