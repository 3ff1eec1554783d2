"""The cheap part of `python -m benchmarks.parity`: the smallest fixtures of every kind of model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import parity

CHEAP = [
    "cropformer_swin_tiny_3x_A_128",
    "cropformer_swin_tiny_3x_B_128",
    "mask2former_swin_tiny_3x_A_128",
    "instance_mask2former_R_50_A_128",
]
COSTLY = ["cropformer_hornet_3x_A_128_qk1", "mask2former_hornet_3x_A_128", "cropformer_swin_large_3x_A_128"]


def failures(folder: Path, name: str) -> list[parity.Check]:
    match = parity.NAME.fullmatch(name)
    assert match is not None
    with np.load(folder / f"{name}.npz") as archive:
        fixture = dict(archive)
    gain = 1.0 if match["gain"] else 3.0
    checks = list(
        parity.compare(fixture, parity.Reference(folder), match["config"], match["image"], int(match["size"]), gain)
    )
    assert len(checks) >= 12
    return [check for check in checks if not check.passed]


@pytest.mark.parametrize("name", CHEAP)
def test_ours_computes_what_the_authors_code_computes(shared: Path, name: str) -> None:
    assert failures(shared / "reference" / "fixtures", name) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", COSTLY)
def test_large_models_too(shared: Path, name: str) -> None:
    assert failures(shared / "reference" / "fixtures", name) == []


def test_a_difference_is_found(shared: Path) -> None:
    """The comparison can fail, and only where fixture and model differ."""
    folder = shared / "reference" / "fixtures"
    with np.load(folder / "mask2former_swin_tiny_3x_A_128.npz") as archive:
        fixture = dict(archive)
    fixture["backbone_res2_sample"] = fixture["backbone_res2_sample"] * 1.001
    fixture["label_map"] = np.roll(fixture["label_map"], 1, axis=1)
    checks = parity.compare(fixture, parity.Reference(folder), "mask2former_swin_tiny_3x", "A", 128, 3.0)
    assert {check.stage for check in checks if not check.passed} == {"backbone res2", "label map"}
