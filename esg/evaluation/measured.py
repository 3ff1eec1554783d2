"""Figures, with the items that could not be measured."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from ..data.problems import Problems
from ..support.errors import ImageError
from .entity_sources import NoEntities


@dataclass(frozen=True)
class Measured:
    """The result of an evaluation.

    Attributes:
        figures: fractions and counts by name; nan if there is nothing to average.
        problems: what was left out, and what counts as wrong because the model cannot read it.
    """

    figures: dict[str, float]
    problems: Problems = field(default_factory=Problems)


@contextmanager
def leaving_out(problems: Problems) -> Iterator[None]:
    """Notes a photo that cannot be read, or whose entities cannot be found, instead of ending the run."""
    try:
        yield
    except ImageError as error:
        problems.add("photos that cannot be read", error)
    except NoEntities as error:
        problems.add("photos whose masks cannot be used", error)
