"""Names of colours as people see them."""

from __future__ import annotations

import numpy as np
import pytest

from esg.data.narration.colours import COLOURS, TONES, best_names, colour_shares, oklab

EVERYDAY = {
    (0, 0, 0): "black",
    (35, 33, 30): "black",
    (128, 128, 128): "grey",
    (255, 255, 255): "white",
    (245, 240, 235): "white",
    (255, 0, 0): "red",
    (178, 34, 34): "red",
    (255, 165, 0): "orange",
    (255, 255, 0): "yellow",
    (139, 69, 19): "brown",
    (101, 67, 33): "brown",
    (0, 128, 0): "green",
    (85, 107, 47): "green",
    (64, 224, 208): "turquoise",
    (0, 0, 255): "blue",
    (135, 206, 235): "blue",
    (0, 0, 128): "blue",
    (128, 0, 128): "purple",
    (255, 192, 203): "pink",
    (255, 105, 180): "pink",
}


@pytest.mark.parametrize(("rgb", "name"), EVERYDAY.items())
def test_everyday_names(rgb: tuple[int, int, int], name: str) -> None:
    assert COLOURS[best_names(oklab(np.array(rgb) / 255))] == name


def test_oklab_of_known_colours() -> None:
    """Values of the article that defines the space."""
    assert oklab(np.ones(3)) == pytest.approx([1, 0, 0], abs=1e-3)
    assert oklab(np.array([1.0, 0, 0])) == pytest.approx([0.628, 0.225, 0.126], abs=1e-3)
    assert oklab(np.array([0, 0, 1.0])) == pytest.approx([0.452, -0.032, -0.312], abs=1e-3)


def test_shares_are_counted_an_entity() -> None:
    image = np.zeros((2, 4, 3), np.uint8)
    image[:, :2] = (255, 0, 0)
    image[0, 2:] = (0, 128, 0)  # and the rest is black
    labels = np.array([[1, 1, 3, 3], [1, 1, 3, 3]])
    best, fits, tones, tones_fit = colour_shares(image, labels, 4)
    assert best.shape == fits.shape == (4, len(COLOURS))
    assert tones.shape == tones_fit.shape == (4, len(TONES))
    assert best[1, COLOURS.index("red")] == 1
    assert best[3, COLOURS.index("green")] == best[3, COLOURS.index("black")] == 0.5
    assert tones[3].tolist() == [0.5, 0]
    assert not best[[0, 2]].any()
    assert (best <= fits).all()
    assert (tones <= tones_fit).all()


def test_where_names_meet_both_fit_and_elsewhere_only_one() -> None:
    image = np.array([[[70, 130, 150], [0, 0, 255]]], np.uint8)
    _, fits, _, _ = colour_shares(image, np.array([[1, 2]]), 3)
    assert {COLOURS[k] for k in np.flatnonzero(fits[1])} == {"turquoise", "blue"}
    assert {COLOURS[k] for k in np.flatnonzero(fits[2])} == {"blue"}
