"""LoRA: the trained weights, and merged weights with the same output."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch

from esg.models.gella.language import Language
from esg.support.errors import EsgError
from esg.training.lora import add_lora, merged

RANK = 3
TEXT = torch.tensor([1, 3, 9, 10, 4, 11, 2])


@pytest.fixture
def language(speaker: Any) -> Language:
    torch.manual_seed(0)
    return Language(speaker[0])


def read(language: Language) -> torch.Tensor:
    pixels = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    return language.read(language.see(pixels).tokens, [TEXT]).hidden


def test_layers_of_the_language_model_stay_and_all_else_is_trained(language: Language) -> None:
    pytest.importorskip("peft")
    before = {name for name, value in language.named_parameters() if value.requires_grad}
    add_lora(language, RANK)
    trained = {name for name, value in language.named_parameters() if value.requires_grad}
    products = {name for name in trained if ".lora_" in name}
    layers = {name.partition(".lora_")[0] for name in products}
    assert len(layers) == 2 * 7  # the four matrices of attention and the three of the MLP
    assert all("language_model" in name for name in layers)
    assert before - trained == {f"{layer}.weight" for layer in layers}
    assert trained - before == products
    for name, value in language.named_parameters():
        if name in products:
            assert RANK in value.shape


def test_it_changes_nothing_until_it_is_trained(language: Language) -> None:
    pytest.importorskip("peft")
    before = read(language)
    add_lora(language, RANK)
    torch.testing.assert_close(read(language), before, atol=1e-6, rtol=1e-6)


def test_merged_weights_say_the_same(language: Language, speaker: Any) -> None:
    pytest.importorskip("peft")
    names, start = set(language.state_dict()), read(language)
    add_lora(language, RANK)
    with torch.no_grad():
        for name, value in language.named_parameters():
            if ".lora_" in name:
                value.normal_(std=0.2, generator=torch.Generator().manual_seed(len(name)))
    learned = read(language)
    assert not torch.allclose(learned, start, atol=1e-2)
    plain = Language(speaker[0])
    state = merged(language.state_dict())
    assert set(state) == names
    plain.load_state_dict(state)
    torch.testing.assert_close(read(plain), learned, atol=1e-5, rtol=1e-5)


def test_merging_leaves_weights_without_lora_alone(language: Language) -> None:
    state = language.state_dict()
    plain = merged(state)
    assert plain.keys() == state.keys()
    assert all(plain[name] is state[name] for name in state)


def test_missing_peft_is_reported(language: Language, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(EsgError, match="LoRA needs peft: pip install peft"):
        add_lora(language, RANK)
