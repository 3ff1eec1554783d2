from __future__ import annotations

import threading

import pytest
import torch
from torch import Tensor, nn

from esg.models.cropformer.config import PRESETS as SEGMENTERS
from esg.models.cropformer.model import CropFormer
from esg.models.gella.config import PRESETS
from esg.models.gella.model import Gella
from esg.models.meta_init import Unfilled


class Mixed(nn.Module):
    """A module with weights, and with what is computed."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 2)
        self.norm = nn.BatchNorm2d(4)
        self.scale = nn.Parameter(torch.ones(5))
        self.register_buffer("table", torch.arange(6) ** 2, persistent=False)


def test_weights_are_left_out_and_computed_tables_are_kept() -> None:
    with Unfilled():
        module = Mixed()
    assert module.linear.weight.is_meta
    assert module.linear.bias.is_meta
    assert module.norm.weight.is_meta
    assert torch.equal(module.norm.running_var, torch.ones(4))
    assert torch.equal(module.table, torch.tensor([0, 1, 4, 9, 16, 25]))
    module.load_state_dict(Mixed().state_dict(), assign=True)
    assert not any(value.is_meta for value in (*module.parameters(), *module.buffers()))


@pytest.mark.parametrize("preset", ["cropformer-nano", "mask2former-r50", "cropformer-hornet-large"])
def test_no_random_numbers_are_drawn(preset: str) -> None:
    before = torch.get_rng_state()
    with Unfilled():
        CropFormer(SEGMENTERS[preset].config)
    assert torch.equal(torch.get_rng_state(), before)


def test_an_explicit_device_is_respected() -> None:
    with Unfilled():
        assert not torch.randn(2, device="cpu").is_meta
        assert not torch.empty(2, device="cpu").is_meta
        assert not torch.zeros(2).is_meta
    assert not torch.empty(2).is_meta


def test_other_threads_do_not_notice() -> None:
    made: list[Tensor] = []
    with Unfilled():
        thread = threading.Thread(target=lambda: made.append(nn.Linear(2, 2).weight))
        thread.start()
        thread.join()
    assert not made[0].is_meta


@pytest.mark.parametrize("preset", ["gella-7b", "gella-13b"])
def test_large_models_take_no_memory(preset: str) -> None:
    with Unfilled():
        model = Gella(PRESETS[preset])
    filled = sum(value.numel() for value in (*model.parameters(), *model.buffers()) if not value.is_meta)
    assert filled < 1e6 < 7e9 < sum(value.numel() for value in model.parameters())
