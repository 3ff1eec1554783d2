"""Categories: the names of a model's classes, and which of them are things, from the user's own list."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..support.errors import InputError
from .files import load_json
from .importing.fields import number, text

_STUFF = ("stuff", "0", "false", "no")


@dataclass(frozen=True)
class Categories:
    """The K classes of a model, in its order.

    Attributes:
        names: K names.
        things: whether each class is a thing, which can be counted, or stuff, such as sky.
        ids: K ids, which results in COCO's format carry.

    >>> categories = Categories.read([{"id": 7, "name": "sky", "isthing": 0}, {"id": 3, "name": "dog"}], 2)
    >>> categories.names, categories.things, categories.ids
    (('dog', 'sky'), (True, False), (3, 7))
    """

    names: tuple[str, ...]
    things: tuple[bool, ...]
    ids: tuple[int, ...]

    @classmethod
    def unnamed(cls, count: int) -> Categories:
        """Classes called "class 0", "class 1" …, all of them things."""
        return cls(tuple(f"class {k}" for k in range(count)), (True,) * count, tuple(range(1, count + 1)))

    @classmethod
    def read(cls, source: str | Path | Iterable[Any], count: int | None = None) -> Categories:
        """Reads the categories of a model with `count` classes, or a list of any length.

        Args:
            source: path of a COCO JSON with "categories"; or such a list, in Python or in a JSON file, of objects with
                "name" or of names. Objects with ids are ordered by id, as the models are trained; others keep their
                order. "isthing" (0 or 1) or "type" ("thing" or "stuff") says what is stuff; without them, it is a
                thing.

        Raises:
            InputError: the file cannot be read, has no categories, or not as many as the model.
        """
        if isinstance(source, (str, Path)):
            called, content = str(source), load_json(Path(source))
        else:
            called, content = "categories", source
        content = content.get("categories") if isinstance(content, Mapping) else content
        listed = list(content) if isinstance(content, Iterable) and not isinstance(content, (str, Mapping)) else []
        if not listed:
            raise InputError(
                f"{called} is not a list of categories; give a COCO JSON with the categories of the model's training "
                "data, or a list of names."
            )
        entries = [_entry(one, place, called) for place, one in enumerate(listed)]
        if count is not None and len(entries) != count:
            has = "1 category" if len(entries) == 1 else f"{len(entries)} categories"
            raise InputError(
                f"{called} has {has}, but the model has {count} classes; give the categories of the data that the "
                "model was trained on."
            )
        ids = [identity for identity, _, _ in entries]
        if None not in ids and len(set(ids)) == len(ids):
            entries.sort(key=lambda entry: entry[0])
        else:
            entries = [(place, name, thing) for place, (_, name, thing) in enumerate(entries, start=1)]
        numbers, names, things = zip(*entries)
        return cls(names, things, numbers)


def _entry(one: Any, place: int, called: str) -> tuple[Any, str, bool]:
    """The id, or None, the name, and whether it is a thing, of an item of the list."""
    if isinstance(one, str) and one.strip():
        return None, one.strip(), True
    name = text(one.get("name")) if isinstance(one, Mapping) else ""
    if not name:
        raise InputError(f'{called}: category {place + 1} does not have a name; give each category a "name".')
    identity = number(one.get("id"))
    kind = one.get("isthing", one.get("type"))
    stuff = kind is not None and (kind == 0 or str(kind).strip().lower() in _STUFF)
    return None if identity is None or identity != int(identity) else int(identity), name, not stuff
