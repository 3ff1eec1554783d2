"""Folders of PNGs, one per mask."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from esg.entities.importing.folder import read_folder
from esg.entities.rle import area, decode_mask
from esg.support.errors import InputError


def save(path: Path, *inside: int, mode: str = "L", length: int = 4, **options: object) -> None:
    """A white pixel at every place `inside` of a row of black ones."""
    pixels = np.zeros((1, length), np.uint8)
    pixels[0, list(inside)] = 255
    Image.fromarray(pixels).convert(mode).save(path, **options)


def read(folder: Path) -> list[list[int]]:
    return [np.flatnonzero(decode_mask(mask)).tolist() for mask in read_folder(folder).rles]


def test_masks_come_in_the_natural_order_of_their_names(tmp_path: Path) -> None:
    for place, name in enumerate(["mask2.png", "mask10.PNG", "mask10b.png", "x.png"]):
        save(tmp_path / name, place, format="PNG")
    save(tmp_path / ".hidden.png", 0, 1, 2)
    save(tmp_path / "photo.jpg", 3)
    (tmp_path / "notes.txt").write_text("none")
    assert read(tmp_path) == [[0], [1], [2], [3]]
    assert read_folder(tmp_path).scores is None


@pytest.mark.parametrize("mode", ["1", "L", "I;16", "LA", "RGB", "RGBA"])
def test_black_and_white_in_any_mode(tmp_path: Path, mode: str) -> None:
    if mode == "I;16":
        Image.fromarray(np.array([[0, 65535, 65535, 0]], np.uint16)).save(tmp_path / "1.png")
    else:
        save(tmp_path / "1.png", 1, 2, mode=mode)
    assert read(tmp_path) == [[1, 2]]


def test_soft_edges_are_cut_at_half(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 127, 128, 255]], np.uint8)).save(tmp_path / "1.png")
    assert read(tmp_path) == [[2, 3]]


def test_scores_of_sams_own_script(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for k in range(11):
        save(tmp_path / f"{k}.png", 0)
    table = tmp_path / "metadata.csv"
    table.write_text("id,area,predicted_iou\n" + "".join(f"{k},1,0.{k + 10}\n" for k in range(11)))
    assert read_folder(tmp_path).scores == [float(f"0.{k + 10}") for k in range(11)]
    table.write_text("id,area,predicted_iou\n0,1,0.5\n")
    assert read_folder(tmp_path).scores is None
    assert "metadata.csv does not have a predicted_iou for 1.png; all masks have the score 1" in caplog.text
    table.write_text("id,area,predicted_iou\n0,1,high\n")
    assert read_folder(tmp_path).scores is None
    assert "metadata.csv cannot be read" in caplog.text
    table.write_text("photo,licence\n1,CC0\n")
    assert read_folder(tmp_path).scores is None


def test_a_table_that_may_not_be_looked_at_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path / "1.png", 0)
    stat = os.stat

    def refuse(path: str | Path, *rest: object, **options: object) -> os.stat_result:
        if str(path).endswith("metadata.csv"):
            raise PermissionError
        return stat(path, *rest, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "stat", refuse)
    assert read_folder(tmp_path).scores is None


def test_a_folder_without_masks(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    save(tmp_path / "inner" / "1.png", 0)
    with pytest.raises(
        InputError, match="does not have any pictures of masks; put one black and white PNG per mask in it"
    ):
        read_folder(tmp_path)
    with pytest.raises(InputError, match="cannot be read"):
        read_folder(tmp_path / "none")


def test_mixed_sizes_name_two_files(tmp_path: Path) -> None:
    save(tmp_path / "1.png", 0)
    save(tmp_path / "2.png", 0, length=5)
    with pytest.raises(InputError, match=r"one size, but 1\.png has 4x1 pixels and 2\.png has 5x1\.$"):
        read_folder(tmp_path)
    with pytest.raises(InputError, match=r"1\.png holds masks of 4x1 pixels, but the photo has 9x9"):
        read_folder(tmp_path, (9, 9))


def test_pictures_that_are_no_masks_are_named(tmp_path: Path) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (4, 4, 3), np.uint8)
    Image.fromarray(photo).save(tmp_path / "1.png")
    with pytest.raises(InputError, match=r"1\.png is a colour picture, not a mask"):
        read_folder(tmp_path)
    Image.new("RGBA", (4, 4), (255, 255, 255, 100)).save(tmp_path / "1.png")
    assert read(tmp_path) == [list(range(16))]  # evenly transparent, and white
    Image.fromarray(np.arange(16, dtype=np.uint8).reshape(4, 4)).save(tmp_path / "1.png")
    with pytest.raises(InputError, match=r"1\.png is a label map, not a mask; give it by itself"):
        read_folder(tmp_path)
    (tmp_path / "1.png").write_bytes((tmp_path / "1.png").read_bytes()[:50])
    with pytest.raises(InputError, match=r"1\.png is damaged or incomplete"):
        read_folder(tmp_path)
    (tmp_path / "1.png").write_text("no picture")
    with pytest.raises(InputError, match=r"1\.png is not a picture"):
        read_folder(tmp_path)


def test_more_masks_than_can_be_numbered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("esg.entities.importing.folder.MAX_MASKS", 1)
    save(tmp_path / "1.png", 0)
    assert len(read_folder(tmp_path).rles) == 1
    save(tmp_path / "2.png", 0)
    with pytest.raises(InputError, match="has 2 masks, more than the limit of 1"):
        read_folder(tmp_path)


def test_files_that_are_not_masks_are_named_with_the_reason(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    mask = np.zeros((12, 16), np.uint8)
    mask[2:6, 2:6] = 255
    photo = np.random.default_rng(0).integers(30, 220, (12, 16), np.uint8)
    photo[0, 0] = 255
    labels = np.repeat(np.array([[0, 80, 160, 240]], np.uint8), 12, 0).repeat(4, 1)
    for name, pixels in (("mask", mask), ("photo", photo), ("labels", labels)):
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    Image.fromarray(mask).save(tmp_path / "other.jpg")
    caplog.set_level(logging.INFO, "esg")
    assert area(read_folder(tmp_path).rles[0]) == 16
    assert len(read_folder(tmp_path).rles) == 1
    assert "photo.png is a grey picture such as a photo, not a mask" in caplog.text
    assert "labels.png is a label map, not a mask; give it by itself instead of the folder" in caplog.text
    assert "only PNGs are masks; other.jpg and the like are ignored" in caplog.text


def test_soft_masks_and_trimaps_of_a_folder_are_masks(tmp_path: Path) -> None:
    soft = np.zeros((12, 16), np.uint8)
    soft[2:6, 2:6], soft[3:5, 3:5] = 100, 255
    trimap = np.repeat(np.array([[0, 128, 255]], np.uint8), 12, 0).repeat(6, 1)[:, :16]
    Image.fromarray(soft).save(tmp_path / "1.png")
    Image.fromarray(trimap).save(tmp_path / "2.png")
    assert [area(mask) for mask in read_folder(tmp_path).rles] == [4, 120]


def test_a_folder_of_arrays(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    masks = np.zeros((2, 12, 16), bool)
    masks[0, 2:6, 2:6], masks[1, 6:10, 9:14] = True, True
    np.save(tmp_path / "1.npy", masks[0])
    np.save(tmp_path / "2.npy", masks[1].astype(np.int64))
    np.save(tmp_path / "3.npy", masks[1] * 7)
    assert [area(mask) for mask in read_folder(tmp_path, (12, 16)).rles] == [16, 20]
    assert "3.npy holds a label map or several masks, not one mask; give it by itself" in caplog.text


def test_every_frame_is_a_mask(tmp_path: Path) -> None:
    frames = [Image.fromarray(np.array([row], np.uint8)) for row in ([255, 0, 0], [0, 255, 0])]
    frames[0].save(tmp_path / "a.tif", save_all=True, append_images=frames[1:])
    Image.fromarray(np.array([[0, 0, 255]], np.uint8)).save(tmp_path / "b.tif")
    assert read(tmp_path) == [[0], [1], [2]]
