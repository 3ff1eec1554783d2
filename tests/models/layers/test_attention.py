from __future__ import annotations

import logging

import pytest
import torch
from torch import nn

from esg.models.layers import attention
from esg.models.layers.attention import MultiheadAttention, attend, set_attention
from esg.support import attention as backends
from esg.support.errors import InputError


def tensors(rows: int = 5, keys: int = 9) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    query = torch.randn(2, 3, rows, 8, generator=generator)
    key, value = torch.randn(2, 2, 3, keys, 8, generator=generator)
    return query, key, value


def test_eager_is_the_textbook_formula() -> None:
    query = torch.tensor([[[[1.0, 0.0]]]])
    key = torch.tensor([[[[2.0**0.5, 0.0], [0.0, 1.0]]]])
    value = torch.tensor([[[[1.0, 0.0], [0.0, 1.0]]]])
    weight = torch.tensor([1.0, 0.0]).softmax(0)
    torch.testing.assert_close(attend(query, key, value, backend="eager")[0, 0, 0], weight)


@pytest.mark.parametrize("backend", ["auto", "sdpa", "xformers"])
@pytest.mark.parametrize("kind", ["none", "bool", "float"])
def test_backends_agree_with_eager(backend: str, kind: str) -> None:
    query, key, value = tensors()
    visible = torch.rand(2, 1, 5, 9, generator=torch.Generator().manual_seed(1)) > 0.4
    visible[..., 0] = True
    mask = {"none": None, "bool": visible, "float": torch.where(visible, 0.3, -100.0)}[kind]
    expected = attend(query, key, value, mask, backend="eager")
    assert (attend(query, key, value, mask, backend=backend) - expected).abs().max() < 1e-4


@pytest.mark.gpu
@pytest.mark.parametrize("backend", ["auto", "sdpa", "xformers"])
@pytest.mark.parametrize("kind", ["none", "bool", "float"])
def test_backends_agree_with_eager_on_a_gpu(backend: str, kind: str) -> None:
    query, key, value = (tensor.cuda() for tensor in tensors())
    visible = torch.rand(2, 1, 5, 9, generator=torch.Generator().manual_seed(1)).cuda() > 0.4
    visible[..., 0] = True
    mask = {"none": None, "bool": visible, "float": torch.where(visible, 0.3, -100.0)}[kind]
    expected = attend(query, key, value, mask, backend="eager")
    assert (attend(query, key, value, mask, backend=backend) - expected).abs().max() < 1e-4


def test_masked_keys_have_no_influence() -> None:
    query, key, value = tensors()
    visible = torch.ones(1, 1, 1, 9, dtype=torch.bool)
    visible[..., 4:] = False
    full = attend(query, key[:, :, :4], value[:, :, :4])
    torch.testing.assert_close(attend(query, key, value, visible), full)


def test_a_backend_that_cannot_serve_falls_back_with_one_log_line(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention, "_warned", set())
    query, key, value = tensors()
    with caplog.at_level(logging.WARNING, logger="esg"):
        for _ in range(3):
            attend(query, key, value, backend="xformers")
    assert [record.message.count("xformers") > 0 for record in caplog.records] == [True]


@pytest.mark.parametrize("shape", [(1, 1, 5, 9), (2, 1, 5, 9), (2, 3, 5, 9), (5, 9)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_the_bias_for_xformers_is_aligned_and_shared_by_heads(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    query = tensors()[0].to(dtype)
    visible = torch.rand(shape, generator=torch.Generator().manual_seed(1)) > 0.4
    bias = attention.xformers_bias(query, 9, visible)
    assert bias.shape == (2, 3, 5, 9)
    assert bias.dtype == dtype
    assert torch.equal(bias == 0, visible.expand(2, 3, 5, 9))
    assert all(stride % 8 == 0 for stride in bias.stride()[:3])
    assert bias.stride()[3] == 1
    if len(shape) == 2 or shape[1] == 1:  # one mask for all heads
        assert bias.stride()[1] == 0
    added = attention.xformers_bias(query, 9, torch.where(visible, 0.5, -100.0))
    assert torch.equal(added, torch.where(visible, 0.5, -100.0).to(dtype).expand(2, 3, 5, 9))


def test_auto_takes_xformers_on_cuda_if_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "has_xformers", lambda: True)
    assert backends.chosen("auto", "cuda:1") == "xformers"
    assert backends.chosen("auto", "cpu") == "sdpa"
    monkeypatch.setattr(backends, "has_xformers", lambda: False)
    assert backends.chosen("auto", "cuda") == "sdpa"
    assert backends.chosen("xformers", "cpu") == "xformers"  # as asked; a call it cannot serve passes on


def test_set_attention_reaches_every_layer_and_refuses_unknown_names() -> None:
    model = nn.Sequential(MultiheadAttention(8, 2), nn.Sequential(MultiheadAttention(8, 2)))
    set_attention(model, "eager")
    assert {module.backend for module in model.modules() if isinstance(module, attention.Attend)} == {"eager"}
    with pytest.raises(InputError, match="choose one of auto, sdpa"):
        set_attention(model, "flash")


def test_multihead_attention_equals_pytorchs() -> None:
    torch.manual_seed(0)
    ours, theirs = MultiheadAttention(16, 4), nn.MultiheadAttention(16, 4, batch_first=True)
    theirs.load_state_dict(ours.state_dict())
    query, key, value = torch.randn(2, 5, 16), torch.randn(2, 7, 16), torch.randn(2, 7, 16)
    masked = torch.rand(5, 7) > 0.7
    expected, _ = theirs(query, key, value, attn_mask=masked)
    torch.testing.assert_close(ours(query, key, value, ~masked[None, None]), expected, atol=1e-5, rtol=1e-5)
