"""Masks of any segmenter: the same map comes back from every format, and each bad one is refused in one sentence."""

from __future__ import annotations

import json
import logging
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from esg.entities.entity_map import EntityMap
from esg.entities.importing import kind_of, read_masks, tells_photos_apart
from esg.entities.rle import decode_mask, read_counts
from esg.support.errors import InputError


def small() -> EntityMap:
    """Three entities on 4 x 3 pixels."""
    return EntityMap.from_labels(np.array([[0, 1, 1, 1], [2, 2, 0, 1], [2, 3, 3, 0]]), [0.9, 0.5, 0.25])


def masks_of(entities: EntityMap) -> np.ndarray:
    return np.stack([entities.mask(k) for k in range(1, len(entities) + 1)])


def sam(entities: EntityMap, segmentation: Callable[[dict], object]) -> list[dict]:
    """What SAM's automatic mask generator gives, without the fields that say where it clicked."""
    return [
        {"segmentation": segmentation(mask), "area": int(area), "predicted_iou": float(score), "stability_score": 0.97}
        for mask, area, score in zip(entities.to_rles(), entities.areas, entities.scores, strict=True)
    ]


def uncompressed(mask: dict) -> dict:
    return {"size": mask["size"], "counts": read_counts(mask).tolist()}


def rows(mask: dict) -> list:
    return decode_mask(mask).tolist()


def rectangles(mask: dict) -> list[list[int]]:
    """A polygon around every pixel."""
    return [[x, y, x + 1, y, x + 1, y + 1, x, y + 1] for y, x in np.argwhere(decode_mask(mask)).tolist()]


# How other programs write a map. Those of the second dict keep no scores.
WITH_SCORES: dict[str, Callable[[EntityMap, Path], object]] = {
    "labels.png": lambda e, path: e.save_labels_png(path),
    "coco.json": lambda e, path: e.save_coco(path),
    "counts.json": lambda e, path: path.write_text(json.dumps(sam(e, uncompressed))),
    "rles.json": lambda e, path: path.write_text(json.dumps(sam(e, dict)), encoding="utf-8-sig"),
    "rows.json": lambda e, path: path.write_text(json.dumps(sam(e, rows))),
    "masks.npz": lambda e, path: np.savez_compressed(path, masks=masks_of(e), scores=e.scores, labels=e.scores > 0),
    "labels.npz": lambda e, path: np.savez(path, labels=e.labels, scores=e.scores),
}
WITHOUT_SCORES: dict[str, Callable[[EntityMap, Path], object]] = {
    "grey.png": lambda e, path: Image.fromarray(e.labels.astype(np.uint8)).save(path),
    "labels.npy": lambda e, path: np.save(path, e.labels),
    "fortran.npy": lambda e, path: np.save(path, np.asfortranarray(e.labels)),
    "masks.npy": lambda e, path: np.save(path, masks_of(e)),
    "bytes.npy": lambda e, path: np.save(path, masks_of(e).astype(np.uint8) * np.uint8(255)),
    "floats.npy": lambda e, path: np.save(path, np.asfortranarray(masks_of(e)[:, None]).astype(np.float16)),
    "folder": lambda e, path: save_folder(e, path),
    "polygons.json": lambda e, path: path.write_text(
        json.dumps(
            {
                "images": [{"id": 7, "height": e.height, "width": e.width}],
                "annotations": [{"image_id": 7, "segmentation": rectangles(mask)} for mask in e.to_rles()],
            }
        )
    ),
}


def save_folder(entities: EntityMap, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for k, mask in enumerate(masks_of(entities)):
        Image.fromarray(mask).save(folder / f"{k}.png")


maps = (
    hnp.arrays(np.int64, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9), elements=st.integers(0, 12))
    .filter(np.any)
    .flatmap(
        lambda labels: st.lists(st.sampled_from([0.0, 0.25, 0.3, 1.0]), min_size=12, max_size=12).map(
            lambda scores: EntityMap.from_labels(labels, scores)
        )
    )
)


@pytest.mark.parametrize("name", WITH_SCORES)
@settings(max_examples=30)
@given(entities=maps)
def test_any_map_comes_back_from_every_format(
    name: str, entities: EntityMap, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / name
    WITH_SCORES[name](entities, path)
    assert read_masks(path, (entities.height, entities.width)) == entities


def test_a_single_row_of_true_and_false_is_no_polygon(tmp_path: Path) -> None:
    entities = EntityMap.from_labels(np.ones((1, 6), int), [0.5])
    WITH_SCORES["rows.json"](entities, tmp_path / "rows.json")
    assert read_masks(tmp_path / "rows.json", (1, 6)) == entities


@pytest.mark.parametrize("name", WITHOUT_SCORES)
@settings(max_examples=30)
@given(entities=maps)
def test_where_there_are_no_scores_all_are_one(
    name: str, entities: EntityMap, tmp_path_factory: pytest.TempPathFactory
) -> None:
    entities = EntityMap.from_labels(entities.labels)
    path = tmp_path_factory.getbasetemp() / name
    WITHOUT_SCORES[name](entities, path)
    assert read_masks(path) == entities


@pytest.mark.parametrize("name", [*WITH_SCORES, *WITHOUT_SCORES])
def test_the_kind_is_told_by_content_and_300_entities_are_none_too_many(name: str, tmp_path: Path) -> None:
    labels = np.arange(1, 301).reshape(15, 20)
    entities = EntityMap.from_labels(labels if name != "grey.png" else labels % 256)
    path = tmp_path / "nameless"
    {**WITH_SCORES, **WITHOUT_SCORES}[name](entities, tmp_path / name)
    (tmp_path / name).rename(path)
    assert len(read_masks(path)) == len(entities) >= 255
    assert read_masks(path) == entities


@pytest.mark.parametrize("name", [*WITH_SCORES, *WITHOUT_SCORES])
def test_masks_of_another_size_than_the_photo(name: str, tmp_path: Path) -> None:
    {**WITH_SCORES, **WITHOUT_SCORES}[name](small(), tmp_path / name)
    with pytest.raises(InputError, match=r"holds masks of 4x3 pixels, but the photo has 3x5; make them from this"):
        read_masks(tmp_path / name, (5, 3))
    with pytest.raises(InputError, match=r"but the photo has 3x4: width and height are swapped"):
        read_masks(tmp_path / name, (4, 3))


@pytest.mark.parametrize("name", [*WITH_SCORES, *WITHOUT_SCORES])
def test_the_limit_of_pixels(name: str, tmp_path: Path) -> None:
    {**WITH_SCORES, **WITHOUT_SCORES}[name](small(), tmp_path / name)
    assert len(read_masks(tmp_path / name, max_pixels=12)) == 3
    with pytest.raises(InputError, match=r"4x3 = 12 pixels, more than the limit of 11"):
        read_masks(tmp_path / name, max_pixels=11)


@pytest.mark.parametrize("name", [name for name in (*WITH_SCORES, *WITHOUT_SCORES) if name != "folder"])
def test_a_file_cut_short_anywhere(name: str, tmp_path: Path) -> None:
    """Some readers can do without the last bytes; nothing else than the whole map comes out, though."""
    {**WITH_SCORES, **WITHOUT_SCORES}[name](small(), tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    entities = read_masks(tmp_path / name)
    refused = 0
    for length in range(0, len(whole), max(len(whole) // 60, 1)):
        (tmp_path / name).write_bytes(whole[:length])
        try:
            assert read_masks(tmp_path / name) == entities
        except InputError as error:
            check_sentence(str(error), name)
            refused += 1
    assert refused >= 40


@given(
    place=st.integers(0, 2000),
    value=st.integers(0, 255),
    name=st.sampled_from([n for n in (*WITH_SCORES, *WITHOUT_SCORES) if n != "folder"]),
)
def test_a_wrong_byte_anywhere(place: int, value: int, name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / name
    {**WITH_SCORES, **WITHOUT_SCORES}[name](small(), path)
    data = bytearray(path.read_bytes())
    data[place % len(data)] = value
    path.write_bytes(data)
    try:
        assert len(read_masks(path)) > 0
    except InputError as error:
        check_sentence(str(error), name)


def check_sentence(text: str, name: str) -> None:
    assert name in text
    assert "\n" not in text
    assert text.endswith(".")


@pytest.mark.parametrize("name", ["masks.npz", "rles.json", "folder"])
def test_one_entity(name: str, tmp_path: Path) -> None:
    entities = EntityMap.from_labels(np.array([[0, 1], [0, 0]]))
    {**WITH_SCORES, **WITHOUT_SCORES}[name](entities, tmp_path / name)
    assert read_masks(tmp_path / name).labels.tolist() == [[0, 1], [0, 0]]


def test_palette_png_counts_by_index(tmp_path: Path) -> None:
    picture = Image.new("P", (3, 1))
    picture.putpalette([255, 255, 255, 0, 0, 0, 9, 9, 9])
    picture.putpixel((1, 0), 1)
    picture.putpixel((2, 0), 2)
    picture.save(tmp_path / "labels.png")
    assert read_masks(tmp_path / "labels.png").labels.tolist() == [[0, 1, 2]]


# ------------------------------------------------------------------------------------------------------------- overlaps


def overlapping(tmp_path: Path, scores: list[float]) -> Path:
    """A mask on all five pixels, one on the right three, one on the last."""
    masks = np.array([[[1, 1, 1, 1, 1]], [[0, 0, 1, 1, 1]], [[0, 0, 0, 0, 1]]], bool)
    np.savez(tmp_path / "masks.npz", masks=masks, scores=np.array(scores))
    return tmp_path / "masks.npz"


@pytest.mark.parametrize(
    ("scores", "labels"),
    [
        ([0.2, 0.5, 0.9], [3, 3, 2, 2, 1]),
        ([0.5, 0.5, 0.5], [1, 1, 2, 2, 3]),  # the smaller one lies above; equal areas go by their order
        ([0.2, 0.9, 0.5], [2, 2, 1, 1, 1]),
    ],
)
def test_the_higher_score_wins_then_the_smaller_mask(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, scores: list[float], labels: list[int]
) -> None:
    path = overlapping(tmp_path, scores)
    with caplog.at_level(logging.INFO, "esg"):
        assert read_masks(path).labels.tolist() == [labels]
    (said,) = caplog.messages
    assert said.startswith(f"{path}: masks overlap, and the highest score wins")
    assert ("1 of 3 masks are hidden entirely" in said) == (max(labels) == 2)


def test_nothing_is_said_about_masks_side_by_side(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    small().save_coco(tmp_path / "coco.json")
    with caplog.at_level(logging.INFO, "esg"):
        read_masks(tmp_path / "coco.json")
    assert caplog.messages == []


# ------------------------------------------------------------------------------------------------------------ bad input


def refusal(path: Path, **options: object) -> str:
    with pytest.raises(InputError) as caught:
        read_masks(path, **options)  # type: ignore[arg-type]
    check_sentence(str(caught.value), path.name)
    return str(caught.value)


def test_no_file(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none.json") == f"{tmp_path / 'none.json'} does not exist."
    (tmp_path / "file").write_text("[")
    assert "cannot be read: not a directory" in refusal(tmp_path / "file" / "none.json")
    with pytest.raises(InputError, match="cannot be read: embedded null"):
        read_masks("a\0b")
    for wrong in (None, 5, np.zeros((3, 4), bool)):
        with pytest.raises(InputError, match=r"^Masks are read from the path of a file or folder, not from a "):
            read_masks(wrong)  # type: ignore[arg-type]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes with names")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    assert "is a pipe or a device, not a file; give a PNG of labels or of a mask" in refusal(tmp_path / "pipe.json")


@pytest.mark.parametrize("suffix", [".png", ".json", ".npy", ".npz", ".txt"])
def test_an_empty_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"masks{suffix}"
    path.write_bytes(b"")
    assert refusal(path).endswith("is empty.")


@pytest.mark.parametrize("suffix", [".png", ".json", ".npy", ".npz", ".txt", ".pkl"])
def test_something_else_whatever_it_is_called(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"masks{suffix}"
    path.write_bytes(b"Dear all, here are the masks.\n" * 9)
    refusal(path)
    path.write_bytes(pickle.dumps([{"segmentation": [[True]]}]))
    refusal(path)


def test_other_kinds_are_named(tmp_path: Path) -> None:
    path = tmp_path / "masks"
    path.write_bytes(b"\x01\x02\xfe\xff" * 9)
    assert "YOLO's text, .npy, .npz or a folder of PNGs." in refusal(path)
    for name in ("masks", "masks.pkl"):
        (tmp_path / name).write_bytes(pickle.dumps([1]))
        assert "is a pickle, which is not read because it could run programs" in refusal(tmp_path / name)
    photo = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    Image.fromarray(photo).save(tmp_path / "photo.jpg")
    assert "it is a JPEG picture" in refusal(tmp_path / "photo.jpg")
    Image.fromarray(photo).save(tmp_path / "photo.png")
    assert "mode RGB" in refusal(tmp_path / "photo.png")


@pytest.mark.parametrize(
    "name", ["labels.png", "labels.npy", "stack.npy", "none.npy", "folder", "coco.json", "list.json"]
)
def test_no_entities(tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str) -> None:
    path = tmp_path / name
    nothing = np.zeros((3, 4), np.uint8)
    if name == "folder":
        path.mkdir()
        Image.fromarray(nothing).save(path / "1.png")
    elif name == "labels.png":
        Image.fromarray(nothing).save(path)
    elif name == "coco.json":
        path.write_text(json.dumps({"images": [{"id": 1, "height": 3, "width": 4}], "annotations": []}))
    elif name == "list.json":
        path.write_text("[]")
    else:
        np.save(path, {"labels": nothing, "stack": nothing[None], "none": nothing[None][:0]}[path.stem])
    with pytest.raises(InputError, match=r"does not hold any masks: no pixel belongs to an entity\.$"):
        read_masks(path, (3, 4))
    caplog.set_level("INFO", "esg")
    found = read_masks(path, (3, 4), photo="in/cat.jpg", may_be_empty=True)
    assert (found.labels.shape, found.labels.any(), len(found)) == ((3, 4), False, 0)
    assert caplog.messages == [f"{path} does not hold any masks of cat.jpg: no pixel belongs to an entity."]


@pytest.mark.parametrize("score", [np.nan, np.inf, -np.inf])
def test_scores_that_are_no_numbers(tmp_path: Path, score: float) -> None:
    assert read_masks(overlapping(tmp_path, [score] * 3)).scores.tolist() == [1.0] * 3
    record = {"segmentation": [[1]], "predicted_iou": score}
    (tmp_path / "sam.json").write_text(json.dumps([record]))
    assert read_masks(tmp_path / "sam.json").scores.tolist() == [1.0]
    np.savez(tmp_path / "labels.npz", labels=np.array([[1]]), scores=np.array([score]))
    assert "finite numbers" in refusal(tmp_path / "labels.npz")


def test_sentences_without_the_name_of_the_file_get_it(tmp_path: Path) -> None:
    path = tmp_path / "labels.npz"
    np.savez(path, labels=np.array([[5]]), scores=np.ones(3))
    assert refusal(path) == f"{path}: label 5 has no score: only 3 scores were given."


# ---------------------------------------------------------------------------------------------------- before long work


@pytest.mark.parametrize("name", sorted({**WITH_SCORES, **WITHOUT_SCORES}))
def test_what_is_taken_for_the_only_photo_whatever_its_name_is_and_for_one_of_several_is_not(
    tmp_path: Path, name: str
) -> None:
    {**WITH_SCORES, **WITHOUT_SCORES}[name](small(), tmp_path / name)
    suffix = {".json": "JSON", ".npy": "ARRAYS", ".npz": "ARRAYS", ".png": "LABELS", "": "FOLDER"}
    assert kind_of(tmp_path / name).name == suffix[(tmp_path / name).suffix]
    assert len(read_masks(tmp_path / name, photo="a.jpg")) == 3
    assert tells_photos_apart(tmp_path / name) == (name in ("coco.json", "polygons.json"))
    with pytest.raises(InputError, match=r"none is called a\.jpg|does not say which photo its masks belong to"):
        read_masks(tmp_path / name, photo="a.jpg", by_name=True)


def test_what_is_no_file_of_masks_is_known_before_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "diary.txt").write_text("dear diary")
    (tmp_path / "masks.json").write_text("{")
    for name, words in (("none.png", "does not exist"), ("diary.txt", "is not a mask file that ESG can read")):
        for read in (kind_of, tells_photos_apart):
            with pytest.raises(InputError, match=words):
                read(tmp_path / name)
    with pytest.raises(InputError, match="is not a JSON file, or is incomplete"):
        tells_photos_apart(tmp_path / "masks.json")
