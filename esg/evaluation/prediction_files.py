"""Reads truth and predictions from files of other programs, for `average_precision`.

Categories are ignored: in entity segmentation every mask is an entity (paper Sec. 5). Polygons are rasterised by
pycocotools, so the figures are the same as those of the official evaluator.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..entities import rle
from ..entities.entity_map import EntityMap
from ..support.errors import EsgError, InputError
from .average_precision import average_precision

_SUFFIXES = (".entities.json", ".json", ".labels.png", ".png", ".npy")


@dataclass(frozen=True)
class TruePicture:
    """A picture with annotated entities.

    Attributes:
        id: its id in the file.
        name: its file name, without folders.
        size: height and width in pixels.
        annotations: `segmentation` (COCO RLE), `area` and `iscrowd` of each entity.
    """

    id: int | str
    name: str
    size: tuple[int, int]
    annotations: list[dict[str, Any]]


def evaluate_files(truth: str | Path, predictions: str | Path) -> dict[str, float]:
    """AP^e and average recall of predictions in files.

    Args:
        truth: COCO JSON with `images` and `annotations`; or COCO panoptic: its JSON, or the folder that holds
            `panoptic.json` and `panoptic/`.
        predictions: COCO results, a list of objects with `image_id`, `segmentation` and `score`; or COCO JSON with
            `images` and `annotations`; or a folder with one file per picture, named after it: `NAME.entities.json` or
            `NAME.labels.png` as `esg segment` writes them, or any label map `NAME.png` or `NAME.npy`. A mask without
            a score has the score 1. A picture without a prediction counts as a picture without entities.

    Returns:
        Fractions, as `average_precision`.

    Raises:
        InputError: a file is missing or cannot be read, a mask has another size than its picture, or no prediction
            belongs to a picture of the truth.
        EsgError: pycocotools is not installed.
    """
    pictures = read_truth(Path(truth))
    scored = _read_predictions(Path(predictions), pictures)
    return average_precision(scored, (picture.annotations for picture in pictures))


def read_truth(path: Path) -> list[TruePicture]:
    """The annotated pictures of a file; see `evaluate_files`.

    Raises:
        InputError: the file is missing, cannot be read, or has another format.
    """
    path = path / "panoptic.json" if path.is_dir() else path
    content = _json(path)
    if not isinstance(content, dict) or not isinstance(content.get("annotations"), list):
        raise InputError(f"{path} is not COCO JSON: it does not contain a list of annotations.")
    images = _images(content, path)
    by_id: dict[int | str, list[dict[str, Any]]] = {key: [] for key in images}
    for number, annotation in enumerate(content["annotations"]):
        where = f"{path}, annotation {number}"
        if not isinstance(annotation, dict) or annotation.get("image_id") not in by_id:
            raise InputError(f"{where} does not belong to any image; its image_id must be the id of one.")
        _, size = images[annotation["image_id"]]
        own = by_id[annotation["image_id"]]
        if "segments_info" in annotation:
            own += _panoptic(path, annotation, size)
        else:
            own.append({"iscrowd": int(bool(annotation.get("iscrowd", 0)))} | _true_mask(annotation, size, where))
    return [TruePicture(key, name, size, by_id[key]) for key, (name, size) in images.items()]


def _true_mask(annotation: Mapping[str, Any], size: tuple[int, int], where: str) -> dict[str, Any]:
    area = annotation.get("area")
    mask = _mask(annotation.get("segmentation"), size, where)
    return {"segmentation": mask} | ({"area": float(area)} if isinstance(area, int | float) else {})


def _panoptic(path: Path, annotation: Mapping[str, Any], size: tuple[int, int]) -> list[dict[str, Any]]:
    """The segments of one picture of COCO panoptic, whose PNG is in a folder beside the JSON."""
    name = str(annotation.get("file_name", ""))
    places = [path.with_suffix("") / name, path.parent / "panoptic" / name, path.parent / name]
    place = next((place for place in places if name and place.is_file()), None)
    if place is None:
        raise InputError(f"{path} needs the picture {name or 'of its segments'} in a folder panoptic/ beside it.")
    try:
        with Image.open(place) as picture:
            red, green, blue = np.moveaxis(np.asarray(picture.convert("RGB")).astype(np.int64), -1, 0)
    except (OSError, ValueError) as error:
        raise InputError(f"{place} cannot be read ({error}).") from None
    ids = red + 256 * green + 65536 * blue
    if ids.shape != size:
        raise InputError(f"{place} has {ids.shape[1]}x{ids.shape[0]} pixels, but its photo {size[1]}x{size[0]}.")
    segments = []
    for info in annotation["segments_info"]:
        mask = rle.encode_mask(ids == info.get("id"))
        segments.append({"segmentation": mask, "area": rle.area(mask), "iscrowd": int(bool(info.get("iscrowd", 0)))})
    return segments


def _read_predictions(path: Path, pictures: Sequence[TruePicture]) -> Iterator[EntityMap | list[tuple[rle.Rle, float]]]:
    """Scored masks for each of the pictures, one picture at a time."""
    if path.is_dir():
        return _from_folder(path, pictures)
    content = _json(path)
    names = {}
    if isinstance(content, dict):
        names = {key: name for key, (name, _) in _images(content, path).items()}
        content = content.get("annotations")
    if not isinstance(content, list):
        raise InputError(f"{path} is neither a list of COCO results nor COCO JSON with annotations.")
    return _from_list(content, names, path, pictures)


def _from_list(
    content: list[Any], names: Mapping[int | str, str], path: Path, pictures: Sequence[TruePicture]
) -> Iterator[list[tuple[rle.Rle, float]]]:
    """Finds a picture's predictions by its file name if the file has names, else by its id."""
    places = {(picture.name if names else picture.id): number for number, picture in enumerate(pictures)}
    found: list[list[tuple[int, dict[str, Any]]]] = [[] for _ in pictures]
    for number, one in enumerate(content):
        if not isinstance(one, dict):
            raise InputError(f"{path}: prediction {number} is not an object with image_id and segmentation.")
        key = one.get("image_id")
        place = places.get(names.get(key, "") if names else key)  # type: ignore[arg-type]
        if place is not None:
            found[place].append((number, one))
    if content and not any(found):
        raise InputError(f"No prediction in {path} belongs to a picture of the truth; compare their image ids.")
    for picture, own in zip(pictures, found):
        yield [
            (_mask(one.get("segmentation"), picture.size, where), _score(one, where))
            for number, one in own
            for where in [f"{path}, prediction {number}"]
        ]


def _from_folder(folder: Path, pictures: Sequence[TruePicture]) -> Iterator[EntityMap | list[tuple[rle.Rle, float]]]:
    files = {
        picture.name: next(
            (file for suffix in _SUFFIXES if (file := folder / f"{Path(picture.name).stem}{suffix}").is_file()), None
        )
        for picture in pictures
    }
    if not any(files.values()):
        raise InputError(
            f"{folder} does not contain predictions for the pictures of the truth, such as "
            f"{Path(pictures[0].name).stem if pictures else 'NAME'}.entities.json or .labels.png."
        )
    for picture in pictures:
        path = files[picture.name]
        if path is None:
            yield []
        elif path.suffix == ".json":
            content = _json(path)
            content = content.get("annotations") if isinstance(content, dict) else content
            if not isinstance(content, list) or not all(isinstance(one, dict) for one in content):
                raise InputError(f"{path} is neither a list of COCO results nor COCO JSON with annotations.")
            yield [(_mask(one.get("segmentation"), picture.size, str(path)), _score(one, str(path))) for one in content]
        else:
            entities = _label_map(path)
            if (entities.height, entities.width) != picture.size:
                raise InputError(
                    f"{path} has {entities.width}x{entities.height} pixels, but its photo "
                    f"{picture.size[1]}x{picture.size[0]}."
                )
            yield entities


def _label_map(file: Path) -> EntityMap:
    if file.suffix == ".npy":
        try:
            return EntityMap.from_labels(np.load(file, allow_pickle=False))
        except (OSError, ValueError) as error:
            raise InputError(f"{file} cannot be read as a label map ({error}).") from None
    return EntityMap.from_labels_png(file)


def _images(content: Mapping[str, Any], path: Path) -> dict[int | str, tuple[str, tuple[int, int]]]:
    """File name and size of every image, by its id."""
    images: dict[int | str, tuple[str, tuple[int, int]]] = {}
    for number, image in enumerate(content.get("images") or []):
        try:
            size = int(image["height"]), int(image["width"])
            images[image["id"]] = Path(str(image.get("file_name", image["id"]))).name, size
        except (KeyError, TypeError, ValueError, AttributeError):
            raise InputError(f"{path}: image {number} lacks an id, a height or a width.") from None
    if not images:
        raise InputError(f"{path} does not list any images; COCO JSON needs their id, file_name, height and width.")
    return images


def _mask(segmentation: Any, size: tuple[int, int], where: str) -> rle.Rle:
    """Converts a segmentation, RLE of any kind or polygons, to COCO RLE; pycocotools rasterises polygons."""
    try:
        from pycocotools import mask as coco_mask
    except ImportError:
        raise EsgError("Evaluation needs pycocotools: pip install pycocotools (or the extra esg[train]).") from None
    try:
        if isinstance(segmentation, list):
            drawn = coco_mask.frPyObjects(segmentation, *size) if segmentation else []
            return coco_mask.merge(drawn) if drawn else rle.encode_mask(np.zeros(size, bool))
        if isinstance(segmentation["counts"], list):
            segmentation = coco_mask.frPyObjects(dict(segmentation), *segmentation["size"])
        height, width = (int(side) for side in segmentation["size"])
        mask = {"size": [height, width], "counts": segmentation["counts"]}
        rle.area(mask)  # reads the counts
    except Exception:  # pycocotools raises many types of errors
        raise InputError(f"{where} does not have a valid mask; it must be COCO RLE or polygons.") from None
    if (height, width) != size:
        raise InputError(f"{where}: the mask has {width}x{height} pixels, but its photo {size[1]}x{size[0]}.")
    return mask


def _score(one: Mapping[str, Any], where: str) -> float:
    score = one.get("score", 1.0)
    if isinstance(score, bool) or not isinstance(score, int | float) or score != score:
        raise InputError(f"{where} has the score {score!r}, which is not a number.")
    return float(score)


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}).") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON ({error}).") from None
