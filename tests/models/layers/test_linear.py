from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from esg.models.layers.linear import BLOCK, MIN_ROWS, Linear, Mlp, in_blocks, linear, use_linear


@pytest.mark.parametrize("rows", [1, MIN_ROWS - 1, MIN_ROWS, 200])
@pytest.mark.parametrize(("activation", "function"), [("none", lambda x: x), ("relu", F.relu), ("gelu", F.gelu)])
@pytest.mark.parametrize("bias", [True, False])
def test_a_linear_layer_is_the_same_with_and_without_gradients(rows, activation, function, bias) -> None:  # type: ignore[no-untyped-def]
    torch.manual_seed(0)
    x, weight, offsets = torch.randn(2, rows, 24), torch.randn(40, 24), torch.randn(40) if bias else None
    expected = function(x.double() @ weight.double().T + (0 if offsets is None else offsets.double())).float()
    torch.testing.assert_close(linear(x, weight, offsets, activation), expected, atol=1e-5, rtol=1e-5)
    with torch.inference_mode():
        torch.testing.assert_close(linear(x, weight, offsets, activation), expected, atol=1e-5, rtol=1e-5)


def test_inputs_and_weights_may_be_views_of_other_tensors() -> None:
    torch.manual_seed(0)
    x, weight = torch.randn(24, 300).T, torch.randn(3 * 40, 24).chunk(3)[1]
    with torch.no_grad():
        torch.testing.assert_close(linear(x, weight), x @ weight.T, atol=1e-5, rtol=1e-5)


def test_bf16_stays_bf16() -> None:
    x, layer = torch.ones(100, 8), Linear(8, 4)
    with torch.no_grad():
        with torch.autocast("cpu", torch.bfloat16):
            assert layer(x).dtype == torch.bfloat16
        assert layer.bfloat16()(x.bfloat16()).dtype == torch.bfloat16


def test_blocks_of_rows_give_the_result_of_all_rows() -> None:
    sizes = []

    def double(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        sizes.append(x.shape[1])
        return x + y

    step = BLOCK // 2 // 256  # two pictures, 256 channels
    x, y = torch.randn(2, 2 * step + 3, 256), torch.randn(2 * step + 3, 1)
    with torch.no_grad():
        torch.testing.assert_close(in_blocks(double, x, y), x + y, rtol=0, atol=0)
    assert sizes == [step, step, 3]
    torch.testing.assert_close(in_blocks(double, x, y), x + y, rtol=0, atol=0)
    assert sizes[3:] == [2 * step + 3]  # in training, all at once


def test_an_mlp_has_the_weights_of_a_sequence_and_its_result() -> None:
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Linear(8, 32), nn.GELU(), nn.Linear(32, 8))
    ours = Mlp(8, 32)
    ours.load_state_dict(plain.state_dict())
    x = torch.randn(3, BLOCK // 16, 8)  # one and a half blocks
    torch.testing.assert_close(ours(x), plain(x))
    with torch.inference_mode():
        torch.testing.assert_close(ours(x), plain(x), atol=1e-5, rtol=1e-5)


def test_another_librarys_model_keeps_its_weights() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 4), nn.Sequential(nn.Linear(4, 2)))
    names, x = list(model.state_dict()), torch.randn(100, 8)
    expected = model(x)
    use_linear(model)
    assert isinstance(model[1][0], Linear)
    assert list(model.state_dict()) == names
    with torch.inference_mode():
        torch.testing.assert_close(model(x), expected, atol=1e-5, rtol=1e-5)
