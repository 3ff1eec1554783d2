"""The fast part of `python -m benchmarks.parity`: the smallest fixtures of every type of model."""

from __future__ import annotations

from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks import parity

CHEAP = [
    "cropformer_swin_tiny_3x_A_128",
    "cropformer_swin_tiny_3x_B_128",
    "mask2former_swin_tiny_3x_A_128",
    "instance_mask2former_R_50_A_128",
]
COSTLY = ["cropformer_hornet_3x_A_128_qk1", "mask2former_hornet_3x_A_128", "cropformer_swin_large_3x_A_128"]


def comparison(folder: Path, name: str, **options: Any) -> list[parity.Check]:
    match = parity.NAME.fullmatch(name)
    assert match is not None
    with np.load(folder / f"{name}.npz") as archive:
        fixture = dict(archive)
    gain = 1.0 if match["gain"] else 3.0
    reference = parity.Reference(folder)
    return parity.compare(fixture, reference, match["config"], match["image"], int(match["size"]), gain, **options)


def failures(folder: Path, name: str) -> list[parity.Check]:
    checks = comparison(folder, name)
    assert len(checks) >= 12
    return [check for check in checks if not check.passed]


@pytest.mark.parametrize("name", CHEAP)
def test_ours_computes_what_the_authors_code_computes(shared: Path, name: str) -> None:
    assert failures(shared / "reference" / "fixtures", name) == []


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_single_precision_agrees_as_long_as_no_mask_decides(shared: Path, attention: str) -> None:
    """Up to the first heads: after them one bit of an attention mask moves everything, see `benchmarks/parity.py`."""
    options = {"precision": torch.float32, "attention": attention}
    checks = comparison(shared / "reference" / "fixtures", CHEAP[0], **options)
    early = list(takewhile(lambda check: "other heads" not in check.stage, checks))
    assert [check.stage for check in early][-1] == "image level: first head"
    assert [check for check in early if not check.passed] == []


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


def test_the_spread_is_what_rounding_alone_does(shared: Path) -> None:
    folder = shared / "reference" / "fixtures"
    with np.load(folder / "mask2former_swin_tiny_3x_A_128.npz") as archive:
        fixture = dict(archive)
    checks = parity.compare(fixture, parity.Reference(folder), "mask2former_swin_tiny_3x", "A", 128, 3.0, runs=1)
    spread = {check.stage: check.spread for check in checks if check.spread is not None}
    assert 0 < spread["backbone res2"] < 1e-5
    assert spread["image level: other heads"] > 10 * spread["mask features"]  # the decoder amplifies it
    assert not parity.Check("a stage", 2e-2, 3e-3, spread=1e-2).passed
    assert parity.Check("a stage", 2e-2, 3e-3, spread=3e-2).passed
