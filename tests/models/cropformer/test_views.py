from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from esg.models.cropformer import views
from esg.models.cropformer.views import ViewGeometry, cut_view, make_views, resized_size, view_boxes
from esg.support.errors import InputError


def photo(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height * 7919 + width).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize("name", ["A", "B"])
def test_equal_to_the_authors_views(shared: Path, name: str) -> None:
    folder = shared / "reference"
    spec = importlib.util.spec_from_file_location("test_images", folder / "test_images.py")
    images = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(images)
    image = images.make(*images.IMAGES[name])
    expected = np.load(folder / "fixtures" / f"views_{name}_128.npz")
    made = make_views(image, short=128, longest=213)

    assert made.boxes[0] == (0, 0, image.shape[1], image.shape[0])
    np.testing.assert_array_equal(made.boxes[1:], expected["crop_boxes_xyxy"])
    official = [expected["full_view"], *expected["crop_views"]]
    for box, size, view in zip(made.boxes, made.sizes, official, strict=True):
        np.testing.assert_array_equal(cut_view(image, box, size), view)

    batch = np.load(folder / "fixtures" / f"cropformer_swin_tiny_3x_{name}_128.npz")
    assert made.pixels.shape == tuple(batch["padded_batch_shape"])
    flat = made.pixels.numpy().ravel()
    np.testing.assert_array_equal(flat[:: max(1, flat.size // 4096)][:4096], batch["batch_sample"])


def test_boxes_and_their_order() -> None:
    full, *crops = view_boxes(100, 90, crops=8)
    assert full == (0, 0, 90, 100)
    # int(0.7 * 90) is 62 in double precision, and 0.7 * 100 is 70.
    assert [box[:2] for box in crops] == [(0, 0), (28, 0), (0, 30), (28, 30), (14, 0), (0, 15), (28, 15), (14, 30)]
    assert {(x1 - x0, y1 - y0) for x0, y0, x1, y1 in crops} == {(62, 70)}
    assert view_boxes(100, 90, crops=4) == [full, *crops[:4]]
    assert view_boxes(100, 90, crops=0) == [full]


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((1200, 1800), (800, 1200)),
        ((1000, 3000), (444, 1333)),  # the long side limits
        ((240, 320), (800, 1067)),  # 1066.67 rounds up
        ((500, 500), (800, 800)),
        ((1, 20000), (1, 1333)),
        ((20000, 1), (1333, 1)),
    ],
)
def test_working_size(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert resized_size(*size) == expected


@given(st.integers(1, 5000), st.integers(1, 5000), st.sampled_from([0, 4, 8]), st.floats(0.01, 1))
def test_geometry_holds_for_any_photo(height: int, width: int, crops: int, ratio: float) -> None:
    geometry = ViewGeometry.plan(height, width, crops=crops, short=64, longest=100, ratio=ratio)
    assert len(geometry) == 1 + crops
    for (x0, y0, x1, y1), (h, w) in zip(geometry.boxes, geometry.sizes, strict=True):
        assert 0 <= x0 < x1 <= width
        assert 0 <= y0 < y1 <= height
        assert 1 <= h <= geometry.padded_size[0]
        assert 1 <= w <= geometry.padded_size[1]
        assert max(h, w) <= 100
    assert all(side % 32 == 0 for side in geometry.padded_size)
    last = geometry.select([crops])
    assert last.boxes == geometry.boxes[-1:]
    assert (last.image_size, last.padded_size) == (geometry.image_size, geometry.padded_size)


@pytest.mark.parametrize("size", [(1, 1), (1, 3), (2, 1), (3, 3), (1, 2000), (2000, 2)])
def test_tiny_and_thin_photos(size: tuple[int, int]) -> None:
    made = make_views(np.full((*size, 3), 200, np.uint8), crops=8, short=64, longest=106)
    assert made.image_size == size
    for view, (h, w) in zip(made.pixels, made.sizes, strict=True):
        expected = (200 - torch.tensor(views.PIXEL_MEAN)) / torch.tensor(views.PIXEL_STD)
        torch.testing.assert_close(view[:, :h, :w], expected[:, None, None].expand(3, h, w))


def test_padding_is_zero_and_only_right_and_bottom() -> None:
    made = make_views(np.zeros((50, 70, 3), np.uint8), crops=4, short=40, longest=60)
    assert made.sizes[0] == (40, 56)
    assert made.pixels.shape == (5, 3, 64, 64)
    for view, (h, w) in zip(made.pixels, made.sizes, strict=True):
        assert (view[:, :h, :w] < -1).all()
        assert not view[:, h:].any()
        assert not view[:, :, w:].any()


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 40), st.integers(1, 40), st.data())
def test_banded_resizing_is_pillows(height: int, width: int, h: int, w: int, data: st.DataObject) -> None:
    x0, y0 = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    x1, y1 = data.draw(st.integers(x0 + 1, width)), data.draw(st.integers(y0 + 1, height))
    image = photo(height, width)
    expected = Image.fromarray(image[y0:y1, x0:x1].copy()).resize((w, h), Image.Resampling.BILINEAR)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(views, "BAND_PIXELS", 100)
        np.testing.assert_array_equal(cut_view(image, (x0, y0, x1, y1), (h, w)), expected)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"crops": 3}, "crops"),
        ({"ratio": 0.0}, "ratio"),
        ({"ratio": 1.5}, "ratio"),
        ({"ratio": float("nan")}, "ratio"),
        ({"ratio": None}, "ratio"),
        ({"crops": 4.0}, "crops is 4.0"),
        ({"short": 0}, "short is 0, .* at least 1"),
        ({"short": 64.5}, "short is 64.5, .* whole number"),
        ({"longest": -1}, "longest is -1, .* at least 1"),
        ({"longest": float("nan")}, "longest is nan, .* whole number"),
    ],
)
def test_wrong_options_are_named(options: dict, word: str) -> None:
    with pytest.raises(InputError, match=word):
        make_views(photo(10, 10), **options)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3)),
        np.zeros((0, 4, 3), np.uint8),
        Image.new("RGB", (4, 4)),
    ],
)
def test_wrong_arrays_are_refused(image: np.ndarray) -> None:
    with pytest.raises(InputError):
        make_views(image)
