"""Lists of names: those of COCO and ADE20K, and the user's own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from esg.entities.name_lists import NameList
from esg.support.errors import InputError


@pytest.mark.parametrize(("name", "count", "things"), [("coco", 133, 80), ("ade20k", 150, 100)])
def test_the_known_lists(name: str, count: int, things: int) -> None:
    names = NameList.read(name)
    assert len(names.spoken) == len(names.categories.names) == len(set(names.categories.ids)) == count
    assert sum(names.categories.things) == things
    assert len({one.casefold() for one in names.spoken}) == count


def test_cocos_list_is_that_of_its_files(shared: Path) -> None:
    path = shared / "data/coco_panoptic/val/panoptic.json"
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    assert NameList.read(path) == NameList.read("coco")


def test_known_names_are_spoken_as_people_do() -> None:
    coco, ade = NameList.read("coco"), NameList.read("ADE20K")
    assert dict(zip(coco.categories.names, coco.spoken))["wall-other-merged"] == "wall"
    assert dict(zip(ade.categories.names, ade.spoken))["washer, automatic washer, washing machine"] == "washing machine"
    assert NameList.read(["light", "wall-other-merged"]).spoken == ("lamp", "wall")  # of COCO
    assert NameList.read(["light", "lamp"]).spoken == ("light", "lamp")  # of ADE20K
    assert NameList.read(["gear, cog", "bolt"]).spoken == ("gear", "bolt")


def test_own_lists(tmp_path: Path) -> None:
    text, coco = tmp_path / "names.txt", tmp_path / "names.json"
    text.write_text(" red  ball \n\nsky\n")
    coco.write_text(json.dumps({"categories": [{"id": 7, "name": "sky", "isthing": 0}, {"id": 3, "name": "ball"}]}))
    assert NameList.read(text).categories.names == ("red ball", "sky")
    assert NameList.read(text).categories.things == (True, True)
    assert NameList.read(coco).categories.ids == (3, 7)
    assert NameList.read(coco).categories.things == (True, False)


def test_lists_that_cannot_be_used(tmp_path: Path) -> None:
    empty = tmp_path / "empty.txt"
    empty.write_text("\n \n")
    with pytest.raises(InputError, match=r"empty\.txt has no names; write one per line"):
        NameList.read(empty)
    with pytest.raises(InputError, match=r"no list of names 'cocoa'; give coco, ade20k or a file"):
        NameList.read("cocoa")
    with pytest.raises(InputError, match="the name 'Ball' twice, for 'ball, sphere' and 'Ball'"):
        NameList.read(["ball, sphere", "Ball"])
