"""The items that were left out of a data set, by reason, counted and with the first few names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass
class Problems:
    """Names of items by the problem they have.

    Attributes:
        found: names by problem, such as {"photos that are missing": ["a.jpg"]}.

    >>> from esg.data.problems import Problems
    >>> problems = Problems()
    >>> problems.add("photos that are missing", "a.jpg")
    >>> list(problems)
    ['photos that are missing (1): a.jpg']
    """

    found: dict[str, list[str]] = field(default_factory=dict)

    def add(self, problem: str, name: object) -> None:
        """Notes that an item has a problem, which is worded as a plural: "photos that are missing"."""
        self.found.setdefault(problem, []).append(str(name))

    def update(self, other: Problems) -> None:
        """Adds all that is noted in `other`."""
        for problem, names in other.found.items():
            self.found.setdefault(problem, []).extend(names)

    def __bool__(self) -> bool:
        return bool(self.found)

    def __iter__(self) -> Iterator[str]:
        """A line per problem, with the number of items that have it and the first three of them."""
        for problem, names in self.found.items():
            yield f"{problem} ({len(names)}): {', '.join(names[:3])}{', ...' if len(names) > 3 else ''}"
