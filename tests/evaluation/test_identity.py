"""IDF1, on clips of one row of pixels with obvious answers."""

from __future__ import annotations

import numpy as np
import pytest

from esg.evaluation.identity import Identity, IdentityCounts


def measured(*clips: tuple[list[str], list[str]]) -> Identity:
    counts = IdentityCounts()
    for truth, found in clips:
        for rows in zip(truth, found, strict=True):
            counts.add(*(np.array([[int(letter.replace(".", "0")) for letter in row]]) for row in rows))
        counts.end_clip()
    return counts.result()


def test_the_numbers_themselves_do_not_matter() -> None:
    assert measured((["112.", ".112"], ["775.", ".775"])) == (1, 1, 1, 1)


def test_a_track_that_breaks_counts_with_its_longest_part() -> None:
    # 3 of 4 frames have the right identity, and all are found.
    assert measured((["11"] * 4, ["22", "33", "33", "33"])) == (0.75, 0.75, 0.75, 1)


def test_two_true_tracks_cannot_share_a_found_one() -> None:
    # One number for two different entities is right for one of them only.
    assert measured((["11..", "..22"], ["55..", "..55"])) == (0.5, 0.5, 0.5, 1)


def test_what_is_missing_and_what_is_too_much() -> None:
    truth, found = ["1122", "1122"], ["33..", "334."]  # 2 of 4 true ones found; 4 has IoU 1/2, one frame
    assert measured((truth, found)) == (
        pytest.approx(2 * 3 / 7),
        pytest.approx(3 / 3),
        pytest.approx(3 / 4),
        pytest.approx(2 * 3 / 7),
    )
    assert measured((["1111"], ["2..."])) == (0, 0, 0, 0)  # an IoU of 1/4 is no match


def test_clips_are_matched_apart() -> None:
    clip = (["1"], ["3"])
    other = (["1"], ["4"])  # the same number is another entity in another clip
    assert measured(clip, other).idf1 == 1


def test_nothing() -> None:
    assert measured((["."], ["."])) == (0, 0, 0, 0)
