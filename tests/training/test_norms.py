"""Batch norms of the colormap encoder: frozen, synchronised, or as they are."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from esg.models.gella.colormap_encoder import ENCODERS, MobileNetV2
from esg.training.norms import FrozenNorm, with_norms

CPU = torch.device("cpu")


def kinds(encoder: nn.Module) -> set[type]:
    return {type(module) for module in encoder.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)}


def test_frozen_norms_do_not_learn() -> None:
    encoder = MobileNetV2(0.1)
    names, before = list(encoder.state_dict()), encoder.eval()(torch.ones(1, 3, 32, 32))
    frozen = with_norms(encoder, "frozen", CPU).train()
    assert kinds(frozen) == {FrozenNorm}
    assert list(frozen.state_dict()) == names
    state = {name: value.clone() for name, value in frozen.state_dict().items()}
    after = frozen(torch.ones(1, 3, 32, 32))
    assert all(torch.equal(a, b) for a, b in zip(after, before))
    assert all(torch.equal(value, state[name]) for name, value in frozen.state_dict().items())
    learnt = {name for name, value in frozen.named_parameters() if value.requires_grad}
    assert learnt
    assert not any("normalization" in name for name in learnt)


@pytest.mark.parametrize(
    ("norms", "device", "kind"),
    [
        ("own", "cuda", nn.BatchNorm2d),
        ("synchronised", "cuda", nn.SyncBatchNorm),
        ("synchronised", "cpu", nn.BatchNorm2d),  # PyTorch cannot synchronise CPUs
    ],
)
def test_norms_are_synchronised_on_gpus_only(norms: str, device: str, kind: type) -> None:
    encoder = MobileNetV2(0.1)
    names = list(encoder.state_dict())
    changed = with_norms(encoder, norms, torch.device(device))
    assert kinds(changed) == {kind}
    assert list(changed.state_dict()) == names


def test_an_encoder_without_batch_norms_stays_as_it_is() -> None:
    swin = ENCODERS["swin-tiny"](1 / 16)
    learnt = [value.requires_grad for value in with_norms(swin, "frozen", CPU).parameters()]
    assert all(learnt)
