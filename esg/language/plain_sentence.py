"""Writes a plain sentence that only lists the names of entities in an image, so that it contains nothing invented."""

from __future__ import annotations

from collections.abc import Sequence

from .coco_names import COUNTS, UNCOUNTED

_ONLY_ONE = ("sky", "sea", "water", "ground", "floor", "ceiling")  # unique in a scene, so they take "the"


def plain_sentence(names: Sequence[str]) -> str:
    """ "A person, two dogs and the sky."; names as returned by `coco_names.counted_names`, at least one."""
    return sentence(listed(names))


def listed(names: Sequence[str]) -> str:
    """Names with their articles: "a person, two dogs and the sky"."""
    parts = [_with_article(name) for name in names]
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def sentence(text: str) -> str:
    """Adds an initial capital and a full stop."""
    return text[0].upper() + text[1:] + "."


def _with_article(name: str) -> str:
    first = name.split()[0]
    if first in COUNTS or first == "several":
        return name
    if name in UNCOUNTED:
        return f"the {name}" if name in _ONLY_ONE else name
    return f"{'an' if name[0] in 'aeio' or name.startswith('um') else 'a'} {name}"
