"""Pictures of an evaluation: curves of precision, and the worst photos side by side with their truth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..data.annotated import AnnotatedPhoto, AnnotatedPhotos, Segment
from ..data.problems import Problems
from ..drawing.overlay import overlay
from ..entities.entity_map import EntityMap
from ..pictures.resizing import resize
from ..support.errors import EsgError, ImageError
from ..support.files import write_atomically
from .entities import typical
from .matching import Accumulated, FoundMask
from .predictions import Predictions

WORST = 12
"""Number of photos on a sheet."""
_WIDTH, _CAPTION = 480, 26  # pixels
_ENOUGH = 0.5  # minimum score of the masks that are drawn, unless no mask has it


def draw_curves(measured: Accumulated, folder: str | Path) -> list[Path]:
    """Draws `precision_recall.png` and `ap_by_iou.png` into a folder.

    Raises:
        EsgError: matplotlib is not installed.
        OutputError: the files cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise EsgError("Plots need matplotlib: pip install matplotlib (or the extra esg[train]).") from None
    curves, steps = (Figure(figsize=(6, 4.5), layout="constrained") for _ in range(2))
    axes = curves.subplots()
    for threshold in (0, 5, 8):
        values = measured.curve(threshold)
        axes.plot(np.linspace(0, 100, len(values)), 100 * np.array(values), label=f"{0.5 + 0.05 * threshold:.2f}")
    axes.set(xlabel="recall in %", ylabel="precision in %", title="Precision and recall", xlim=(0, 100), ylim=(0, 101))
    axes.legend(title="IoU")
    axes.grid(alpha=0.3)
    axes = steps.subplots()
    axes.plot(np.arange(0.5, 1, 0.05), 100 * np.maximum(measured.by_iou(), 0), "o-")
    axes.set(xlabel="IoU", ylabel="AP in %", title="AP by IoU", ylim=(0, None))
    axes.grid(alpha=0.3)
    paths = []
    for name, figure in (("precision_recall.png", curves), ("ap_by_iou.png", steps)):
        with write_atomically(Path(folder) / name) as temporary:
            figure.savefig(temporary, dpi=120)
        paths.append(Path(folder) / name)
    return paths


def draw_worst(photos: AnnotatedPhotos, predictions: Predictions, worst: Sequence[int], folder: str | Path) -> Path:
    """Draws `worst.jpg`: photos with their truth on the left and what was found on the right.

    Of what was found, masks with a score of at least 0.5 are drawn, or all if no mask has it.

    Args:
        photos: the truth.
        predictions: the masks that were found.
        worst: the indices of photos, the worst one first; the first `WORST` are drawn.
        folder: where to write the file.

    Raises:
        OutputError: the file cannot be written.
    """
    rows = []
    for number in worst[:WORST]:
        photo = photos.photo(number)
        found = predictions.of(photo, Problems()) or []
        sure = [one for one in found if one.score >= _ENOUGH]
        rows.append(_row(photo, typical(photo), sure or found))
    sheet = np.concatenate(rows) if rows else np.full((_CAPTION, 2 * _WIDTH, 3), 255, np.uint8)
    path = Path(folder) / "worst.jpg"
    with write_atomically(path) as temporary:
        Image.fromarray(sheet).save(temporary, quality=88)
    return path


def _row(photo: AnnotatedPhoto, truth: Sequence[Segment], found: Sequence[FoundMask]) -> np.ndarray:
    try:
        image = photo.image()
    except ImageError:  # files can be measured without the photos
        image = np.full((*photo.size, 3), 96, np.uint8)
    height = max(1, round(photo.size[0] * _WIDTH / photo.size[1]))
    true = EntityMap.from_masks([one.mask for one in truth], size=photo.size, order="last")
    said = EntityMap.from_masks([one.mask for one in found], [one.score for one in found], size=photo.size)
    pair = [resize(overlay(image, entities), (height, _WIDTH)) for entities in (true, said)]
    title = Image.new("RGB", (2 * _WIDTH, _CAPTION), "white")
    pen, font = ImageDraw.Draw(title), ImageFont.load_default(15)
    pen.text((6, 5), f"{photo.name}: truth, {len(true)} entities", fill="black", font=font)
    pen.text((_WIDTH + 6, 5), f"found, {len(said)}", fill="black", font=font)
    return np.concatenate([np.asarray(title), np.concatenate(pair, axis=1)])
