"""One photo on its way through a command."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..pictures.listing import InputPhoto
from ..support.errors import EsgError, InputError, OutOfMemory
from ..support.memory import is_out_of_memory
from ..support.progress import Stage
from .console import Console

if TYPE_CHECKING:
    from ..pictures.reading import Photo


class UnusablePhoto(EsgError):
    """A problem with this photo; the next one may be fine."""


@dataclass(frozen=True)
class Job:
    """The photo that a command is processing, and the command's console.

    Attributes:
        photo: the photo.
        several: whether it is one of several, so that answers need its name.
        label: its position, "[2/9] "; empty if it is the only one.
        max_pixels: larger photos are refused.
        console: where progress and answers go.
    """

    photo: InputPhoto
    several: bool
    label: str
    max_pixels: int
    console: Console

    def read(self) -> Photo:
        """The photo's pixels and metadata; ImageError if it cannot be used."""
        from ..pictures.reading import read_photo

        self.console.progress(f"{self.label}{self.photo.path.name} ...")
        return read_photo(self.photo.path, max_pixels=self.max_pixels)

    def now(self, what: str) -> None:
        """Shows what is being done with the photo."""
        self.console.progress(f"{self._before}{what}")

    def progress(self, done: int, total: int, stage: Stage) -> None:
        """Shows how far a stage is; a `Progress`."""
        self.now(f"{stage} {done}/{total}")

    def writing(self, text: str) -> None:
        """Shows a text that is still growing."""
        self.console.writing(self._before, text)

    def answer(self, text: str) -> None:
        """Writes a result to stdout, after the photo's path if there are several."""
        self.console.answer(f"{self.photo.path}: {text}" if self.several else text)

    @contextmanager
    def enough_memory(self, advice: str) -> Iterator[None]:
        """Turns an out-of-memory error into an UnusablePhoto."""
        try:
            yield
        except (MemoryError, RuntimeError, OutOfMemory) as error:
            if not is_out_of_memory(error):
                raise
            raise UnusablePhoto(f"{self.photo.path} needs more memory than is available; try {advice}.") from None

    @contextmanager
    def about(self) -> Iterator[None]:
        """Turns an InputError about the photo or its masks, but not one about the machine, into an UnusablePhoto."""
        try:
            yield
        except OutOfMemory:
            raise
        except InputError as error:
            sentence = error.sentence
            raise UnusablePhoto(f"{self.photo.path}: {sentence.message}", sentence.advice) from None

    @property
    def _before(self) -> str:
        return f"{self.label}{self.photo.path.name}: "
