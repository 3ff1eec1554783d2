from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from esg.models.layers.deformable import DeformableAttention, sample_grid, sample_rows

SAMPLERS = (sample_grid, sample_rows)


@pytest.mark.parametrize("sample", SAMPLERS)
@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        (0.0, 0.0, 1.0),  # the centre of the first pixel
        (1.0, 1.0, 5.0),
        (0.5, 0.0, 1.5),
        (1.0, 0.5, 3.5),
        (-0.5, 0.0, 0.5),  # half of it lies outside, where values are 0
        (-1.0, 0.0, 0.0),
        (2.0, 1.0, 6.0),
        (2.5, 1.0, 3.0),
        (40.0, 40.0, 0.0),
    ],
)
def test_samples_of_a_known_picture(sample: Callable[..., torch.Tensor], x: float, y: float, expected: float) -> None:
    value = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).view(1, 6, 1, 1)  # one level of 2 × 3 pixels
    places = torch.tensor([x, y]).expand(1, 6, 1, 1, 1, 2)
    out = sample(value, places, torch.ones(1, 6, 1, 1, 1), [(2, 3)])
    assert out.shape == (1, 6, 1, 1)
    torch.testing.assert_close(out, torch.full_like(out, expected))


@settings(max_examples=25, deadline=None)
@given(
    shapes=st.lists(st.tuples(st.integers(1, 6), st.integers(1, 6)), min_size=1, max_size=3),
    batch=st.integers(1, 2),
    heads=st.integers(1, 3),
    points=st.integers(1, 3),
    seed=st.integers(0, 1000),
)
def test_both_ways_of_sampling_agree_and_have_the_same_gradients(
    shapes: list[tuple[int, int]], batch: int, heads: int, points: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    pixels = sum(h * w for h, w in shapes)
    value = torch.randn(batch, pixels, heads, 4, generator=generator, dtype=torch.float64)
    places = 4 * torch.randn(batch, pixels, heads, len(shapes), points, 2, generator=generator, dtype=torch.float64) + 2
    weights = torch.rand(batch, pixels, heads, len(shapes), points, generator=generator, dtype=torch.float64)
    leaves = [leaf.requires_grad_() for leaf in (value, places, weights)]
    results = [sample(*leaves, shapes) for sample in SAMPLERS]
    torch.testing.assert_close(*results)
    gradients = [torch.autograd.grad(result.square().sum(), leaves) for result in results]
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("sample", SAMPLERS)
def test_places_keep_their_precision_beside_half_precision_values(sample: Callable[..., torch.Tensor]) -> None:
    torch.manual_seed(0)
    shapes = [(40, 160)]  # bf16 knows a place in 160 pixels to a third of one only
    value = torch.randn(1, 6400, 2, 4)
    places = torch.rand(1, 6400, 2, 1, 2, 2) * torch.tensor([160.0, 40.0])
    weights = torch.rand(1, 6400, 2, 1, 2)
    exact = sample(value.bfloat16().float(), places, weights, shapes)
    error = (sample(value.bfloat16(), places, weights, shapes).float() - exact).square().mean().sqrt()
    assert error < 0.01 * exact.std()


def test_at_the_start_every_head_looks_its_own_way() -> None:
    layer = DeformableAttention(32, heads=4, levels=1, points=2)
    offsets = layer.offsets.bias.detach().view(4, 1, 2, 2)
    torch.testing.assert_close(offsets[:, 0, 1], 2 * offsets[:, 0, 0])
    expected = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
    torch.testing.assert_close(offsets[:, 0, 0], expected, atol=1e-6, rtol=0)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_gpu_computes_what_the_cpu_computes(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    layer = DeformableAttention(32, heads=4, levels=2, points=3)
    torch.nn.init.normal_(layer.offsets.weight, std=0.2)
    shapes = [(4, 6), (2, 3)]
    query, memory, reference = torch.randn(2, 30, 32), torch.randn(2, 30, 32), torch.rand(30, 2)
    expected = layer(query, layer.values(memory), reference, shapes)
    with torch.autocast("cuda", dtype, enabled=dtype != torch.float32):
        layer.cuda()
        found = layer(query.cuda(), layer.values(memory.cuda()), reference.cuda(), shapes)
    tolerance = 1e-4 if dtype == torch.float32 else 5e-2
    torch.testing.assert_close(found.float().cpu(), expected, atol=tolerance, rtol=tolerance)


def test_it_is_computed_exactly_in_half_precision() -> None:
    torch.manual_seed(0)
    layer = DeformableAttention(16, 2, 1, 2)
    torch.nn.init.normal_(layer.offsets.weight)
    query, reference = torch.randn(1, 6, 16), torch.rand(6, 2)

    def attended() -> torch.Tensor:
        return layer(query, layer.values(query), reference, [(2, 3)])

    with torch.no_grad():
        exact = attended()
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(attended(), exact)
