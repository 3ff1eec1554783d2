"""Processes photos one by one; a photo that cannot be used does not stop the others."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePath

from ..pictures.listing import InputPhoto, list_images
from ..support.errors import ImageError, OutputError
from .console import Console
from .job import Job, UnusablePhoto
from .results import check_folder

FAILED = 2  # exit status


class Batch:
    """The photos that a command was given.

    Attributes:
        photos: all photos.
        waiting: the photos still to be processed.
        several: whether there is more than one photo.
        max_pixels: larger photos are refused.
    """

    def __init__(
        self,
        paths: Iterable[Path],
        max_pixels: int,
        console: Console,
        *,
        is_clip: Callable[[Path], bool] = lambda path: False,
    ) -> None:
        """Lists the photos, and clips where `is_clip` says so; raises InputError like `listing.list_images`."""
        self.max_pixels = max_pixels
        self.photos, self._empty = list_images(paths, is_clip=is_clip)
        self.waiting = list(self.photos)
        self.several = len(self.photos) > 1
        self._console = console
        self._unusable: list[InputPhoto] = []
        self._unwritten: list[InputPhoto] = []

    def look(
        self,
        *,
        out: Path | None = None,
        endings: Sequence[str] = (),
        overwrite: bool = True,
        look_at_clip: Callable[[InputPhoto], Sequence[str]] | None = None,
    ) -> None:
        """Checks the photos and the names of their results before any model is loaded, and reports problems.

        Args:
            out: output folder, if there is one.
            endings: endings of the result file names.
            overwrite: whether to process photos that already have results; otherwise they are reported and skipped.
            look_at_clip: function that checks a clip like a photo, and gives the endings of its results.
        """
        from ..pictures.files import check_file

        waiting = []
        for photo in self.waiting:
            try:
                if photo.clip and look_at_clip is not None:
                    ends = look_at_clip(photo)
                else:
                    ends = endings
                    check_file(photo.path, max_pixels=self.max_pixels)
                if out is not None:
                    check_names(out, photo, ends)
                there = [] if out is None or overwrite else earlier(out, photo, ends)
                if there:
                    self._console.line(f"{photo.path}: skipped, because {there[0]} already exists.")
                    continue
                waiting.append(photo)
            except (ImageError, UnusablePhoto) as error:
                self._console.complain(error)
                self._unusable.append(photo)
        self.waiting = waiting

    def work(self, work: Callable[[Job], str | None], *, done: str, out: Path | None = None) -> int:
        """Processes every waiting photo, and lists all failures at the end.

        Args:
            work: function that processes one photo. It returns a line about the result, or None. If it raises
                ImageError, UnusablePhoto, or an OutputError other than a full disk, the photo is reported and skipped.
            done: past participle for the summary, as in "2 of 9 photos could not be segmented".
            out: output folder, if there is one.

        Returns:
            The exit status: 2 if a photo failed or a folder contains none.
        """
        for photo in self.waiting:
            self._work_on(photo, work, out)
        return self.close(done=done)

    def _work_on(self, photo: InputPhoto, work: Callable[[Job], str | None], out: Path | None) -> None:
        label = f"[{self.photos.index(photo) + 1}/{len(self.photos)}] " if self.several else ""
        try:
            with self._console.working_on(str(photo.path) if label else ""):
                said = work(Job(photo, self.several, label, self.max_pixels, self._console))
            if said is not None:
                self._console.line(f"{label}{photo.path}: {said}")
        except (ImageError, UnusablePhoto) as error:
            self._console.complain(error)
            self._unusable.append(photo)
        except OutputError as error:
            if _is_disk_full(error) or out is None:
                raise
            self._console.complain(error)
            self._unwritten.append(photo)
            check_folder(out)  # ends the run if nothing can be written there any more

    def close(self, *, done: str) -> int:
        """Lists the failed photos, if there were several, and the folders without photos; returns the exit status."""
        for failed, sentence in (
            (self._unusable, f"{{}} of {{}} photos could not be {done}: {{}}"),
            (self._unwritten, "The files of {} of {} photos could not be written: {}"),
        ):
            if failed and self.several:
                names = ", ".join(str(photo.path) for photo in self.photos if photo in failed)
                self._console.complain(sentence.format(len(failed), len(self.photos), names))
        for folder in self._empty:
            self._console.complain(f"The folder {folder} does not contain any pictures.")
        return FAILED if self._unusable or self._unwritten or self._empty else 0


def check_names(folder: Path, photo: InputPhoto, endings: Sequence[str]) -> None:
    """Raises UnusablePhoto if the name of one of the photo's results is too long for the file system."""
    nearest = next((place for place in (folder, *folder.absolute().parents) if os.path.isdir(place)), folder)
    for ending in endings:
        for part in PurePath(f"{photo.name}{ending}").parts:
            try:
                os.lstat(nearest / part)
            except OSError as error:
                if error.errno == errno.ENAMETOOLONG:
                    raise UnusablePhoto(
                        f"{photo.path}: the name of its result file, {_shortened(part)}, would be too long "
                        f"({len(os.fsencode(part))} bytes); give the photo a shorter name."
                    ) from None


def earlier(folder: Path, photo: InputPhoto, endings: Sequence[str]) -> list[Path]:
    """The results of this photo that already exist."""
    places = (folder / f"{photo.name}{ending}" for ending in endings)
    return [place for place in places if os.path.lexists(place)]


def _shortened(name: str) -> str:
    return f"{name[:12]}…{name[-24:]}"


def _is_disk_full(error: OutputError) -> bool:
    cause = error.__cause__
    return isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT)
