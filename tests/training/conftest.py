"""A CropFormer so small that whole runs take seconds."""

from __future__ import annotations

import pytest

from esg.models.cropformer.config import PRESETS, CropFormerConfig, Preset
from esg.models.layers.swin import SwinConfig


@pytest.fixture(autouse=True)
def _without_curves(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing the curves takes longer than a tiny run, so only tests that ask for `curves` draw them."""
    if "curves" not in request.fixturenames:
        monkeypatch.setattr("esg.training.loop.plot", lambda run_dir: None)


@pytest.fixture
def curves() -> None:
    """Runs draw their curves, as they do outside of tests."""


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a preset of 0.1 M parameters with the full structure."""
    backbone = SwinConfig(width=8, depths=(1, 1, 1, 1), heads=(1, 1, 2, 2), window=4)
    config = CropFormerConfig(
        backbone,
        queries=8,
        width=32,
        heads=2,
        decoder_layers=1,
        decoder_ffn=32,
        encoder_layers=1,
        encoder_ffn=32,
        points=2,
    )
    monkeypatch.setitem(PRESETS, "tiny", Preset(config))
    return "tiny"
