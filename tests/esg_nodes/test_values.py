from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

Part = Callable[[str], Any]


@pytest.fixture(scope="module")
def values(part: Part) -> Any:
    return part("values")


def test_pictures_are_rounded_and_cut_to_their_range(values: Any) -> None:
    image = torch.tensor([0.0, 0.5, 2.0, -1.0, 1.0, 0.1]).reshape(1, 1, 2, 3)
    (photo,) = values.pictures(image)
    assert photo.dtype == np.uint8
    assert photo.tolist() == [[[0, 128, 255], [0, 255, 26]]]


def test_transparent_pictures_lie_over_white_and_grey_ones_get_three_channels(values: Any) -> None:
    clear = torch.tensor([1.0, 0, 0, 0.5]).reshape(1, 1, 1, 4)
    assert values.pictures(clear)[0].tolist() == [[[255, 128, 128]]]
    assert values.pictures(torch.full((1, 1, 1, 1), 0.2))[0].tolist() == [[[51, 51, 51]]]


@pytest.mark.parametrize("shape", [(1, 2, 2), (1, 2, 2, 2), (0, 2, 2, 3), (1, 0, 2, 3)])
def test_what_is_no_image_is_refused(values: Any, core: Any, shape: tuple[int, ...]) -> None:
    with pytest.raises(core.InputError, match="An IMAGE must have the shape"):
        values.pictures(torch.zeros(shape))


def test_an_image_that_holds_no_numbers_is_refused(values: Any, core: Any) -> None:
    with pytest.raises(core.InputError, match="NaN or infinite"):
        values.pictures(torch.full((1, 2, 2, 3), float("nan")))
    with pytest.raises(core.InputError, match="NaN or infinite"):
        values.pictures(torch.stack([torch.zeros(2, 2, 3), torch.full((2, 2, 3), float("inf"))]))


def test_pictures_there_and_back(values: Any) -> None:
    photos = [np.random.default_rng(0).integers(0, 256, (3, 5, 3), np.uint8) for _ in range(2)]
    back = values.pictures(values.to_image(photos))
    assert [one.tolist() for one in back] == [one.tolist() for one in photos]


def test_masks_there_and_back(values: Any) -> None:
    given = torch.tensor([[[0.0, 0.25], [1.0, 0.5]]])
    assert torch.equal(values.to_mask(values.read_masks(given), (2, 2)), given)
    assert torch.equal(values.to_mask(values.read_masks(given[0]), (2, 2)), given)  # one mask may come without a batch


@pytest.mark.parametrize("shape", [(3, 4), (1, 3, 4), (2, 1, 3, 4), (2, 3, 4, 1), (1, 1, 3, 4), (1, 3, 4, 1)])
def test_an_axis_too_many_is_dropped(values: Any, shape: tuple[int, ...]) -> None:
    mask = torch.rand(shape)
    found = values.read_masks(mask)
    assert np.array_equal(np.stack(found), mask.reshape(-1, 3, 4).numpy())


@pytest.mark.parametrize("shape", [(2, 3, 3, 4), (4,), (1, 1, 1, 3, 4), (2, 3, 4, 2), (0, 3, 4)])
def test_what_is_no_mask_is_refused(values: Any, core: Any, shape: tuple[int, ...]) -> None:
    with pytest.raises(core.InputError, match=f"not {re.escape(str([*shape]))}"):
        values.read_masks(torch.zeros(shape))


def test_a_mask_that_holds_no_numbers_is_refused(values: Any, core: Any) -> None:
    with pytest.raises(core.InputError, match="NaN or infinite"):
        values.read_masks(torch.full((1, 2, 2), float("nan")))


def test_no_mask_at_all_is_one_empty_mask(values: Any) -> None:
    assert torch.equal(values.to_mask([], (2, 3)), torch.zeros(1, 2, 3))


def test_masks_of_entities_come_in_the_order_of_pictures_and_numbers(values: Any, entities: Any) -> None:
    first, second = entities.maps
    found = values.entity_masks(type(entities).of([second, first, first]))
    assert found.shape == (8, 40, 60)
    for k in range(8):
        assert np.array_equal(found[k].numpy() > 0, first.labels == k % 4 + 1)
    together = values.entity_masks(type(entities).of([first, second]), each=False)
    assert together.shape == (2, 40, 60)
    assert together[0].all()
    assert not together[1].any()


def test_more_masks_than_memory_are_refused(
    values: Any, core: Any, monkeypatch: pytest.MonkeyPatch, entities: Any
) -> None:
    monkeypatch.setattr(values, "LARGEST_STACK", 4 * 40 * 60 * 3)
    masks = values.entity_masks(entities)
    assert masks.shape == (4, 40, 60)  # who does not look at them does not suffer
    with pytest.raises(core.InputError, match="4 masks of 60x40 pixels"):
        masks.sum()


def test_a_mask_of_another_size_is_fitted(values: Any) -> None:
    mask = np.zeros((2, 2), np.float32)
    mask[0] = 1
    fitted = values.fitted(mask, (4, 6))
    assert fitted.shape == (4, 6)
    assert fitted[0].tolist() == [1] * 6
    assert fitted[-1].tolist() == [0] * 6


def test_pictures_and_entities_must_belong_together(values: Any, core: Any, entities: Any, image: torch.Tensor) -> None:
    values.check_pairs(image, entities)
    with pytest.raises(core.InputError, match="There are 1 pictures, but entities of 2"):
        values.check_pairs(image[:1], entities)
    with pytest.raises(core.InputError, match=r"The picture has 30x40 pixels, but the entities are .* 60x40"):
        values.check_pairs(image[:, :, :30], entities)
