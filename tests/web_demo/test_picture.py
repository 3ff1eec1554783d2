"""What is sent to the browser."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from esg import EntityMap, InputError
from web_demo.picture import detail_value, edited_value, image_value, new_folder, picture_value, shown_file


def two_entities(height: int = 4, width: int = 6) -> EntityMap:
    """Left half entity 1 with score 0.7, the last row of the right half entity 2 with score 0.3."""
    labels = np.zeros((height, width), np.int32)
    labels[:, : width // 2] = 1
    labels[-1, width // 2 :] = 2
    return EntityMap.from_labels(labels, [0.7, 0.3])


def sent_labels(value: Mapping[str, Any]) -> np.ndarray:
    width, height = value["size"]
    return np.frombuffer(gzip.decompress(Path(value["labels"]["path"]).read_bytes()), "<u2").reshape(height, width)


def sent_photo(value: Mapping[str, Any]) -> np.ndarray:
    return np.asarray(Image.open(value["photo"]["path"]))


def test_the_browser_gets_the_labels_and_what_the_table_shows() -> None:
    entities = two_entities()
    value = picture_value(np.full((4, 6, 3), 200, np.uint8), entities, map_number=7, min_score=0.5)
    assert (value["size"], value["full"], value["map_number"], value["min_score"]) == ((6, 4), (6, 4), 7, 0.5)
    assert np.array_equal(sent_labels(value), entities.labels)
    assert sent_photo(value).shape == (4, 6, 3)
    first, second = value["entities"]
    assert (first["area"], first["percent"], second["area"], second["percent"]) == (12, 50.0, 3, 12.5)
    assert first["score"] == pytest.approx(0.7)
    for number, entry in enumerate(value["entities"], start=1):
        assert entities.at(entry["x"] * 6, entry["y"] * 4) == number
    json.dumps(value)


def test_large_photos_are_made_smaller_for_the_browser_alone() -> None:
    value = picture_value(np.zeros((40, 6400, 3), np.uint8), two_entities(40, 6400))
    assert (value["size"], value["full"]) == ((1600, 10), (6400, 40))
    assert sent_photo(value).shape == (10, 1600, 3)
    assert np.array_equal(sent_labels(value)[:, :800], np.ones((10, 800)))
    assert value["entities"][0]["area"] == 40 * 3200


def test_more_ids_than_fit_into_eight_bits() -> None:
    entities = EntityMap.from_labels(np.arange(1, 301).reshape(15, 20))
    assert np.array_equal(sent_labels(picture_value(np.zeros((15, 20, 3), np.uint8), entities)), entities.labels)


def test_a_photo_is_shown_before_its_entities_are_known() -> None:
    value = picture_value(np.zeros((4, 6, 3), np.uint8))
    assert value["map_number"] == 0
    assert "labels" not in value
    assert "entities" not in value
    assert Path(value["photo"]["path"]).is_file()


def test_after_an_edit_the_photo_alone_is_sent() -> None:
    value = edited_value(np.full((4, 3200, 3), 90, np.uint8), None)
    assert (sorted(value), value["before"]) == (["before", "masked", "photo", "size"], None)
    assert value["size"] == (1600, 2)
    assert np.abs(sent_photo(value).astype(int) - 90).max() <= 2


def test_a_detail_has_the_photos_own_pixels() -> None:
    """Columns one pixel wide, of which nothing is left in the browser's size."""
    photo = np.zeros((8, 3200, 3), np.uint8)
    photo[:, ::2] = 255
    entities = EntityMap.from_labels(np.tile(np.arange(3200) // 100 + 1, (8, 1)))
    value = detail_value(photo, entities, [0.5, 0.25, 0.625, 1], map_number=7)
    assert (value["size"], value["box"], value["map_number"]) == ((400, 6), (0.5, 0.25, 0.625, 1), 7)
    assert np.array_equal(sent_labels(value), entities.labels[2:, 1600:2000])
    columns = sent_photo(value).mean(axis=(0, 2))
    assert (columns[::2] > 200).all()
    assert (columns[1::2] < 50).all()


def test_a_detail_is_widened_to_whole_pixels_and_never_larger_than_what_is_shown() -> None:
    value = detail_value(np.zeros((10, 10, 3), np.uint8), None, [0.11, 0.25, 0.19, 1 + 1e-9])
    assert (value["size"], value["box"]) == ((1, 8), (0.1, 0.2, 0.2, 1))
    assert "labels" not in value
    at_the_end = detail_value(np.zeros((10, 10, 3), np.uint8), None, [1, 1, 1 + 1e-7, 1 + 1e-7])
    assert (at_the_end["size"], at_the_end["box"]) == ((1, 1), (0.9, 0.9, 1, 1))
    large = detail_value(np.zeros((5, 4000, 3), np.uint8), None, [0, 0, 1, 1])
    assert large["size"] == (1600, 2)


@pytest.mark.parametrize(
    "box",
    [
        None,
        "box",
        [],
        [0, 0, 1],
        [0, 0, 1, 1, 1],
        [0, 0, "x", 1],
        [0.5, 0, 0.5, 1],
        [0, 0.6, 1, 0.5],
        [-0.1, 0, 1, 1],
        [0, 0, 1.1, 1],
        [float("nan"), 0, 1, 1],
        [0, 0, float("inf"), 1],
    ],
)
def test_a_box_that_is_none_is_one_sentence(box: Any) -> None:
    with pytest.raises(InputError, match=r"^[^\n]+reload it\.$"):
        detail_value(np.zeros((4, 6, 3), np.uint8), None, box)


def test_masks_keep_their_alpha() -> None:
    pixels = np.random.default_rng(0).integers(1, 256, (5, 7, 4), np.uint8)
    with Image.open(image_value(pixels, 1)["photo"]["path"]) as sent:
        assert np.array_equal(np.asarray(sent), pixels)


def test_files_lie_where_gradio_serves_them_under_names_that_cannot_be_guessed(cache: Path) -> None:
    first, second = new_folder(), new_folder()
    assert first.parent == second.parent == cache
    assert first != second
    assert len(first.name) >= 32
    assert Path(shown_file(np.zeros((4, 6, 3), np.uint8))).is_relative_to(cache)
