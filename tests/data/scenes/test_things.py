"""Single things: named, within their bounds, and thin if they claim to be."""

from __future__ import annotations

import pytest
import torch

from esg.data.scenes.draws import Draws
from esg.data.scenes.shapes import Intersection, Shape, Strokes, Union
from esg.data.scenes.things import WITH_STROKES, compact, thin

COMPACT = [compact(Draws(seed), 0.5, 0.5, 0.4) for seed in range(1000)]
THIN = [thin(Draws(seed), 0.5, 0.5, 0.4, 1.0) for seed in range(100)]


def has_strokes(shape: Shape) -> bool:
    parts = shape.shapes if isinstance(shape, Union | Intersection) else ()
    return isinstance(shape, Strokes) or any(map(has_strokes, parts))


def test_every_thing_with_strokes_is_known_to_have_them() -> None:
    """Shadows of these are kept within the reach of their distance."""
    assert {name for name, shape in COMPACT + THIN if has_strokes(shape)} == set(WITH_STROKES)
    assert not {name for name, shape in COMPACT + THIN if not has_strokes(shape)} & set(WITH_STROKES)


def test_every_kind_of_compact_thing_is_drawn() -> None:
    names = {name for name, _ in COMPACT}
    assert {"box", "bar", "disc", "ring", "frame", "crescent", "star", "blob"} <= names
    assert {name.split()[0] for name in names if " " in name} == {"bitten", "pierced"}


def test_thin_things_are_thin_and_compact_ones_fill_their_place() -> None:
    assert max(shape.thickness for _, shape in THIN) < 0.25 * 0.4
    assert all(shape.thickness > 0.2 * 0.4 for name, shape in COMPACT if name not in ("bar", "ring", "frame"))


@pytest.mark.parametrize("things", [COMPACT[:40], THIN[:40]], ids=["compact", "thin"])
def test_nothing_lies_outside_the_bounds(things: list[tuple[str, Shape]]) -> None:
    x = y = (torch.arange(120) + 0.5) / 60 - 0.5
    for name, shape in things:
        x0, y0, x1, y1 = shape.bounds
        mask = shape.distance(x, y) < 0
        outside = (x[None] < x0) | (x[None] > x1) | (y[:, None] < y0) | (y[:, None] > y1)
        assert mask.any() or name.startswith("bitten"), name  # a bite may leave nothing
        assert not (mask & outside).any(), name
