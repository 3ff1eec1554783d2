from __future__ import annotations

import pytest
import torch

from esg.models.cropformer.config import PRESETS
from esg.training.categories import READOUT, CropFormerInTraining, category_loss


def test_the_readout_is_beside_the_model(tiny: str) -> None:
    config = PRESETS[tiny].config
    pixels, frames = torch.randn(1, 2, 3, 64, 64), torch.tensor([[[0.0, 0, 1, 1], [0, 0, 0.7, 0.7]]])
    model = CropFormerInTraining(config, 5)
    output, told = model(pixels, frames)
    assert told is not None
    assert told.shape == (1, 2, 5, 8, 8)
    assert len(output.batch) == len(output.image)
    plain = CropFormerInTraining(config, 0)
    assert plain(pixels, frames, batch_level=False)[1] is None
    extra = model.state_dict().keys() - plain.state_dict().keys()
    assert extra
    assert all(name.startswith(READOUT) for name in extra)


def test_right_answers_cost_little_and_unknown_ones_nothing() -> None:
    labels = torch.zeros(1, 1, 16, 16, dtype=torch.int64)
    labels[..., :8], labels[..., 8:12], labels[..., 12:] = 1, 2, -1
    kinds = torch.tensor([[2, -1]])  # what entity 2 is nobody knows
    right = torch.full((1, 1, 3, 16, 16), -20.0)
    right[:, :, 2] = 20
    assert float(category_loss(right, labels, kinds)) == pytest.approx(0, abs=1e-6)
    wrong = right.flip(2)
    assert float(category_loss(wrong, labels, kinds)) == pytest.approx(40, abs=1e-3)
    assert float(category_loss(wrong, labels, torch.tensor([[-1, -1]]))) == 0
    assert float(category_loss(wrong, torch.full_like(labels, -1), kinds)) == 0


def test_entities_that_were_pasted_after_the_known_ones_are_unknown() -> None:
    logits = torch.zeros(1, 1, 3, 8, 8)
    labels = torch.full((1, 1, 8, 8), 9)
    assert float(category_loss(logits, labels, torch.tensor([[1]]))) == 0
