"""The figures that the GELLA paper reports for tasks with texts, in percent, to print beside measured ones."""

from __future__ import annotations

Row = dict[str, float]

_PNG = ("AR", "AR_things", "AR_stuff", "AR_singular", "AR_plural")

NARRATIVES: dict[str, Row] = {
    "GELLA-7B": dict(zip(_PNG, (69.8, 66.2, 72.3, 69.9, 58.4), strict=True)) | {"AR_text": 96.1},
    "GELLA-13B": dict(zip(_PNG, (71.3, 67.8, 73.1, 71.0, 59.5), strict=True)),
}
"""Table X; `AR_text` is from Table XXI."""

_SPLITS = (
    ("refcoco", "val"),
    ("refcoco", "testA"),
    ("refcoco", "testB"),
    ("refcoco+", "val"),
    ("refcoco+", "testA"),
    ("refcoco+", "testB"),
    ("refcocog", "val"),
    ("refcocog", "test"),
)
_REFERRING = {
    "GELLA-7B": (76.1, 79.9, 73.1, 66.4, 72.7, 60.2, 69.6, 71.3),
    "GELLA-13B": (76.7, 80.5, 73.6, 67.0, 73.2, 60.6, 70.4, 71.5),
}
_REASONING = {"val": {"gIoU": 66.7, "cIoU": 74.3}, "test": {"gIoU": 63.3, "cIoU": 64.1}}

WILD: dict[str, Row] = {"GELLA": {"mean": 50.7}}
"""Table XIV b."""


def referring_rows(kind: str, split: str) -> dict[str, Row]:
    """The rows of Table IX (cIoU) for RefCOCO, RefCOCO+ and RefCOCOg, or of Table XIV a for ReasonSeg, by model.

    Args:
        kind, split: of the data, see `Expressions`; for splits that are not in the paper, there are no rows.

    >>> referring_rows("refcoco+", "testA")
    {'GELLA-7B': {'cIoU': 72.7}, 'GELLA-13B': {'cIoU': 73.2}}
    """
    if kind == "reasonseg":
        return {"GELLA": _REASONING[split]} if split in _REASONING else {}
    if (kind, split) not in _SPLITS:
        return {}
    place = _SPLITS.index((kind, split))
    return {model: {"cIoU": figures[place]} for model, figures in _REFERRING.items()}
