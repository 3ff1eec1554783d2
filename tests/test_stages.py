"""`python -m benchmarks.stages`: the parts of a run, and the table made of them."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.stages import cells, grounding, measure, picture_of, segmenting, table
from esg.grounder import Grounder
from esg.segmenter import EntitySegmenter


@pytest.mark.parametrize("count", [1, 5, 60])
def test_every_entity_has_pixels_and_every_pixel_an_entity(count: int) -> None:
    assert np.unique(cells(90, 120, count)).tolist() == list(range(1, count + 1))


def test_a_segmenter_has_six_stages_and_networks_have_a_rate() -> None:
    segmenter = EntitySegmenter.from_pretrained(device="cpu")
    picture = picture_of(0.02)
    measured = measure({f"{crops} crops": segmenting(segmenter, picture, crops) for crops in (0, 4)}, 1)
    none, four = measured["settings"].values()
    assert list(none) == ["views", "backbone", "pixel decoder", "decoders", "fusion", "export"]
    for stage in ("backbone", "pixel decoder"):  # every view costs the same
        assert four[stage]["operations"] == 5 * none[stage]["operations"] > 0
    assert four["decoders"]["operations"] > 5 * none["decoders"]["operations"]  # the batch level comes on top
    assert none["views"]["operations"] == 0
    assert none["export"]["of_the_product"] is None
    assert sum(figures["share"] for figures in four.values()) == pytest.approx(1)


def test_gella_looks_once_whatever_is_asked() -> None:
    grounder, picture = Grounder.from_pretrained(device="cpu"), picture_of(0.02)
    runs = {f"{tokens}, {count}": grounding(grounder, picture, tokens, count) for tokens, count in ((5, 3), (5, 9))}
    few, many = measure(runs, 1)["settings"].values()
    assert list(few) == ["vision", "caption", "nouns", "association"]
    # Entities share one colormap, so three times as many cost no more than their products with the nouns.
    assert few["vision"]["operations"] == many["vision"]["operations"] > 0
    assert few["association"]["operations"] == pytest.approx(many["association"]["operations"], rel=0.01)


def test_the_table_has_a_row_for_each_setting() -> None:
    stages = {"views": (1.0, 0.25, 0, None), "backbone": (3.0, 0.75, 10, 0.5)}
    own = {
        name: dict(zip(("seconds", "share", "operations", "of_the_product"), values)) for name, values in stages.items()
    }
    rows = table({"settings": {"small": own}}).splitlines()
    assert rows[0] == "| setting | all, s | views, s (share; of the product) | backbone, s (share; of the product) |"
    assert rows[2:] == ["| small | 4.00 | 1.000 (25%) | 3.000 (75%; 50%) |"]
