"""The Parquet tables of a run: a row for each photo, and a row for each photo that could not be used."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..version import __version__

if TYPE_CHECKING:
    from ..entities.entity_map import EntityMap
    from ..entities.grounding import Grounding
    from .reading import Entry
    from .settings import Settings

_ROWS_AT_ONCE = 64  # kept in memory until they are written as a row group


def entity_row(entry: Entry, entities: EntityMap, grounding: Grounding | None, settings: Settings) -> dict[str, Any]:
    """The row of a photo in the table of entities."""
    phrases = [] if grounding is None else grounding.to_json()["phrases"]
    return {
        "photo": _text(entry.photo),
        "name": _text(entry.name),
        "height": entities.height,
        "width": entities.width,
        "ids": list(range(1, len(entities) + 1)),
        "scores": entities.scores.tolist(),
        "boxes": entities.boxes.tolist(),
        "areas": entities.areas.tolist(),
        "rles": [mask["counts"] for mask in entities.to_rles()],
        "caption": None if grounding is None or not settings.captions else grounding.caption,
        "phrases": [{name: one[name] for name in ("text", "span", "entity_ids", "scores")} for one in phrases],
        "model": settings.model,
        "grounder": settings.grounder if settings.grounds else None,
        "version": __version__,
    }


def error_row(photo: str, problem: str) -> dict[str, Any]:
    """The row of a photo in the table of errors."""
    return {"photo": _text(photo), "problem": _text(problem), "version": __version__}


def write_entities(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Writes a table of entities; takes rows from the iterable only as it writes them."""
    import pyarrow as pa

    phrase = {
        "text": pa.string(),
        "span": pa.list_(pa.int32()),
        "entity_ids": pa.list_(pa.int32()),
        "scores": pa.list_(pa.float32()),
    }
    columns = {
        "photo": pa.string(),
        "name": pa.string(),
        "height": pa.int32(),
        "width": pa.int32(),
        "ids": pa.list_(pa.int32()),
        "scores": pa.list_(pa.float32()),
        "boxes": pa.list_(pa.list_(pa.int32())),
        "areas": pa.list_(pa.int64()),
        "rles": pa.list_(pa.string()),
        "caption": pa.string(),
        "phrases": pa.list_(pa.struct(phrase)),
        "model": pa.string(),
        "grounder": pa.string(),
        "version": pa.string(),
    }
    _write(path, rows, pa.schema(columns))


def write_errors(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Writes a table of errors."""
    import pyarrow as pa

    _write(path, rows, pa.schema({"photo": pa.string(), "problem": pa.string(), "version": pa.string()}))


def _text(name: str) -> str:
    """A file name as valid text, which it need not be."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _write(path: Path, rows: Iterable[dict[str, Any]], schema: Any) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    waiting = iter(rows)
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        while some := list(islice(waiting, _ROWS_AT_ONCE)):
            writer.write_table(pa.Table.from_pylist(some, schema))
