from __future__ import annotations

from pathlib import Path

import torch

from esg.training.losses import LossConfig
from esg.training.mask_piloted import _noisy_masks, mask_piloted_losses
from esg.weights.loading import load_segmenter

FRAMES = torch.tensor([0.0, 0.0, 1.0, 1.0]).expand(1, 2, 4)


def test_masks_without_noise_are_exact_and_never_empty() -> None:
    labels = torch.tensor([[[1, 1, 2, 2], [1, 1, 2, 2], [0, 0, 3, 0], [0, 0, 0, 0]]])
    masks = _noisy_masks(labels, torch.tensor([[1, 2, 3, -1]]), torch.Size((2, 2)), noise=0.0)
    assert masks[0].tolist() == [
        [True, False, False, False],
        [False, True, False, False],
        [False, False, False, True],
        [True, True, True, True],  # padding: it looks everywhere, and has no loss
    ]
    gone = _noisy_masks(labels, torch.tensor([[3]]), torch.Size((1, 1)), noise=0.0)
    assert gone.all()  # an entity that is lost at the level's resolution looks everywhere


def test_noise_is_in_proportion_to_the_area() -> None:
    torch.manual_seed(0)
    labels = torch.ones(1, 100, 100, dtype=torch.long)
    labels[:, :50] = 2
    masks = _noisy_masks(labels, torch.tensor([[1]]), torch.Size((100, 100)), noise=0.2)
    flipped = (masks != (labels.flatten(1) == 1)[:, None]).float().mean()
    assert abs(flipped - 0.1) < 0.02


def test_piloted_queries_train_the_decoder_and_leave_the_queries_alone(tiny_model: Path) -> None:
    model, _, _ = load_segmenter(tiny_model)
    torch.manual_seed(0)
    labels = torch.zeros(1, 2, 64, 64, dtype=torch.long)
    labels[:, :, :32, :32], labels[:, 0, 40:, 40:] = 1, 2
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    pixels = torch.randn(1, 2, 3, 64, 64)
    found = []
    for _ in range(15):
        terms = mask_piloted_losses(model, model(pixels, FRAMES), labels, LossConfig(points=128))
        loss = torch.stack([*terms.values()]).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    assert terms.keys() == {"pilot_bce", "pilot_dice"}
    assert found[-1] < 0.8 * found[0]
    assert model.decoder.query_features.grad is None or not model.decoder.query_features.grad.any()
    assert model.decoder.layers[0].cross_attention.in_proj_weight.grad.abs().sum() > 0


def test_a_picture_without_entities_gives_no_loss(tiny_model: Path) -> None:
    model, _, _ = load_segmenter(tiny_model)
    terms = mask_piloted_losses(
        model,
        model(torch.randn(1, 2, 3, 64, 64), FRAMES),
        torch.zeros(1, 2, 64, 64, dtype=torch.long),
        LossConfig(points=32),
    )
    assert [term.item() for term in terms.values()] == [0.0, 0.0]
