"""`esg segment`: photos and folders of photos in, files and one line per photo out."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from esg import EntityMap, EntitySegmenter, read_image, read_masks
from esg.models.cropformer.model import CropFormer

OPTIONS: dict[str, Any] = {"size": 64, "max_size": 96, "min_score": 0}  # those of `segment`
SUFFIXES = ["entities.json", "labels.png", "overlay.jpg"]

Run = Callable[..., Any]
Written = Callable[[], list[str]]
MakePhoto = Callable[..., Path]


def test_a_photo(segment: Run, tiny_model: Path, tmp_path: Path, photo: Path, written: Written) -> None:
    result = segment(photo)
    assert result.status == 0
    (line,) = result.err
    assert line.startswith(f"{photo}: ")
    assert written() == [f"photo.{suffix}" for suffix in SUFFIXES]

    expected = EntitySegmenter.from_pretrained(tiny_model, device="cpu")(photo, **OPTIONS)
    assert len(expected) > 1
    assert f"{len(expected)} entities" in line
    assert EntityMap.from_labels_png(tmp_path / "out/photo.labels.png") == expected
    assert EntityMap.from_coco(tmp_path / "out/photo.entities.json") == expected
    assert json.loads((tmp_path / "out/photo.entities.json").read_text())["images"][0]["file_name"] == "photo.png"
    assert read_image(tmp_path / "out/photo.overlay.jpg").shape == (40, 60, 3)


def test_options_reach_the_segmenter(segment: Run, tiny_model: Path, tmp_path: Path, photo: Path) -> None:
    assert segment(photo, "--crops", 8, "--fusion", "bc", "--min-area", 50, "--views-at-once", 2).status == 0
    segmenter = EntitySegmenter.from_pretrained(tiny_model, device="cpu")
    expected = segmenter(photo, crops=8, fusion="bc", min_area=50, **OPTIONS)
    assert np.array_equal(EntityMap.from_labels_png(tmp_path / "out/photo.labels.png").labels, expected.labels)
    assert segment(photo, "--crops", 0, "--fill-holes", 20, "--remove-islands", 30).status == 0
    expected = segmenter(photo, crops=0, fill_holes=20, remove_islands=30, **OPTIONS)
    assert EntityMap.from_labels_png(tmp_path / "out/photo.labels.png") == expected


def test_the_network_is_compiled_only_if_asked(segment: Run, photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = []
    monkeypatch.setattr(CropFormer, "compile_levels", lambda model: compiled.append(model))
    assert segment(photo).status == 0
    assert not compiled
    assert segment(photo, "--compile").status == 0
    assert len(compiled) == 1


def test_an_empty_result_is_a_result(segment: Run, tmp_path: Path, photo: Path, written: Written) -> None:
    result = segment(photo, "--min-area", 2401, "--save", "overlay,labels,coco,masks")
    assert result.status == 0
    assert ": 0 entities in " in result.err[0]
    assert f" s -> {tmp_path / 'out/photo'}.*; " in result.err[0]
    assert written() == [f"photo.{suffix}" for suffix in SUFFIXES]
    assert len(EntityMap.from_labels_png(tmp_path / "out/photo.labels.png")) == 0


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        (("--min-score", 1), "; try a lower --min-score"),
        (("--min-area", 2401), "; try a lower --min-area"),  # above a --min-score of 0 there is none to show
        (("--min-score", 1, "--min-area", 2401), "; try a lower --min-score or --min-area"),
    ],
)
def test_without_entities_there_are_no_masks_to_write(
    segment: Run, photo: Path, written: Written, options: tuple[object, ...], hint: str
) -> None:
    (line,) = segment(photo, "--save", "masks", *options).err
    assert re.fullmatch(rf"{re.escape(str(photo))}: 0 entities in [\d.]+ s{hint}", line)
    assert written() == []


def test_there_is_no_hint_if_nothing_was_dropped(segment: Run, photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = EntityMap.from_labels(np.zeros((40, 60), np.int32))
    monkeypatch.setattr(EntitySegmenter, "__call__", lambda *_, **__: nothing)
    assert segment(photo).err[0].endswith("photo.*")


# --------------------------------------------------------------------------------------------- several photos, and none


def test_folders_keep_their_structure(segment: Run, tmp_path: Path, make_photo: MakePhoto, written: Written) -> None:
    for name in ("in/a.png", "in/a.jpg", "in/sub/b.png"):
        make_photo(tmp_path / name)
    result = segment(tmp_path / "in", "--save", "labels,coco")
    assert result.status == 0
    assert [line[:6] for line in result.err] == ["[1/3] ", "[2/3] ", "[3/3] "]
    names = ("a.jpg", "a.png", "sub/b")
    assert written() == [f"{name}.{suffix}" for name in names for suffix in SUFFIXES[:2]]
    coco = json.loads((tmp_path / "out/sub/b.entities.json").read_text())
    assert coco["images"][0]["file_name"] == "sub/b.png"


def test_a_bad_photo_does_not_stop_the_others(
    segment: Run, tmp_path: Path, make_photo: MakePhoto, written: Written
) -> None:
    good, bad, last = make_photo(tmp_path / "a.png"), tmp_path / "b.png", make_photo(tmp_path / "c.png")
    bad.write_text("no picture")
    result = segment(good, bad, tmp_path / "missing.jpg", last, "--save", "coco")
    assert result.status == 2
    assert written() == ["a.entities.json", "c.entities.json"]
    assert len(result.err) == 5
    assert "b.png is not a picture" in result.err[0]  # which is known before the work
    assert "missing.jpg does not exist" in result.err[1]
    assert [line[:6] for line in result.err[2:4]] == ["[1/4] ", "[4/4] "]
    assert result.err[4] == f"esg: 2 of 4 photos could not be segmented: {bad}, {tmp_path / 'missing.jpg'}"


def test_a_photo_that_the_system_refuses_does_not_stop_the_others(
    segment: Run, tmp_path: Path, photo: Path, written: Written
) -> None:
    result = segment(tmp_path / ("x" * 300), photo, "--save", "coco")
    assert result.status == 2
    assert written() == ["photo.entities.json"]
    assert result.err[0].endswith("x' cannot be opened: file name too long.")


def test_a_missing_photo(segment: Run, tmp_path: Path, written: Written) -> None:
    segment(tmp_path / "photo.jpg").refused("photo.jpg does not exist")
    assert written() == []


def test_a_folder_without_photos(segment: Run, tmp_path: Path, written: Written) -> None:
    (tmp_path / "in").mkdir()
    segment(tmp_path / "in").refused("There are no pictures", str(tmp_path / "in"))
    assert written() == []


def test_a_folder_without_photos_among_others(segment: Run, tmp_path: Path, photo: Path, written: Written) -> None:
    (tmp_path / "in").mkdir()
    result = segment(tmp_path / "in", photo, "--save", "labels")
    assert (result.status, result.err[1:]) == (2, [f"esg: The folder {tmp_path / 'in'} does not contain any pictures."])
    assert written() == ["photo.labels.png"]


# ---------------------------------------------------------------------------------------------- options and the machine


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--device", "tpu9"), "device 'tpu9' cannot be used"),
        (("--device", "meta"), "device 'meta' cannot be used"),
        (("--precision", "fp16"), "fp16 is for GPUs"),
        (("--fusion", "bc", "--crops", 0), "uses only crops, but crops is 0"),
    ],
)
def test_options_that_do_not_go_together(
    segment: Run, photo: Path, written: Written, options: tuple[object, ...], words: str
) -> None:
    segment(photo, photo, *options).refused(words)
    assert written() == []


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB."),
        RuntimeError("[enforce fail at alloc_cpu.cpp:1] DefaultCPUAllocator: can't allocate memory: you tried …"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes."),
        RuntimeError("MPS backend out of memory (MPS allocated: 1 GB)"),
    ],
)
def test_no_memory_for_one_photo(
    segment: Run,
    tmp_path: Path,
    photo: Path,
    make_photo: MakePhoto,
    written: Written,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    call = EntitySegmenter.__call__

    def first_fails(self: EntitySegmenter, image: np.ndarray, **options: Any) -> EntityMap:
        if image.shape == (40, 60, 3):
            raise error
        return call(self, image, **options)

    monkeypatch.setattr(EntitySegmenter, "__call__", first_fails)
    result = segment(photo, make_photo(tmp_path / "small.png", (30, 30)), "--save", "labels")
    assert result.status == 2
    assert "photo.png needs more memory than is available; try --views-at-once 1" in result.err[0]
    assert written() == ["small.labels.png"]


def test_a_bug_keeps_its_stack_trace(segment: Run, photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(EntitySegmenter, "__call__", broken)
    with pytest.raises(RuntimeError, match="shapes do not match"):
        segment(photo)


def test_one_coco_file_about_all_photos(
    segment: Run, tmp_path: Path, make_photo: MakePhoto, photo: Path, written: Written
) -> None:
    other = make_photo(tmp_path / "in/other.png", (30, 50))
    (tmp_path / "in/bad.png").write_text("no picture")
    file = tmp_path / "new/coco.json"
    result = segment(photo, tmp_path / "in", "--save", "labels", "--dataset", file)
    assert result.status == 2  # of the bad one
    assert f"2 photos -> {file}" in result.err
    content = json.loads(file.read_text(encoding="utf-8"))
    assert [(image["id"], image["file_name"]) for image in content["images"]] == [(1, "photo.png"), (2, "other.png")]
    ids = [annotation["id"] for annotation in content["annotations"]]
    assert ids == list(range(1, len(ids) + 1))
    for name, image_id in (("photo", 1), ("other", 2)):
        expected = EntityMap.from_labels_png(tmp_path / f"out/{name}.labels.png")
        assert EntityMap.from_coco(file, image_id=image_id) == expected
        assert read_masks(file, photo=f"{name}.png") == expected
    assert segment(other, "--save", "labels", "--dataset", file, "--polygons").status == 0
    content = json.loads(file.read_text(encoding="utf-8"))
    assert all(isinstance(annotation["segmentation"], list) for annotation in content["annotations"])
    assert EntityMap.from_coco(file) == EntityMap.from_labels_png(tmp_path / "out/other.labels.png")


@pytest.mark.usefixtures("without_model")
def test_a_folder_is_refused_as_dataset_file(segment: Run, tmp_path: Path, photo: Path) -> None:
    segment(photo, "--dataset", tmp_path).refused(f"{tmp_path} is a folder; give a file name")


def test_files_for_other_tools(segment: Run, tmp_path: Path, photo: Path, written: Written) -> None:
    assert segment(photo, "--save", "labels,polygons,labelme,yolo,cvat,panoptic").status == 0
    files = ["cvat.xml", "json", "panoptic.json", "panoptic.png", "polygons.json", "txt"]
    assert written() == sorted(f"photo.{suffix}" for suffix in [*files, "labels.png"])
    expected = EntityMap.from_labels_png(tmp_path / "out/photo.labels.png")
    for suffix in files:
        found = read_masks(tmp_path / f"out/photo.{suffix}", (40, 60), photo=photo)
        if suffix in ("json", "polygons.json"):
            assert found == expected
        else:  # without scores
            assert found == EntityMap.from_labels(expected.labels)
