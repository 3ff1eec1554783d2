"""Training GELLA: what its losses ask for, and whole runs of a tiny model."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

from esg.errors import InputError
from esg.gella.checkpoint import read_gella
from esg.gella.config import PRESETS
from esg.gella.model import Heard, Reconstruction
from esg.modeling.mask_decoder import Prediction
from esg.training.checkpoint import export, load_checkpoint
from esg.training.gella import GellaTask, GellaTrainConfig, association_loss, tied
from esg.training.loop import train
from esg.training.losses import LossConfig
from esg.training.narratives import NarrativeConfig
from esg.training.plot import read_log

RUN = GellaTrainConfig(
    preset="tiny",
    steps=3,
    samples=NarrativeConfig(batch=2, texts=2, sides=(48, 64)),
    loss=LossConfig(points=64),
    warmup=1,
    precision="fp32",
    device="cpu",
    workers=0,
    measure_steps=0,
)


@pytest.fixture
def tiny_task(speaker: Any, monkeypatch: pytest.MonkeyPatch) -> GellaTask:
    monkeypatch.setitem(PRESETS, "tiny", speaker[0])
    return GellaTask(RUN, speaker[1])


def test_a_run_learns_and_its_weights_are_a_file(tiny_task: GellaTask, tmp_path: Path) -> None:
    before = tiny_task.model(new=True).state_dict()
    rows = read_log(train(tiny_task, tmp_path / "run"))
    terms = {"answer", "association", "words", "seen", "anchor_bce", "anchor_dice", "mask_ce", "mask_bce", "mask_dice"}
    assert terms <= {name for row in rows for name in row}
    out = export(tmp_path / "run", tiny_task, tmp_path / "out.safetensors")
    after = read_gella(out)[0].state_dict()
    own = {name.removeprefix("gella."): value.half().float() for name, value in before.items()}
    changed = {name.split(".")[0] for name in after if not torch.equal(own[name], after[name])}
    assert {"language", "colormap", "blend", "pixel_decoder", "decoder", "association"} <= changed


def test_an_interrupted_run_ends_like_an_uninterrupted_one(tiny_task: GellaTask, tmp_path: Path) -> None:
    train(tiny_task, tmp_path / "whole")
    first = GellaTask(dataclasses.replace(RUN, steps=1, cooldown=0.0), tiny_task.tokenizer)
    rest = GellaTask(dataclasses.replace(RUN, cooldown=0.0), tiny_task.tokenizer)
    train(rest, tmp_path / "steady")
    train(first, tmp_path / "parts")
    train(rest, tmp_path / "parts")
    a, b = (load_checkpoint(tmp_path / name) for name in ("steady", "parts"))
    assert a is not None
    assert b is not None
    assert all(torch.equal(a["model"][name], b["model"][name]) for name in a["model"])


def test_language_alone_asks_for_no_masks(tiny_task: GellaTask) -> None:
    config = dataclasses.replace(RUN, samples=dataclasses.replace(RUN.samples, tasks=(0.5, 0.5, 0.0)))
    task = GellaTask(config, tiny_task.tokenizer)
    batch = next(task.batches(0, 1, 0))
    terms = task.losses(task.model(new=True), batch, torch.device("cpu"), torch.autocast("cpu", enabled=False))
    assert set(terms) == {"answer"}
    assert terms["answer"].item() > 1


def test_association_is_asked_of_the_queries_that_reconstruct_an_entity() -> None:
    labels = torch.ones(1, 8, 8, dtype=torch.int32)
    labels[..., 4:] = 2  # entity 1 on the left, entity 2 on the right
    features = torch.tensor([[1.0, -1.0], [1.0, -1.0]]).expand(1, 1, 2, 2)
    shown = [Prediction(torch.zeros(1, 3, 2), torch.tensor([[[1.0], [-1.0], [0.0]]]))]  # the last one shows nothing
    masks = Reconstruction(features, shown, None, torch.zeros(1, 3, 32))
    answers, grid = torch.zeros(1, 300), torch.zeros(1, 4, 2, 2)
    heard = Heard(answers, torch.zeros(1).long(), grid, masks, [0], [torch.tensor([[9.0, -9.0, 123.0]])])
    ties = tied(masks, labels)
    right, wrong = (
        float(association_loss(heard, ties, [torch.tensor([truth])])) for truth in ([True, False], [False, True])
    )
    assert right == pytest.approx(0, abs=1e-3)
    assert wrong == pytest.approx(9, abs=1e-3)


def test_an_unknown_preset_is_refused(speaker: Any) -> None:
    with pytest.raises(InputError, match=r"no preset 'gella-1b'.*gella-nano"):
        GellaTask(dataclasses.replace(RUN, preset="gella-1b"), speaker[1])
