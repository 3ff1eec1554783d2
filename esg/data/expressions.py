"""Photos with expressions that refer to areas of them, as every data set of expressions gives them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ..entities import rle
from .annotated import AnnotatedPhoto, Category
from .problems import Problems


@dataclass(frozen=True)
class Expression:
    """A text and the area that it refers to.

    Attributes:
        id: its number or name in the data.
        text: a phrase, a sentence or a question.
        mask: COCO RLE of the photo's size; may be empty.
        ignored: pixels that count neither as right nor as wrong; None: all pixels count.
        segment: the id of the annotated object that it is; None if it is not one.
    """

    id: str
    text: str
    mask: rle.Rle
    ignored: rle.Rle | None = None
    segment: int | str | None = None


@dataclass(frozen=True)
class ReferredPhoto:
    """A photo and the expressions about it.

    Attributes:
        photo: the photo; its segments are its annotated objects.
        expressions: possibly none, if none can be used.
        problems: what was left out.
    """

    photo: AnnotatedPhoto
    expressions: tuple[Expression, ...]
    problems: Problems = field(default_factory=Problems, compare=False)


class Expressions(Sequence[ReferredPhoto], ABC):
    """A data set of expressions, by photo; it holds no pictures and can be pickled.

    Attributes:
        name: the file or folder it was opened from.
        kind: "refcoco", "refcoco+", "refcocog", "refclef" or "reasonseg"; with " (google)" if it has Google's splits.
        split: the part of it, such as "val".
        categories: the categories of the segments; empty if the data has no categories.
        chooses: whether the segments of a photo are all its objects, so that an expression chooses among them.
        total: number of expressions.
        problems: what was left out when it was opened; each photo has its own, too.
    """

    name: str
    kind: str
    split: str
    categories: tuple[Category, ...] = ()
    chooses: bool = True
    total: int
    problems: Problems

    @abstractmethod
    def __len__(self) -> int: ...

    @property
    @abstractmethod
    def keys(self) -> tuple[str, ...]:
        """The name or number of every photo, in order."""

    @abstractmethod
    def referred(self, index: int) -> ReferredPhoto:
        """The photo at an index from 0 to the number of photos - 1, with its expressions.

        Raises:
            ImageError: its size is not listed, and it cannot be read.
        """

    def __getitem__(self, index):  # type: ignore[no-untyped-def, override]
        """The photo at an index, or a list of photos for a slice."""
        if isinstance(index, slice):
            return [self.referred(one) for one in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        return self.referred(index % len(self))

    def __iter__(self) -> Iterator[ReferredPhoto]:
        return (self.referred(index) for index in range(len(self)))
