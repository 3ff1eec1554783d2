"""Opens a data set of expressions in the format that it has."""

from __future__ import annotations

from pathlib import Path

from ..support.errors import InputError
from .expressions import Expressions
from .reasonseg import ReasonSeg
from .refcoco import RefCoco

EXPRESSION_FORMS = (
    "a folder with refs(unc).p (or umd, google) and instances.json (RefCOCO, RefCOCO+, RefCOCOg, RefCLEF), or a folder "
    "of photos NAME.jpg with NAME.json, possibly in val/ and test/ (ReasonSeg)"
)


def open_expressions(
    path: str | Path, split: str = "val", images: str | Path | None = None, *, every_text: bool = False
) -> Expressions:
    """The expressions of a folder, in the format that it has.

    Args:
        path: one of `EXPRESSION_FORMS`.
        split: the part to use, such as "val" or "testA".
        images: the folder of the photos, for RefCOCO; None: found near the files.
        every_text: whether to use every wording of ReasonSeg's questions, as for training, instead of the first.

    Raises:
        InputError: the path does not exist, its format is unknown, or the split does not occur.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path} does not exist; give {EXPRESSION_FORMS}.")
    if path.suffix.lower() in (".p", ".pkl", ".pickle") or any(path.glob("refs(*).p")):
        return RefCoco(path, split, images)
    if path.is_dir() and ((path / split).is_dir() or any(path.glob("*.json"))):
        return ReasonSeg(path, split, every_text=every_text)
    raise InputError(f"{path} does not contain expressions of the split {split}; give {EXPRESSION_FORMS}.")
