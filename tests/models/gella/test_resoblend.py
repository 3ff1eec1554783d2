"""ResoBlend: every part has an effect and can be switched off (Table XVII)."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from esg.models.gella.resoblend import BlendConfig, ResoBlend

PARTS = [field.name for field in dataclasses.fields(BlendConfig)]
NOTHING = BlendConfig(**dict.fromkeys(PARTS, False))
GRID = 4


def build(config: BlendConfig, channels: tuple[int, ...] = (3,)) -> ResoBlend:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        blend = ResoBlend(6, channels, width=8, heads=2, ffn=16, config=config)
        for parameter in blend.parameters():
            torch.nn.init.normal_(parameter, std=0.5)
    return blend.double().eval()


def only(*parts: str) -> BlendConfig:
    return dataclasses.replace(NOTHING, **dict.fromkeys(parts, True))


def without(*parts: str) -> BlendConfig:
    return dataclasses.replace(BlendConfig(), **dict.fromkeys(parts, False))


def sample(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def touched(config: BlendConfig) -> Tensor:
    """Where the blended map, as fine as the grid, changes with the image's second cell of the second row."""
    blend, mask = build(config), sample(1, 3, GRID, GRID, seed=1)
    image = sample(1, 6, GRID, GRID)
    other = image.clone()
    other[0, :, 1, 1] += 1
    with torch.no_grad():
        return (blend(image, [mask])[0] - blend(other, [mask])[0]).abs().amax(1)[0] > 1e-9


def distance_to_grid(config: BlendConfig) -> float:
    """How far a fine blended map is from everything that bilinear interpolation can make of the grid."""
    with torch.no_grad():
        fine = build(config)(sample(1, 6, GRID, GRID), [sample(1, 3, 16, 16, seed=1)])[0].flatten(2)[0]
    cells = torch.eye(GRID**2, dtype=torch.float64).view(-1, 1, GRID, GRID)
    basis = F.interpolate(cells, size=(16, 16), mode="bilinear", align_corners=False).flatten(1).T
    nearest = basis @ torch.linalg.lstsq(basis, fine.T).solution
    return float((nearest - fine.T).abs().max())


def test_levels_keep_their_size_and_get_one_width() -> None:
    masks = [sample(2, channels, side, side + 1) for channels, side in ((3, 8), (5, 4), (7, 1))]
    blended = build(BlendConfig(), (3, 5, 7))(sample(2, 6, GRID, GRID), masks)
    assert [tuple(level.shape) for level in blended] == [(2, 8, 8, 9), (2, 8, 4, 5), (2, 8, 1, 2)]


@pytest.mark.parametrize("switches", [*itertools.product((True, False), repeat=len(PARTS))])
def test_switched_off_parts_have_no_weights(switches: tuple[bool, ...]) -> None:
    blend = build(BlendConfig(**dict(zip(PARTS, switches))))
    out = blend(sample(1, 6, GRID, GRID), [sample(1, 3, 8, 8, seed=1)])[0]
    gradients = torch.autograd.grad(out.square().sum(), list(blend.parameters()), allow_unused=True)
    idle = [name for (name, _), gradient in zip(blend.named_parameters(), gradients) if gradient is None]
    assert idle == []


def test_the_literal_form_has_only_the_detail_of_the_grid() -> None:
    assert distance_to_grid(without("skip")) < 1e-9


def test_the_skip_brings_the_detail_of_the_masks() -> None:
    assert distance_to_grid(BlendConfig()) > 0.1


@pytest.mark.parametrize("skip", [True, False])
def test_without_cross_attention_the_masks_are_isolated_from_the_image(skip: bool) -> None:
    """Table XVII, second row: the masks stay as detailed as they are, and the image does not enter."""
    config = without("cross_attention") if skip else without("cross_attention", "skip")
    blend, mask = build(config), sample(1, 3, 16, 16)
    one, other = (blend(sample(1, 6, GRID, GRID, seed=seed), [mask])[0] for seed in (1, 2))
    assert torch.equal(one, other)
    assert one.shape[2:] == (16, 16)
    assert not torch.equal(one, blend(sample(1, 6, GRID, GRID), [mask + 1])[0])
    assert distance_to_grid(config) > 0.1


def test_with_cross_attention_both_matter() -> None:
    blend, image, mask = build(without("skip")), sample(1, 6, GRID, GRID), sample(1, 3, 8, 8)
    before = blend(image, [mask])[0]
    assert not torch.equal(before, blend(image, [mask + sample(1, 3, 8, 8, seed=1)])[0])
    assert not torch.equal(before, blend(image + sample(1, 6, GRID, GRID, seed=1), [mask])[0])


def test_self_attention_looks_over_the_whole_image() -> None:
    assert touched(only("self_attention", "cross_attention")).all()


@pytest.mark.parametrize("part", ["cross_attention", "ffn", "residual", "skip"])
def test_other_parts_stay_where_they_are(part: str) -> None:
    assert touched(only("cross_attention", part)).nonzero().tolist() == [[1, 1]]


def test_the_convolution_reaches_the_next_cells() -> None:
    expected = [[row, column] for row in range(3) for column in range(3)]
    assert touched(only("cross_attention", "conv")).nonzero().tolist() == expected


def test_without_the_convolution_nothing_follows_the_residual() -> None:
    blend = build(only("residual"))
    (blended,) = blend(sample(1, 6, GRID, GRID), [mask := sample(1, 3, 8, 8)])
    torch.testing.assert_close(blended, 2 * blend.levels[0].mask(mask))


def test_the_residual_adds_the_image_once_more() -> None:
    image, mask = sample(1, 6, GRID, GRID), sample(1, 3, GRID, GRID)
    plain, more = build(only("cross_attention")), build(only("cross_attention", "residual"))
    more.load_state_dict(plain.state_dict())
    again = plain.image(image.flatten(2).transpose(1, 2)).transpose(1, 2).unflatten(2, (GRID, GRID))
    torch.testing.assert_close(more(image, [mask])[0], plain(image, [mask])[0] + again)
