"""The attention that `transformers` calls, against its own; without a GPU, the backend behind it is PyTorch's."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest
import torch
from transformers import CLIPVisionConfig, CLIPVisionModel, LlamaConfig, LlamaForCausalLM

from esg.models.layers.transformers_attention import (
    NAME,
    backend_in_transformers,
    set_transformers_attention,
    xformers_forward,
)
from esg.support import attention
from esg.support.errors import InputError


@pytest.fixture
def on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if xformers and a GPU were there."""
    monkeypatch.setattr(attention, "has_xformers", lambda: True)


def llama() -> LlamaForCausalLM:
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "vocab_size": 50}
    config = LlamaConfig(**sizes, num_attention_heads=4, num_key_value_heads=2)
    return LlamaForCausalLM(config).eval()


@pytest.mark.usefixtures("on_a_gpu")
@pytest.mark.parametrize("padded", [False, True])
def test_llama_gives_the_same(padded: bool) -> None:
    model, ids = llama(), torch.arange(14).reshape(2, 7)
    mask = torch.ones_like(ids)
    if padded:
        mask[1, 4:] = 0
    with torch.inference_mode():
        expected = model(ids, attention_mask=mask).logits
        assert set_transformers_attention(model, "auto", "cuda") == "xformers"
        assert model.config._attn_implementation == NAME
        found = model(ids, attention_mask=mask).logits
    torch.testing.assert_close(found[mask == 1], expected[mask == 1], atol=1e-5, rtol=1e-4)


@pytest.mark.usefixtures("on_a_gpu")
def test_a_cached_step_gives_the_same() -> None:
    model, ids = llama(), torch.arange(8)[None]
    with torch.inference_mode():
        expected = model(ids).logits[:, -1]
        set_transformers_attention(model, "xformers", "cuda")
        cache = model(ids[:, :-1], use_cache=True).past_key_values
        found = model(ids[:, -1:], past_key_values=cache).logits[:, -1]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.usefixtures("on_a_gpu")
def test_clip_gives_the_same() -> None:
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    model = CLIPVisionModel(CLIPVisionConfig(**sizes, image_size=28, patch_size=14)).eval()
    pixels = torch.randn(1, 3, 28, 28)
    with torch.inference_mode():
        expected = model(pixels).last_hidden_state
        set_transformers_attention(model, "xformers", "cuda")
        torch.testing.assert_close(model(pixels).last_hidden_state, expected, atol=1e-5, rtol=1e-4)


def test_scaling_and_causality() -> None:
    generator = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(1, 2, 3, 4, generator=generator) for _ in range(3))
    found, weights = xformers_forward(torch.nn.Identity(), query, key, value, None, scaling=0.25, is_causal=True)
    scores = (query @ key.mT * 0.25).masked_fill(torch.ones(3, 3).triu(1).bool(), float("-inf"))
    torch.testing.assert_close(found, (scores.softmax(-1) @ value).transpose(1, 2))
    assert weights is None


def test_without_a_gpu_auto_is_pytorchs_own() -> None:
    model = llama()
    before = model.config._attn_implementation
    assert set_transformers_attention(model, "auto", "cpu") == "sdpa"
    assert model.config._attn_implementation == before
    assert set_transformers_attention(model, "eager", "cpu") == "eager"
    assert model.config._attn_implementation == "eager"
    with pytest.raises(InputError, match="Unknown attention backend"):
        set_transformers_attention(model, "flash", "cpu")


@pytest.mark.usefixtures("on_a_gpu")
def test_a_transformers_without_an_interface_for_attention_gets_pytorchs_own(monkeypatch: pytest.MonkeyPatch) -> None:
    assert backend_in_transformers("auto", "cuda") == "xformers"
    assert backend_in_transformers("auto", "cpu") == "sdpa"
    monkeypatch.setitem(sys.modules, "transformers", ModuleType("transformers"))
    assert backend_in_transformers("auto", "cuda") == "sdpa"
    assert backend_in_transformers("eager", "cuda") == "eager"


@pytest.mark.usefixtures("on_a_gpu")
def test_back_on_the_cpu_auto_is_pytorchs_own_again() -> None:
    model = llama()
    set_transformers_attention(model, "auto", "cuda")
    set_transformers_attention(model, "auto", "cpu")
    assert model.config._attn_implementation == "sdpa"
