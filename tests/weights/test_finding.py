"""The places where weights are looked up on this machine, and the verification of a file."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import save, save_file

from esg import WeightsError
from esg.weights.finding import Verified, list_checkpoints, locate, record_sha256, verify

pytestmark = pytest.mark.usefixtures("hf_home")

HORNET = "CropFormer_model/Entity_Segmentation/CropFormer_hornet_3x/CropFormer_hornet_3x_03823a.pth"


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_order_of_places(hf_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From last to first: each new file goes before those that were there."""
    name = "cropformer-hornet-large"
    snapshots = hf_home / "hub" / "datasets--qqlu1992--Adobe_EntitySeg" / "snapshots"
    monkeypatch.setenv("ESG_WEIGHTS", str(tmp_path / "own"))
    for place in (
        snapshots / ("0" * 40) / HORNET,
        hf_home / "esg" / f"{name}.pth",
        tmp_path / "own" / "CropFormer_hornet_3x_03823a.pth",
        tmp_path / "own" / f"{name}.safetensors",
    ):
        touch(place)
        assert locate(name) == place
    found = {checkpoint.name: path for checkpoint, path in list_checkpoints() if path and not checkpoint.shipped}
    assert found == {name: place}


def test_newest_of_several_snapshots(hf_home: Path) -> None:
    snapshots = hf_home / "hub" / "datasets--qqlu1992--Adobe_EntitySeg" / "snapshots"
    for revision, age in ("a", 50), ("b", 0), ("c", 100):
        path = touch(snapshots / revision / HORNET)
        os.utime(path, (time.time() - age,) * 2)
    assert locate("cropformer-hornet-large") == snapshots / "b" / HORNET


def test_missing_weights_say_where_was_looked_and_how_to_get_them(
    hf_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ESG_WEIGHTS", str(tmp_path / "own"))
    with pytest.raises(WeightsError) as caught:
        locate("cropformer-swin-l")
    for part in (
        str(tmp_path / "own"),
        str(hf_home / "esg"),
        str(hf_home / "hub"),
        "esg weights download cropformer-swin-large",
    ):
        assert part in str(caught.value)


def test_paths(tmp_path: Path) -> None:
    file = touch(tmp_path / "a" / "mine.safetensors")
    touch(tmp_path / "a" / "mine.pth")
    assert locate(file) == locate(str(file)) == locate(tmp_path / "a") == locate(str(tmp_path / "a")) == file
    touch(tmp_path / "a" / "other.safetensors")
    with pytest.raises(WeightsError, match="several weight files"):
        locate(tmp_path / "a")
    with pytest.raises(WeightsError, match="does not contain a weight file"):
        locate(tmp_path)
    for missing in tmp_path / "nothing", str(tmp_path / "nothing"), "nothing.pth", "~nobody-here/mine.pth":
        with pytest.raises(WeightsError, match="does not exist"):
            locate(missing)


@pytest.mark.parametrize("wrong", [None, 5, ""])
def test_what_is_neither_a_name_nor_a_path(wrong: object) -> None:
    with pytest.raises(WeightsError, match=rf"^Give the name of a model .* or the path of a file, not {wrong!r}\.$"):
        locate(wrong)  # type: ignore[arg-type]


def test_places_that_the_system_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is too long stands for all that cannot be looked at, such as what lies in a folder of others."""
    refused = tmp_path / ("x" * 300)
    with pytest.raises(WeightsError, match=r"x cannot be read \(File name too long\)"):
        locate(refused)
    with pytest.raises(WeightsError, match="There is no model or file called"):
        locate("x" * 300)
    monkeypatch.setenv("ESG_WEIGHTS", str(refused))
    with pytest.raises(WeightsError, match="not on this machine"):
        locate("cropformer-swin-tiny")


def test_verify_without_record_reads_the_file(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(2, 3)}, tmp_path / "a.safetensors")
    checked = verify(tmp_path / "a.safetensors")
    assert (checked.recorded, checked.parameters) == (False, 6)


def test_verify_notices_a_change(tmp_path: Path) -> None:
    content = save({"a": torch.zeros(2, 3)})
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    record_sha256(path, digest)
    assert verify(path) == Verified(path, digest, recorded=True, parameters=6, names=frozenset("a"))
    path.write_bytes(content[:-1] + b"!")
    with pytest.raises(WeightsError, match="has changed since it was downloaded"):
        verify(path)


def test_verify_refuses_files_that_are_not_weights(tmp_path: Path) -> None:
    (tmp_path / "a.pth").write_text("<html>")
    with pytest.raises(WeightsError, match="web page"):
        verify(tmp_path / "a.pth")
