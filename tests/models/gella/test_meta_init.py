from __future__ import annotations

import threading

import pytest
import torch
from torch import Tensor, nn

from esg.models.gella.config import PRESETS
from esg.models.gella.language import Language
from esg.models.gella.meta_init import Unfilled
from esg.models.gella.model import Gella


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


def test_an_explicit_device_is_respected() -> None:
    with Unfilled():
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


def test_tables_that_no_file_holds_are_those_of_a_filled_model(language: Language) -> None:
    with Unfilled():
        empty = Language(language.config)
    held = language.state_dict().keys()
    theirs = {name: value for name, value in language.named_buffers() if name not in held}
    ours = {name: value for name, value in empty.named_buffers() if name not in held}
    assert any("inv_freq" in name for name in ours)
    assert any("position_ids" in name for name in ours)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("preset", ["gella-7b", "gella-13b"])
def test_large_models_take_no_memory(preset: str) -> None:
    with Unfilled():
        model = Gella(PRESETS[preset])
    filled = sum(value.numel() for value in (*model.parameters(), *model.buffers()) if not value.is_meta)
    assert filled < 1e6 < 7e9 < sum(value.numel() for value in model.parameters())
