from __future__ import annotations

from pathlib import Path

import pytest
from text_sets import polygon, write_wild

from esg.data.wild import WILD_SETS, WildSets
from esg.support.errors import InputError


def test_sets_of_a_folder(tmp_path: Path) -> None:
    write_wild(tmp_path, "Puppies", ["puppy"], [(1, polygon(0, 0, 2, 2))])
    write_wild(tmp_path, "Hand-Metal", ["hand", "metal"], [])
    data = WildSets(tmp_path)
    assert data.names == ("Hand-Metal", "Puppies")
    assert len(data.missing) == 23
    assert set(data.names) | set(data.missing) == set(WILD_SETS)
    assert [one.name for one in data.open("Hand-Metal").categories] == ["hand", "metal"]
    assert data.open("Puppies")[0].image().shape == (4, 6, 3)
    assert WildSets(tmp_path / "Puppies").names == ("Puppies",)


def test_wrong_folders_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"Airplane-Parts/valid/_annotations_min1cat\.coco\.json"):
        WildSets(tmp_path)
    with pytest.raises(InputError, match="does not list any categories"):
        WildSets(write_wild(tmp_path, "Hand", [], [])).open("Hand")
