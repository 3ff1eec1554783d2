from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from esg.models.layers.hornet import HorNetConfig
from esg.models.layers.position import pixel_positions, view_positions
from esg.models.layers.resnet import ResNetConfig
from esg.models.layers.swin import SwinConfig, _from_windows, _shift_mask, _to_windows, relative_index
from esg.support.errors import InputError

LOCAL = SwinConfig(width=8, depths=(1, 2, 1, 1), heads=(1, 1, 1, 1), window=4, local=True)
TINY = {
    "swin": SwinConfig(width=8, depths=(2, 1, 1, 1), heads=(2, 2, 2, 2), window=3),
    "swin with a stem": SwinConfig(width=8, depths=(1, 2, 1, 1), heads=(1, 1, 1, 1), window=4, stem=4),
    "swin with local convolutions": LOCAL,
    "hornet": HorNetConfig(width=16, depths=(1, 1, 1, 1), filters=(None, None, (4, 3), (2, 2))),
    "resnet": ResNetConfig(depths=(1, 1, 1, 1)),
}


@pytest.mark.parametrize("name", TINY)
@pytest.mark.parametrize(("height", "width"), [(64, 96), (32, 32)])
def test_features_have_strides_4_to_32(name: str, height: int, width: int) -> None:
    config = TINY[name]
    backbone = config.build().eval()
    features = backbone(torch.randn(2, 3, height, width))
    expected = [(2, c, height // 4 // 2**i, width // 4 // 2**i) for i, c in enumerate(config.channels)]
    assert [tuple(feature.shape) for feature in features] == expected


@pytest.mark.parametrize("name", TINY)
def test_pictures_of_a_batch_do_not_mix(name: str) -> None:
    torch.manual_seed(0)
    backbone = TINY[name].build().eval()
    pixels = torch.randn(2, 3, 64, 64)
    together, alone = backbone(pixels), backbone(pixels[1:])
    for both, single in zip(together, alone, strict=True):
        torch.testing.assert_close(both[1:], single, atol=1e-5, rtol=1e-4)


@given(rows=st.integers(1, 3), columns=st.integers(1, 3), window=st.integers(1, 4))
@settings(max_examples=20, deadline=None)
def test_windows_round_trip(rows: int, columns: int, window: int) -> None:
    x = torch.arange(2 * rows * columns * window**2 * 5).view(2, rows * window, columns * window, 5)
    windows = _to_windows(x, window)
    assert windows.shape == (2 * rows * columns, window**2, 5)
    assert torch.equal(_from_windows(windows, window, rows * window, columns * window), x)


@pytest.mark.parametrize(("width", "heads"), [(0, (1, 1)), (10, (3, 6))])
def test_heads_of_a_swin_have_equal_parts(width: int, heads: tuple[int, ...]) -> None:
    with pytest.raises(
        InputError, match=f"The width of a Swin must be a multiple of its {heads[0]} heads, not {width}"
    ):
        SwinConfig(width=width, depths=(1, 1), heads=heads)


def test_relative_index_is_the_same_for_the_same_offset() -> None:
    assert relative_index(2).tolist() == [[4, 3, 1, 0], [5, 4, 2, 1], [7, 6, 4, 3], [8, 7, 5, 4]]


def test_shift_mask_parts_only_what_the_shift_brought_together() -> None:
    mask = _shift_mask(4, 4, window=4, shift=2, device=torch.device("cpu"))[0, 0].view(4, 4, 4, 4)
    quarter = torch.arange(4) >= 2  # rows and columns from 2 on come from the other side
    for y in range(4):
        for x in range(4):
            same = (quarter[:, None] == quarter[y]) & (quarter[None, :] == quarter[x])
            assert torch.equal(mask[y, x] == 0, same)


def test_positions_of_views_add_to_those_of_pixels() -> None:
    pixels = pixel_positions(2, 3, 8, torch.device("cpu"))
    views = view_positions(4, 2, 3, 8, torch.device("cpu")).view(4, 6, 8)
    assert pixels.shape == (6, 8)
    offset = views - pixels
    torch.testing.assert_close(offset, offset[:, :1].expand_as(offset))
    assert len({tuple(row) for row in offset[:, 0].tolist()}) == 4


def test_pixel_positions_put_y_before_x() -> None:
    positions = pixel_positions(2, 3, 8, torch.device("cpu")).view(2, 3, 8)
    assert torch.equal(positions[0, 0, :4], positions[0, 2, :4])
    assert torch.equal(positions[0, 1, 4:], positions[1, 1, 4:])
    torch.testing.assert_close(positions[1, 0, 0], torch.tensor(0.0), atol=1e-4, rtol=0)  # sin 2π at the last row


def test_local_convolutions_are_an_addition_to_every_block() -> None:
    """Without their weights the backbone is the published one."""
    torch.manual_seed(0)
    local, plain = LOCAL.build().eval(), replace(LOCAL, local=False).build().eval()
    for name, parameter in local.named_parameters():
        if ".local." in name:
            torch.nn.init.zeros_(parameter)
    plain.load_state_dict({name: value for name, value in local.state_dict().items() if ".local." not in name})
    pixels = torch.randn(1, 3, 32, 64)
    for with_local, without in zip(local(pixels), plain(pixels), strict=True):
        torch.testing.assert_close(with_local, without)
