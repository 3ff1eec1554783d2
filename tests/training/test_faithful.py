"""GELLA as the paper writes it: what the switch sets, and that such a model trains."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

from esg.models.gella.checkpoint import read_gella
from esg.models.gella.config import PRESETS
from esg.models.gella.inference import GellaInference
from esg.training.checkpoint import export
from esg.training.faithful import faithful
from esg.training.gella import GellaTask, GellaTrainConfig
from esg.training.loop import train
from esg.training.losses import LossConfig
from esg.training.narratives import NarrativeConfig


@pytest.mark.parametrize("preset", PRESETS)
def test_nothing_is_left_that_the_paper_does_not_have(preset: str) -> None:
    config = faithful(GellaTrainConfig(preset=preset, model={"blend": {"conv": False}, "decoder": {"queries": 60}}))
    model = config.architecture
    assert model.blend == dataclasses.replace(model.blend, conv=True, skip=False)
    assert (model.gap, model.projection, model.association_layers, model.mends) == (0, "linear", 1, False)
    assert (model.words, model.drafts, model.decoder.anchors) == (False, 1, None)
    assert model.colormap_side == model.vision.side
    assert (config.samples.augment, config.samples.wordings, config.all_queries) == (False, True, True)
    assert (config.loss.ce, config.loss.bce, config.loss.dice, config.association, config.auxiliary) == (1, 1, 1, 1, 0)
    assert config.encoder_norms == "synchronised"
    assert model.decoder.queries == 60  # sizes stay


def test_the_schedule_is_for_the_papers_sizes_only() -> None:
    assert faithful(GellaTrainConfig(preset="gella-7b", steps=5)).steps == 130_700
    nano = GellaTrainConfig(steps=5)
    assert (faithful(nano).steps, faithful(nano).lr, faithful(nano).samples.batch) == (5, nano.lr, nano.samples.batch)


def test_a_model_as_written_is_trained_and_written(
    speaker: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PRESETS, "tiny", speaker[0])
    start = GellaTrainConfig(
        preset="tiny",
        steps=2,
        samples=NarrativeConfig(batch=2, sides=(48, 64)),
        warmup=1,
        precision="fp32",
        device="cpu",
        workers=0,
        measure_steps=0,
        model={"colormap_side": 64},
    )
    config = faithful(start)
    small = {"model": {**config.model, "colormap_side": 48}, "loss": LossConfig(ce=1, bce=1, dice=1, points=64)}
    task = GellaTask(dataclasses.replace(config, **small), speaker[1])
    train(task, tmp_path / "run")
    model, tokenizer = read_gella(export(tmp_path / "run", task, tmp_path / "out.safetensors"))
    assert model.config == task.architecture
    assert not GellaInference(model, tokenizer).mends
    assert all(torch.isfinite(value).all() for value in model.parameters())
