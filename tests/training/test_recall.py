"""Measuring a GELLA in training: the figures are those of the given weights, and nothing else changes."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest
import torch

from esg.evaluation.narratives import evaluate_narratives
from esg.grounder import Grounder
from esg.models.gella.inference import GellaInference
from esg.models.gella.model import Gella
from esg.support.errors import NoNumbers
from esg.training.auxiliary import GellaInTraining
from esg.training.recall import FIGURES, measure_narratives

CPU, SCENES = torch.device("cpu"), 2
SEEDS = (1, 2)  # of weights that understand these scenes in different ways


def pupil(speaker: Any, seed: int) -> GellaInTraining:
    torch.manual_seed(seed)
    return GellaInTraining(Gella(speaker[0])).train()


def test_the_figures_are_those_of_the_weights_that_are_lent(speaker: Any) -> None:
    own, other = (pupil(speaker, seed) for seed in SEEDS)
    before = {name: value.clone() for name, value in own.state_dict().items()}
    theirs = {name: value.clone() for name, value in other.state_dict().items()}
    found = [measure_narratives(own, state, speaker[1], SCENES, CPU, torch.float32) for state in (before, theirs)]
    assert all(torch.equal(value, before[name]) for name, value in own.state_dict().items())
    assert all(module.training for module in own.modules())
    for figures, judged in zip(found, (own, other), strict=True):
        expected = evaluate_narratives(Grounder(GellaInference(judged.gella, speaker[1])), SCENES)
        assert figures == {name: expected[name] for name in FIGURES if name in figures}
        assert {"AR", "noun_recall"} <= figures.keys()
    assert found[0] != found[1]


def test_weights_that_compute_no_numbers(speaker: Any) -> None:
    model = pupil(speaker, SEEDS[0])
    state = model.state_dict()
    huge = {name: value * 1e30 if value.is_floating_point() else value for name, value in state.items()}
    assert all(value.isfinite().all() for value in huge.values())
    with pytest.raises(NoNumbers, match="features that are NaN or infinite"):
        measure_narratives(model, huge, speaker[1], SCENES, CPU, torch.float32)
    assert model.training


def test_nan_scores_are_reported(speaker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = GellaInference.scores
    monkeypatch.setattr(GellaInference, "scores", lambda *args: scores(*args) * np.float32("nan"))
    model = pupil(speaker, SEEDS[0])
    with pytest.raises(NoNumbers, match="scores that are NaN or infinite"):
        measure_narratives(model, model.state_dict(), speaker[1], SCENES, CPU, torch.float32)
    assert model.training


def test_single_scenes_are_not_logged(speaker: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "esg")
    model = pupil(speaker, SEEDS[0])
    measure_narratives(model, model.state_dict(), speaker[1], 1, CPU, torch.float32)
    assert caplog.messages == []
    evaluate_narratives(Grounder(GellaInference(model.gella, speaker[1])), 1)
    assert "too small" in caplog.text
