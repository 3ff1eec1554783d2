"""Augmentation moves pictures and labels together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esg.data.augment import AugmentConfig, augment, copy_paste, degrade, jitter_colours, mosaic, mosaic_boxes, rotate

ONLY_GEOMETRY = AugmentConfig(brightness=0, contrast=0, saturation=0, hue=0, grey=0, degraded=0)
COLOURS = np.array([[0, 0, 0], [250, 20, 20], [20, 250, 20], [20, 20, 250], [240, 240, 30]], np.uint8)


def coded(seed: int = 0, height: int = 60, width: int = 90) -> tuple[np.ndarray, np.ndarray]:
    """A picture whose colours are its labels: a patchwork of large rectangles."""
    rng = np.random.default_rng(seed)
    labels = np.kron(rng.integers(1, 5, (3, 3)), np.ones((height // 3, width // 3), int)).astype(np.int32)
    return COLOURS[labels], labels


def decoded(image: np.ndarray) -> np.ndarray:
    """The label whose colour is nearest."""
    return np.square(image[:, :, None].astype(int) - COLOURS.astype(int)).sum(-1).argmin(-1)


@pytest.mark.parametrize("seed", range(20))
def test_image_and_labels_stay_aligned(seed: int) -> None:
    image, labels = augment(*coded(seed), np.random.default_rng(seed), ONLY_GEOMETRY)
    assert image.shape == (60, 90, 3)
    assert image.dtype == np.uint8
    assert labels.shape == (60, 90)
    assert labels.dtype == np.int32
    # Bilinear mixtures of two colours may look like a third one, in a seam of a pixel.
    assert (decoded(image) == labels).mean() > 0.97


@pytest.mark.parametrize("degrees", [-45, -10, 0, 3, 30, 90])
@pytest.mark.parametrize("size", [(120, 180), (180, 60)])
def test_rotation_leaves_no_empty_corner_and_keeps_the_aspect_ratio(degrees: float, size: tuple[int, int]) -> None:
    picture, labels = coded(1, *size)
    turned, ids = rotate(picture, labels, degrees)
    assert turned.shape == (*ids.shape, 3)
    assert ids.min() > 0  # 0 would be an empty corner
    assert (decoded(turned) == ids).mean() > 0.97
    assert ids.shape[1] / ids.shape[0] == pytest.approx(size[1] / size[0], rel=0.03)


def test_rotation_is_counter_clockwise_about_the_centre() -> None:
    labels = np.ones((101, 101), np.int32)
    labels[20:30, 45:56] = 2  # above the centre
    _, turned = rotate(COLOURS[labels], labels, 30)
    ys, xs = np.nonzero(turned == 2)
    height, width = turned.shape
    assert xs.mean() < width / 2 - 8  # moved to the left
    assert ys.mean() < height / 2 - 15


def test_pictures_are_rotated_by_up_to_the_angle() -> None:
    image, labels = coded(0, 120, 120)
    config = AugmentConfig(0, (1.0, 1.0), (1.0, 1.0), 0, 0, 0, 0, 0, 0, rotation=20)
    seams = [augment(image, labels, np.random.default_rng(seed), config)[1] for seed in range(8)]
    assert all(one.shape == labels.shape for one in seams)
    assert len({one.tobytes() for one in seams}) == 8
    assert all((one == labels).mean() > 0.6 for one in seams)


def test_alignment_survives_strong_degradation() -> None:
    config = AugmentConfig(brightness=0.1, contrast=0.1, saturation=0.1, hue=0.02, grey=0, degraded=1)
    agreement = []
    for seed in range(20):
        image, labels = augment(*coded(seed), np.random.default_rng(seed), config)
        agreement.append((decoded(image) == labels).mean())
    assert np.mean(agreement) > 0.9


def test_no_change_when_nothing_is_allowed() -> None:
    config = AugmentConfig(0, (1.0, 1.0), (1.0, 1.0), 0, 0, 0, 0, 0, 0)
    image, labels = coded()
    new_image, new_labels = augment(image, labels, np.random.default_rng(0), config)
    assert np.array_equal(new_labels, labels)
    assert np.abs(new_image.astype(int) - image).max() <= 1


def test_other_size_and_reproducible() -> None:
    first = augment(*coded(), np.random.default_rng(3), size=(32, 48))
    again = augment(*coded(), np.random.default_rng(3), size=(32, 48))
    assert first[0].shape == (32, 48, 3)
    assert first[1].shape == (32, 48)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))


def test_large_ids_survive() -> None:
    image, labels = coded()
    _, new = augment(image, labels + 70_000, np.random.default_rng(0))
    assert set(np.unique(new)) <= set(np.unique(labels + 70_000))


def test_grey() -> None:
    image, _ = coded()
    grey = jitter_colours(image, np.random.default_rng(0), AugmentConfig(grey=1))
    assert np.ptp(grey.astype(int), axis=2).max() <= 1


def test_degrade_keeps_shape_and_source() -> None:
    image, _ = coded()
    before = image.copy()
    results = [degrade(image, np.random.default_rng(k)) for k in range(12)]
    assert all(r.shape == image.shape and r.dtype == np.uint8 for r in results)
    assert np.array_equal(image, before)
    assert any(not np.array_equal(r, image) for r in results)


@pytest.mark.parametrize("seed", range(10))
def test_paste_labels_what_is_pasted(seed: int) -> None:
    image, labels = np.full((64, 80, 3), 128, np.uint8), np.full((64, 80), 3, np.int32)
    other_image, other_labels = coded(seed, 48, 48)
    other_labels = np.where(other_labels == 4, 0, other_labels)
    new_image, new_labels, taken = copy_paste(image, labels, other_image, other_labels, np.random.default_rng(seed))
    assert set(taken) <= set(np.unique(other_labels)) - {0}
    assert (image == 128).all()
    assert (labels == 3).all()
    pasted = new_labels > 3
    assert set(np.unique(new_labels)) <= {3, 4, 5, 6}
    changed = np.abs(new_image.astype(int) - 128).max(2) > 70
    assert np.array_equal(pasted.any(), changed.any())
    if pasted.any():
        assert np.count_nonzero(pasted & changed) / np.count_nonzero(pasted | changed) > 0.75


def test_nothing_to_paste() -> None:
    image, labels = coded()
    new_image, new_labels, taken = copy_paste(image, labels, image, np.zeros_like(labels), np.random.default_rng(0))
    assert taken == []
    assert np.array_equal(new_image, image)
    assert np.array_equal(new_labels, labels)


def test_only_what_is_allowed_is_pasted() -> None:
    image, labels = np.full((64, 80, 3), 128, np.uint8), np.zeros((64, 80), np.int32)
    other_image, other_labels = coded(0, 48, 48)
    for seed in range(10):
        rng = np.random.default_rng(seed)
        assert set(copy_paste(image, labels, other_image, other_labels - 2, rng, allowed=[1])[2]) <= {1}


@given(st.integers(1, 300), st.integers(1, 300), st.integers(0, 1000))
def test_a_mosaic_covers_every_pixel_once(height: int, width: int, seed: int) -> None:
    times = np.zeros((height, width), int)
    boxes = mosaic_boxes((height, width), np.random.default_rng(seed))
    for x0, y0, x1, y1 in boxes:
        times[y0:y1, x0:x1] += 1
    assert (times == 1).all()
    assert len(boxes) in ((1, 2, 4) if min(height, width) < 64 else (2, 4))


def test_pictures_of_a_mosaic_keep_their_entities_apart() -> None:
    first = np.full((2, 2, 3), 10, np.uint8), np.int32([[1, 1], [2, 2]])
    second = np.full((4, 2, 3), 90, np.uint8), np.int32([[1, -1], [1, -1], [0, 3], [0, 3]])
    image, labels = mosaic([first, second], [(0, 0, 2, 2), (2, 0, 4, 2)])
    assert image[0, :, 0].tolist() == [10, 10, 90, 90]
    assert labels.tolist() == [[1, 1, 3, -1], [2, 2, 0, 5]]
