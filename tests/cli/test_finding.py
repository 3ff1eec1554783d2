"""--masks of `esg caption`, `esg ground` and `esg inpaint`: the photo they belong to, and missing files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from esg import EntityMap

pytest.importorskip("cv2", reason="`esg inpaint` needs OpenCV", exc_type=ImportError)

Run = Callable[..., Any]
MakePhoto = Callable[..., Path]

ENTITIES = EntityMap.from_labels(np.repeat([[0, 1, 2, 0]], 10, axis=1).repeat(40, axis=0))

COMMANDS = {
    "caption": ("--drafts", 2, "--max-tokens", 9),
    "ground": ("--phrases", "disc"),
    "inpaint": ("--entity", 2),
}


@pytest.fixture(params=COMMANDS)
def command(request: pytest.FixtureRequest, esg: Run, tiny_gella: Path, tmp_path: Path) -> Run:
    """Runs one of the commands with a tiny model; where it writes files, into the folder `tmp_path / "out"`."""
    out = () if request.param == "caption" else ("--out", tmp_path / "out")
    options = ("--model", tiny_gella, "--device", "cpu", *COMMANDS[request.param], *out)
    return lambda *arguments: esg(request.param, *options, *arguments)


@pytest.fixture
def photos(tmp_path: Path, make_photo: MakePhoto) -> list[Path]:
    """Two photos of the entities' size."""
    return [make_photo(tmp_path / name, (40, 40)) for name in ("one.png", "other.png")]


def put(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content))
    return path


def test_the_masks_of_one_photo_are_not_put_on_another(command: Run, tmp_path: Path, photos: list[Path]) -> None:
    masks = put(tmp_path / "masks.json", ENTITIES.to_coco(file_name="one.png"))
    one, other = photos
    result = command(one, other, "--masks", masks)
    assert result.status == 2
    assert f"esg: {other}: {masks} describes 1 picture (one.png), and none is called other.png" in "".join(result.err)
    assert result.err[-1].endswith(f": {other}")
    assert any(line.startswith(f"{one}: ") for line in result.out)
    assert not any(line.startswith(f"{other}: ") for line in result.out)


def test_of_a_single_photo_they_are_whatever_its_name_is(command: Run, tmp_path: Path, photos: list[Path]) -> None:
    masks = put(tmp_path / "masks.json", ENTITIES.to_coco(file_name="before_it_was_renamed.png"))
    assert command(photos[1], "--masks", masks).status == 0


@pytest.mark.usefixtures("without_model")
def test_files_that_do_not_say_whose_masks_they_hold_are_not_for_several(
    command: Run, tmp_path: Path, photos: list[Path]
) -> None:
    ENTITIES.save_labels_png(tmp_path / "masks.png")
    np.save(tmp_path / "masks.npy", ENTITIES.labels)
    rles = ENTITIES.to_rles()
    files = [
        tmp_path / "masks.png",
        tmp_path / "masks.npy",
        put(tmp_path / "sam.json", [{"segmentation": mask} for mask in rles]),
        put(tmp_path / "results.json", [{"image_id": 1, "segmentation": mask} for mask in rles]),
        put(tmp_path / "sa-1b.json", {"image": {"file_name": "one.png", "height": 40, "width": 40}, "annotations": []}),
    ]
    for masks in files:
        command(*photos, "--masks", masks).refused(
            f"{masks} holds the masks of one photo, but there are 2", "COCO file"
        )


@pytest.mark.usefixtures("without_model")
def test_invalid_masks_are_reported_before_any_work(command: Run, tmp_path: Path, photos: list[Path]) -> None:
    command(photos[0], "--masks", tmp_path / "no.png").refused(f"{tmp_path / 'no.png'} does not exist")
    (tmp_path / "diary.txt").write_text("dear diary")
    command(photos[0], "--masks", tmp_path / "diary.txt").refused("diary.txt is not a mask file that ESG can read")
    (tmp_path / "masks.json").write_text("[{")
    command(*photos, "--masks", tmp_path / "masks.json").refused("masks.json is not a JSON file, or is incomplete")
