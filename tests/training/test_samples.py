"""Views for training: geometry, labels that follow the pixels, and samples that depend only on the step."""

from __future__ import annotations

import dataclasses
import multiprocessing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from esg.data.augment import FLIPPED
from esg.models.cropformer.views import PIXEL_MEAN, PIXEL_STD, cut_view, resized_size, view_boxes
from esg.support.errors import ImageError
from esg.training.samples import SampleConfig, Samples, views_of

SMALL = SampleConfig(batch=2, sizes=((64, 96), (96, 64)), detail=(1.0, 1.5), paste_share=0.5)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of one photo with two annotators."""
    values = np.random.default_rng(0).integers(0, 255, (90, 120, 3), np.uint8)
    Image.fromarray(values).save(tmp_path / "a.jpg")
    for annotator, cut in enumerate((30, 80)):
        Image.fromarray((np.arange(120) < np.full((90, 1), cut)).astype(np.uint8) + 1).save(
            tmp_path / f"a_{annotator}.png"
        )
    return tmp_path


@pytest.mark.parametrize("seed", range(12))
def test_labels_follow_the_pixels_into_both_views(seed: int) -> None:
    """The label of each pixel is written into its colour, so both must agree in the views, away from borders."""
    rng = np.random.default_rng(seed)
    labels = np.kron(np.arange(1, 21).reshape(4, 5), np.ones((40, 40), np.int64))
    image = np.repeat((labels * 12)[..., None], 3, 2).astype(np.uint8)
    pixels, maps, _, (height, width) = views_of(image, labels, (120, 150), (128, 160), rng)
    assert (height, width) == (120, 150)
    assert pixels.shape == (2, 3, 128, 160)
    assert maps.shape == (2, 128, 160)
    assert (pixels[:, :, height:] == 0).all()
    assert (pixels[..., width:] == 0).all()
    assert (maps[:, height:] == 0).all()
    assert (maps[..., width:] == 0).all()
    assert (maps[:, :height, :width] > 0).all()
    agrees = (pixels[:, 0] == maps * 12)[:, :height, :width]
    assert agrees.mean() > 0.85  # all but the pixels that mix two entities
    assert set(np.unique(maps[1])) <= set(np.unique(maps[0]))


def places(crops: str, seeds: int, ratio: float = 0.7) -> set[tuple[int, int]]:
    """The origins of the crops of a picture of 100 × 100 pixels, of which each is its own entity."""
    labels = np.arange(1, 10_001, dtype=np.int64).reshape(100, 100)
    image = np.zeros((100, 100, 3), np.uint8)
    found = set()
    side = int(ratio * 100)
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        _, maps, frames, _ = views_of(image, labels, (side, side), (96, 96), rng, crops=crops, ratio=ratio)
        y, x = divmod(int(maps[1, 0, 0]) - 1, 100)
        assert maps[1, side - 1, side - 1] - 1 == (y + side - 1) * 100 + x + side - 1  # not resampled
        assert frames[1, :2].tolist() == pytest.approx([x / 100, y / 100])
        found.add((x, y))
    return found


def test_the_crop_is_at_one_of_the_fixed_places_and_each_comes_up() -> None:
    for crops, count in (("fixed-4", 4), ("fixed-8", 8)):
        assert places(crops, 80) == {box[:2] for box in view_boxes(100, 100, count)[1:]}


def test_a_random_crop_is_anywhere_in_the_picture() -> None:
    found = places("random", 300)
    assert len(found) > 200
    for axis in (0, 1):
        assert (min(place[axis] for place in found), max(place[axis] for place in found)) == (0, 30)


def test_without_a_crop_there_is_the_full_view_alone() -> None:
    batch = Samples(dataclasses.replace(SMALL, crops="none"))[0]
    assert batch.pixels.shape[:2] == batch.labels.shape[:2] == batch.frames.shape[:2] == (2, 1)
    assert batch.frames[:, 0, :2].eq(0).all()


def test_the_crop_ratio_is_the_crops_side() -> None:
    assert places("fixed-4", 60, ratio=0.5) == {(0, 0), (50, 0), (0, 50), (50, 50)}


@pytest.mark.parametrize("size", [(60, 200), (90, 120), (120, 40)])
def test_with_a_short_side_the_full_view_is_the_whole_photo(tmp_path: Path, size: tuple[int, int]) -> None:
    values = np.random.default_rng(1).integers(0, 255, (*size, 3), np.uint8)
    Image.fromarray(values).save(tmp_path / "a.jpg", quality=95)
    labels = np.kron(np.int64([[1, 2], [3, 4]]), np.ones((size[0] // 2, size[1] // 2), np.int64)).astype(np.uint8)
    Image.fromarray(labels).save(tmp_path / "a_0.png")
    config = SampleConfig(
        batch=2,
        short=(48, 64),
        longest=150,
        photos=(str(tmp_path),),
        photo_share=1.0,
        paste_share=0.0,
        augment=FLIPPED,
    )
    photo = np.asarray(Image.open(tmp_path / "a.jpg"))
    seen = set()
    for step in range(8):
        batch = Samples(config)[step]
        assert batch.pixels.shape[-2:] == tuple(-(-side // 32) * 32 for side in batch.sizes.amax(0).tolist())
        for pixels, maps, (height, width) in zip(batch.pixels, batch.labels, batch.sizes.tolist(), strict=True):
            expected = {short: resized_size(*size, short, 150) for short in config.short}
            assert (height, width) in expected.values()
            view = pixels[0, :, :height, :width].numpy().transpose(1, 2, 0)
            whole = cut_view(photo, (0, 0, size[1], size[0]), (height, width))
            mirrored = cut_view(np.ascontiguousarray(photo[:, ::-1]), (0, 0, size[1], size[0]), (height, width))
            flipped = not np.array_equal(view, whole)
            assert not flipped or np.array_equal(view, mirrored)
            corners = [1, 2, 3, 4] if not flipped else [2, 1, 4, 3]
            assert maps[0, [0, 0, height - 1, height - 1], [0, width - 1, 0, width - 1]].tolist() == corners
            assert not maps[0, height:].any()
            assert not maps[0, :, width:].any()
            seen.add(flipped)
    assert seen == {False, True}


def test_scenes_for_a_short_side_are_wide_and_tall() -> None:
    config = SampleConfig(batch=2, short=(64,), longest=96, detail=(1.0, 1.0), paste_share=0.0)
    sizes = [tuple(size) for step in range(6) for size in Samples(config)[step].sizes.tolist()]
    assert {min(size) for size in sizes} <= {*range(57, 65)}
    assert max(max(size) for size in sizes) <= 96
    assert len({height > width for height, width in sizes}) == 2


def test_padding_stays_below_the_coarsest_stride() -> None:
    batches = [Samples(SMALL)[step] for step in range(12)]
    sizes = np.array([batch.sizes.numpy() for batch in batches])  # (12, 2, 2)
    missing = np.array([batch.pixels.shape[-2:] for batch in batches])[:, None] - sizes
    assert (missing >= 0).all()
    assert (missing < 32).all()
    assert missing.any()
    assert not missing.all()


def test_a_batch_depends_on_seed_step_and_rank_alone() -> None:
    same = Samples(SMALL)[7], Samples(SMALL)[7]
    assert all(torch.equal(*pair) for pair in zip(*(vars(batch).values() for batch in same), strict=True))
    others = Samples(SMALL)[8], Samples(SMALL, rank=1)[7], Samples(SampleConfig(**{**vars(SMALL), "seed": 1}))[7]
    for other in others:
        assert other.pixels.shape != same[0].pixels.shape or not torch.equal(other.pixels, same[0].pixels)
    assert others[1].pixels.shape == same[0].pixels.shape  # all devices have the same size


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_come_in_order_from_any_number_of_workers(workers: int) -> None:
    samples = Samples(SMALL)
    for step, batch in zip(range(3, 6), samples.batches(3, 6, workers), strict=True):
        assert torch.equal(batch.pixels, samples[step].pixels)
        assert torch.equal(batch.labels, samples[step].labels)


def test_photos_come_with_each_of_their_annotators(photos: Path) -> None:
    config = SampleConfig(batch=1, sizes=((64, 64),), photos=(str(photos),), photo_share=1.0, paste_share=0.0)
    samples = Samples(config)
    batches = [samples[step] for step in range(8)]
    assert all(set(batch.labels.unique().tolist()) <= {0, 1, 2} for batch in batches)
    assert len({float((batch.labels == 1).float().mean()) for batch in batches}) > 2


@pytest.mark.parametrize("options", [{"sizes": ((128, 192),)}, {"short": (128,), "longest": 192}])
def test_a_mosaic_has_the_entities_of_several_photos(photos: Path, options: dict[str, Any]) -> None:
    config = SampleConfig(
        batch=2, photos=(str(photos),), photo_share=1.0, paste_share=0.0, crops="none", mosaic_share=1.0, **options
    )
    batches = [Samples(config)[step] for step in range(6)]
    most = max(len(set(labels.unique().tolist()) - {0, -1}) for batch in batches for labels in batch.labels)
    assert 2 < most <= 8  # each photo has two entities, and a mosaic up to four photos


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_photo_is_one_sentence_and_ends_the_processes(photos: Path, workers: int) -> None:
    for annotator in (0, 1):
        (photos / f"a_{annotator}.png").write_bytes(b"damaged")
    config = SampleConfig(batch=1, sizes=((64, 64),), photos=(str(photos),), photo_share=1.0)
    with pytest.raises(ImageError, match=r"a_\d\.png cannot be read") as caught:
        next(Samples(config).batches(0, 3, workers))
    assert "Traceback" not in str(caught.value)
    assert not multiprocessing.active_children()


def test_normalised_pixels_have_zero_padding() -> None:
    batch = Samples(SMALL)[3]
    pixels, _, labels = batch.normalised()
    assert pixels.dtype == torch.float32
    assert labels.dtype == torch.int64
    height, width = batch.sizes[0].tolist()
    assert not pixels[0, ..., height:, :].any()
    assert not pixels[0, ..., width:].any()
    value = float(batch.pixels[0, 1, 2, 5, 6])
    assert float(pixels[0, 1, 2, 5, 6]) == pytest.approx((value - PIXEL_MEAN[2]) / PIXEL_STD[2], abs=1e-5)


def test_closing_the_batches_ends_their_processes() -> None:
    batches = Samples(SampleConfig(batch=1, sizes=((64, 64),))).batches(0, 50, workers=1)
    next(batches)
    assert multiprocessing.active_children()
    batches.close()
    assert not multiprocessing.active_children()
