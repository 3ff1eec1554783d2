"""The position and the size of a crop."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esg import CropSettings, InputError
from esg.inpaint.frame import frame

Ends = tuple[int, int, int, int]  # top, bottom, left, right


def framed(needed: Ends, photo: tuple[int, int], **settings: Any) -> tuple[Ends, tuple[int, int]]:
    top, bottom, left, right = needed
    (rows, columns), size = frame((slice(top, bottom), slice(left, right)), photo, CropSettings(**settings))
    return (rows.start, rows.stop, columns.start, columns.stop), size


@pytest.mark.parametrize(
    ("needed", "settings", "expected"),
    [
        ((40, 60, 40, 60), {"context": 2}, ((30, 70, 30, 70), (512, 512))),
        ((40, 60, 40, 60), {"context": 1}, ((40, 60, 40, 60), (512, 512))),
        ((0, 20, 90, 110), {"context": 2}, ((0, 40, 80, 120), (512, 512))),  # at the border the box moves inwards
        ((80, 100, 180, 200), {"context": 2}, ((60, 100, 160, 200), (512, 512))),
        ((40, 60, 40, 60), {"context": 1, "target": 0, "multiple": 16}, ((34, 66, 34, 66), (32, 32))),
        ((0, 100, 0, 200), {"context": 3, "target": 64, "multiple": 8}, ((0, 100, 0, 200), (48, 96))),
        ((50, 51, 0, 100), {"context": 1, "target": 64}, ((25, 75, 0, 100), (48, 96))),  # not slimmer than 1:2
        ((0, 100, 0, 200), {"context": 1, "target": 0, "multiple": 64}, ((-14, 114, -28, 228), (128, 256))),
    ],
)
def test_known_places(needed: Ends, settings: dict[str, Any], expected: tuple[Ends, tuple[int, int]]) -> None:
    assert framed(needed, (100, 200), **settings) == expected


@given(st.data())
def test_every_crop_holds_what_is_needed_undistorted(data: st.DataObject) -> None:
    height, width = photo = data.draw(st.tuples(st.integers(1, 5000), st.integers(1, 5000)))
    top, left = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    bottom, right = data.draw(st.integers(top + 1, height)), data.draw(st.integers(left + 1, width))
    target = data.draw(st.sampled_from([0, 1, 64, 512, 768, 1024, 8192]))
    multiple = data.draw(st.sampled_from([1, 8, 16, 64]))
    context = data.draw(st.floats(1, 10))
    box, size = framed((top, bottom, left, right), photo, target=target, multiple=multiple, context=context)
    assert box[0] <= top < bottom <= box[1]
    assert box[2] <= left < right <= box[3]
    high, wide = box[1] - box[0], box[3] - box[2]
    assert high * size[1] == wide * size[0]
    assert not size[0] % multiple
    assert not size[1] % multiple
    assert size[0] > 0
    assert target or size == (high, wide)
    for start, stop, end in ((*box[:2], height), (*box[2:], width)):  # in the photo if it is not larger than it
        assert (start >= 0 and stop <= end) if stop - start <= end else (start <= 0 and stop >= end)
    if target >= 8 * multiple and max(height, width) <= 4 * min(height, width):
        assert 0.6 < math.sqrt(size[0] * size[1]) / target < 1.6


@given(st.integers(20, 3000), st.integers(20, 3000))
def test_little_more_is_cut_than_needed(height: int, width: int) -> None:
    """In a photo with room; at SDXL's size and a fine grid."""
    (top, bottom, left, right), _ = framed((0, height, 0, width), (9000, 9000), target=1024, context=1)
    needed = max(height, width / 2) * max(width, height / 2)
    assert (bottom - top) * (right - left) <= 1.2 * needed + 40 * (height + width)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"target": -1}, "^target is -1, .* from 0 to 8192"),
        ({"target": 9000}, "8192"),
        ({"target": 512.5}, "^target is 512.5, .* whole number"),
        ({"target": None}, "^target is None"),
        ({"multiple": 0}, "^multiple is 0, .* from 1 to 256"),
        ({"multiple": math.nan}, "^multiple is nan"),
        ({"context": 0.9}, "at least 1"),
        ({"context": math.nan}, "at least 1"),
        ({"context": math.inf}, "at least 1"),
        ({"context": "2"}, "at least 1 .* not '2'"),
        ({"grow": -1}, "^grow is -1, .* at least 0"),
        ({"grow": math.nan}, "^grow is nan, .* whole number"),
        ({"feather": -2}, "^feather is -2, .* at least 0"),
        ({"feather": 0.5}, "^feather is 0.5, .* whole number"),
    ],
)
def test_settings_out_of_range(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        CropSettings(**settings)
