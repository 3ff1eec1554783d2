"""Names of classes in files: a category for each name, and one for entities without a name."""

from __future__ import annotations

from collections.abc import Iterable

UNNAMED = "entity"  # the category of an entity without a name


def known(label: str) -> str | None:
    """The name that a label in a file stands for; None if it is empty or `UNNAMED`.

    Half a character, which JSON can contain but no text file, becomes a question mark.
    """
    return None if label in ("", UNNAMED) else label.encode(errors="replace").decode()


def category_ids(names: Iterable[str | None]) -> dict[str, int]:
    """Ids from 1 for the different names, in the order of their first use; without any entity, one for `UNNAMED`."""
    used = dict.fromkeys(name or UNNAMED for name in names) or {UNNAMED: None}
    return {name: number for number, name in enumerate(used, start=1)}
