"""ReasonSeg (Lai et al., "LISA: Reasoning Segmentation via Large Language Model", CVPR 2024): questions and answers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from ..entities import rle
from ..entities.files import load_json
from ..entities.importing.fields import Unusable, points, records, text
from ..pictures.reading import read_image
from ..support.errors import InputError
from .annotated import AnnotatedPhoto, Segment
from .expressions import Expression, Expressions, ReferredPhoto
from .locating import Locator
from .problems import Problems

_SUFFIXES = (".jpg", ".jpeg", ".png")
_IGNORED, _TARGET = 255, 1
_ANSWER = 1  # the id of the only segment


class ReasonSeg(Expressions):
    """Photos NAME.jpg with questions and outlined answers in NAME.json.

    An outline labelled "ignore" marks pixels that do not count, one labelled "flag" is not used. Larger outlines are
    painted first, so that smaller ones are on top. A photo of which no outline can be read has no questions; one
    without outlines has an empty answer.

    Args:
        path: the folder that holds `train/`, `val/` and `test/`, or one of these.
        split: the folder to use, if there are several.
        every_text: whether to use every wording of a question, as for training, instead of the first, as for measuring.

    Raises:
        InputError: the folder does not exist or does not hold such photos.
    """

    kind = "reasonseg"
    chooses = False

    def __init__(self, path: str | Path, split: str = "val", *, every_text: bool = False) -> None:
        folder = Path(path) / split if (Path(path) / split).is_dir() else Path(path)
        self.name, self.split, self.problems = str(folder), split, Problems()
        self._items: list[tuple[Path, tuple[str, ...], list[Mapping[str, Any]]]] = []
        if not folder.is_dir():
            raise InputError(f"{folder} does not exist.")
        for file in sorted(folder.glob("*.json")):
            photo = next((one for end in _SUFFIXES if (one := file.with_suffix(end)).is_file()), None)
            if photo is None:
                self.problems.add("annotations without a photo", file.name)
                continue
            try:
                content = json.loads(_text_of(file), strict=False)
            except (OSError, ValueError, RecursionError):
                self.problems.add("annotations that cannot be read", file.name)
                continue
            texts, shapes = _read(content)
            if not texts:
                self.problems.add("annotations without a text", file.name)
            elif shapes is None:
                self.problems.add("annotations without outlines", file.name)
            else:
                self._items.append((photo, texts if every_text else texts[:1], shapes))
        self.total = sum(len(texts) for _, texts, _ in self._items)
        if not self._items:
            reasons = "; ".join(self.problems) or "no photo NAME.jpg has a NAME.json"
            raise InputError(f"{folder} does not have photos with questions that can be used: {reasons}.")

    def __len__(self) -> int:
        return len(self._items)

    @property
    def keys(self) -> tuple[str, ...]:
        """The file name of every photo, in order."""
        return tuple(file.name for file, _, _ in self._items)

    def referred(self, index: int) -> ReferredPhoto:
        """The photo at an index, with its questions; its only segment is the answer.

        Raises:
            ImageError: the photo cannot be read.
        """
        file, texts, shapes = self._items[index]
        size = read_image(file).shape[:2]
        problems = Problems()
        outlines = []
        for number, shape in enumerate(shapes):
            label = text(shape.get("label")).lower()
            if label == "flag":
                continue
            try:
                outline = points(shape.get("points"))
                if not len(outline):
                    raise Unusable("is empty")
            except Unusable:
                problems.add("outlines without usable points", f"number {number} of {file.name}")
                continue
            outlines.append((_drawn(outline, size), _IGNORED if "ignore" in label else _TARGET))
        if problems and not outlines:
            return ReferredPhoto(AnnotatedPhoto(file.stem, file.name, size, file), (), problems)
        painted = np.zeros(size, np.uint8)
        for mask, value in sorted(outlines, key=lambda pair: -int(pair[0].sum())):
            painted[mask] = value
        true = rle.encode_mask(painted == _TARGET)
        ignored = rle.encode_mask(painted == _IGNORED) if (painted == _IGNORED).any() else None
        segments = (Segment(true, id=_ANSWER),) if rle.area(true) else ()
        photo = AnnotatedPhoto(file.stem, file.name, size, file, segments, problems=problems)
        expressions = (
            Expression(
                file.stem if not number else f"{file.stem}/{number}", one, true, ignored, _ANSWER if segments else None
            )
            for number, one in enumerate(texts)
        )
        return ReferredPhoto(photo, tuple(expressions), problems)


@dataclass(frozen=True)
class Explanation:
    """A question about a photo and an answer in words, for training.

    Attributes:
        photo: the photo's file.
        question: the question.
        answer: the answer, with the reason.
    """

    photo: Path
    question: str
    answer: str


def read_explanations(path: str | Path) -> tuple[list[Explanation], Problems]:
    """The answers in words of ReasonSeg's `explanatory/train.json`, and what was left out.

    Args:
        path: that file, or the folder of ReasonSeg; the photos are in `train/`.

    Raises:
        InputError: the file cannot be read, or has another format.
    """
    path = Path(path)
    file = path / "explanatory" / "train.json" if path.is_dir() else path
    content = load_json(file)
    if not isinstance(content, list):
        raise InputError(f"{file} does not contain a list of questions and answers.")
    above = file.parent.parent
    locator, problems, found = Locator([above / "train", above, file.parent]), Problems(), []
    for number, one in enumerate(records(content)):
        name, question, answer = (text(one.get(key)) for key in ("image", "query", "outputs"))
        photo = locator.find(name)
        if not (name and question and answer):
            problems.add("entries without image, query or outputs", f"number {number}")
        elif photo is None:
            problems.add("photos that are missing", name)
        else:
            found.append(Explanation(photo, question, answer))
    return found, problems


def _text_of(file: Path) -> str:
    """Some of the files are in Windows' encoding, without saying so."""
    data = file.read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")


def _read(content: Any) -> tuple[tuple[str, ...], list[Mapping[str, Any]] | None]:
    """The texts, and the outlines; None if there is no list of them."""
    if not isinstance(content, Mapping):
        return (), None
    given = content.get("text")
    listed: Sequence[Any] = given if isinstance(given, list) else [given]
    texts = tuple(" ".join(one.split()) for one in map(text, listed) if one)
    return texts, records(content["shapes"]) if isinstance(content.get("shapes"), list) else None


def _drawn(outline: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The (H, W) bool mask of an outline with the line itself, as OpenCV draws it.

    Without OpenCV, Pillow draws it, which differs by some pixels along the line.
    """
    corners = outline.astype(np.int32)
    try:
        import cv2
    except ImportError:
        picture = Image.new("L", size[::-1])
        flat = corners.ravel().tolist()
        draw = ImageDraw.Draw(picture)
        draw.line([*flat, *flat[:2]], fill=1)
        if len(corners) > 2:
            draw.polygon(flat, fill=1, outline=1)
        return np.asarray(picture) > 0
    mask = np.zeros(size, np.uint8)
    cv2.polylines(mask, [corners], True, 1, 1)
    cv2.fillPoly(mask, [corners], 1)
    return mask > 0
