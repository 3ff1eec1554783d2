"""Segmentation of the foreground: the measures of DIS5K (Qin et al., ECCV 2022) by the library PySODMetrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..data.annotated import AnnotatedPhoto, AnnotatedPhotos
from ..data.problems import Problems
from ..entities import rle
from ..entities.entity_map import EntityMap
from ..pictures.reading import open_picture
from ..support.errors import EsgError, ImageError, InputError
from ..support.limits import MAX_PIXELS
from ..support.progress import ItemProgress
from .journal import Journal
from .per_photo import Measure, measure_all, problems_of
from .predictions import FilePredictions, Keys, Predictions, stem_of

_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")


@dataclass(frozen=True)
class ForegroundEvaluation:
    """The results for a data set.

    Attributes:
        figures: `Fmax`, the largest F-measure of all thresholds (beta² = 0.3); `Fw`, the weighted F-measure; `MAE`, the
            mean absolute error; `S`, the structure measure; `E`, the mean of the enhanced-alignment measure over
            thresholds; `HCE`, the mean number of corrections that a person would have to make; `photos`, the number of
            photos.
        problems: what was left out.
    """

    figures: dict[str, float]
    problems: Problems


class GreyMaps(FilePredictions):
    """Grey pictures of the foreground, brighter where the program is more certain, named after the photos.

    Args:
        folder: the pictures, which may be in subfolders.

    Raises:
        InputError: the folder does not exist, or does not contain pictures.
    """

    portable = True

    def __init__(self, folder: str | Path) -> None:
        folder = Path(folder)
        self.name, self.problems = str(folder), Problems()
        if not folder.is_dir():
            raise InputError(f"The folder {folder} does not exist; give a folder of grey pictures of the foreground.")
        files = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in _SUFFIXES and path.is_file()]
        if not files:
            raise InputError(f"{folder} does not contain pictures; give grey pictures named after the photos.")
        named = {path.relative_to(folder).with_name(stem_of(path.name)).as_posix(): path for path in files}
        self.keys = Keys(named, by_id=False)

    def read(self, key: str, photo: AnnotatedPhoto, problems: Problems) -> list[Any]:
        """A single picture, (H, W) uint8."""
        path = self.keys.items[key]
        with open_picture(path, max_pixels=MAX_PIXELS) as picture:
            wide = picture.mode.startswith("I")  # 16 bits, which convert would cut off at 255
            grey = (np.asarray(picture) >> 8).astype(np.uint8) if wide else np.asarray(picture.convert("L"))
        if grey.shape != photo.size:
            raise ImageError(
                f"{path} has {grey.shape[1]}x{grey.shape[0]} pixels, but its photo {photo.size[1]}x{photo.size[0]}."
            )
        return [grey]


class CentralEntity(Predictions):
    """The entity of a segmenter that is largest near the middle of the photo, which is chosen without the truth.

    Args:
        segment: (H, W, 3) uint8 RGB → its entities.
        name: the model's name.
    """

    def __init__(self, segment: Callable[[np.ndarray], EntityMap], name: str = "model") -> None:
        self.name, self.problems, self._segment = name, Problems(), segment

    def of(self, photo: AnnotatedPhoto, problems: Problems) -> list[Any]:
        """A single picture, (H, W) uint8: 255 inside the entity; all black if there is none."""
        entities = self._segment(photo.image())
        return [255 * entities.mask([central(entities)]).astype(np.uint8)] if len(entities) else []


def central(entities: EntityMap) -> int:
    """The id of the entity with the most pixels, where a pixel counts less the farther it is from the middle.

    The weight is a normal distribution with a quarter of the photo's width and height as its standard deviations.
    """
    y, x = (np.exp(-0.5 * (np.linspace(-0.5, 0.5, side) / 0.25) ** 2) for side in entities.labels.shape)
    weights = np.outer(y, x)
    return int(np.bincount(entities.labels.ravel(), weights.ravel())[1:].argmax()) + 1


class ForegroundMeasure(Measure):
    """Measures the foreground of one photo."""

    def __call__(self, photo: AnnotatedPhoto, found: Sequence[Any], problems: Problems) -> Mapping[str, Any] | None:
        """The measures; None if nothing is annotated, as most of them are undefined then."""
        if not photo.segments:
            problems.add("photos without annotated foreground, which do not count", photo.name)
            return None
        truth = rle.decode_mask(rle.union([one.mask for one in photo.segments]))
        return foreground_measures(found[0] if found else np.zeros(photo.size, np.uint8), truth)


def foreground_measures(found: np.ndarray, truth: np.ndarray) -> dict[str, Any]:
    """The measures of one picture.

    Args:
        found: (H, W) uint8, 255 where the program is certain of the foreground.
        truth: (H, W) bool.

    Returns:
        `F` and `E`, with a value for each threshold, and `Fw`, `MAE`, `S` and `HCE`.

    Raises:
        EsgError: PySODMetrics is not installed.
    """
    try:
        import py_sod_metrics as sod
    except ImportError:
        raise EsgError(
            "The measures of the foreground need PySODMetrics: pip install pysodmetrics (or the extra esg[eval])."
        ) from None
    handler = sod.FmeasureHandler(with_dynamic=True, with_adaptive=False, beta=0.3)
    measures = {
        "F": sod.FmeasureV2(metric_handlers={"fm": handler}),
        "Fw": sod.WeightedFmeasure(),
        "MAE": sod.MAE(),
        "S": sod.Smeasure(),
        "E": sod.Emeasure(),
        "HCE": sod.HumanCorrectionEffortMeasure(),
    }
    for one in measures.values():
        one.step(pred=found, gt=255 * truth.astype(np.uint8))
    results = {name: one.get_results() for name, one in measures.items()}
    return {
        "F": np.asarray(results["F"]["fm"]["dynamic"], float).ravel().tolist(),
        "E": np.asarray(results["E"]["em"]["curve"], float).ravel().tolist(),
        "Fw": float(results["Fw"]["wfm"]),
        "MAE": float(results["MAE"]["mae"]),
        "S": float(results["S"]["sm"]),
        "HCE": float(results["HCE"]["hce"]),
    }


def evaluate_foreground(
    photos: AnnotatedPhotos,
    predictions: Predictions,
    *,
    workers: int = 1,
    journal: Journal | None = None,
    progress: ItemProgress | None = None,
) -> ForegroundEvaluation:
    """Measures the segmentation of the foreground.

    Args:
        photos: the truth: the foreground is the union of a photo's segments.
        predictions: `GreyMaps` or `CentralEntity`.
        workers, journal, progress: as for `measure_all`.

    Raises:
        InputError: nothing can be measured.
        EsgError: PySODMetrics is not installed.
    """
    records = measure_all(photos, predictions, ForegroundMeasure(), workers=workers, journal=journal, progress=progress)
    usable = [record["result"] for record in records if record["result"] is not None]
    figures = {
        "Fmax": float(np.mean([one["F"] for one in usable], axis=0).max()),
        **{name: float(np.mean([one[name] for one in usable])) for name in ("Fw", "MAE", "S")},
        "E": float(np.mean([one["E"] for one in usable])),
        "HCE": float(np.mean([one["HCE"] for one in usable])),
        "photos": float(len(usable)),
    }
    return ForegroundEvaluation(figures, problems_of(records, photos, predictions))
