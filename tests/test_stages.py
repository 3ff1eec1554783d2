"""`python -m benchmarks.stages`: the parts of a run, and the table made of them."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmarks import stages
from benchmarks.stages import cells, grounding, main, measure, picture_of, segmenting, table
from esg.grounder import Grounder
from esg.segmenter import EntitySegmenter
from esg.weights.finding import locate


@pytest.mark.parametrize("count", [1, 5, 60])
def test_every_entity_has_pixels_and_every_pixel_an_entity(count: int) -> None:
    assert np.unique(cells(90, 120, count)).tolist() == list(range(1, count + 1))


def test_a_segmenter_has_six_stages_and_networks_have_a_rate() -> None:
    segmenter = EntitySegmenter.from_pretrained(device="cpu")
    picture = picture_of(0.02)
    measured = measure({f"{crops} crops": segmenting(segmenter, picture, crops) for crops in (0, 4)}, 1)
    none, four = (own["stages"] for own in measured["settings"].values())
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
    few, many = (own["stages"] for own in measure(runs, 1)["settings"].values())
    assert list(few) == ["vision", "caption", "nouns", "association"]
    # Entities share one colormap, so three times as many cost no more than their products with the nouns.
    assert few["vision"]["operations"] == many["vision"]["operations"] > 0
    assert few["association"]["operations"] == pytest.approx(many["association"]["operations"], rel=0.01)


def test_a_caption_has_the_length_that_is_asked_for() -> None:
    grounder, picture = Grounder.from_pretrained(device="cpu"), picture_of(0.02)
    settings = measure({"long": grounding(grounder, picture, 40, 3)}, 1)["settings"]
    assert settings["long"]["tokens"] == 40
    assert len(list(grounder.caption(picture))) < 40  # by itself it ends, and it can again


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is Linux's")
def test_the_peak_of_a_run_leaves_out_what_was_held_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "product_rate", lambda: 1e9)
    held = np.ones(2**28, np.uint8)
    needed = 2**26

    def run(own: stages.Stages, operations: Callable[[], int]) -> None:
        with own.stage("work", operations):
            np.ones(needed, np.uint8)

    peak = measure({"some": run}, 1)["settings"]["some"]["peak_mib"]
    assert 0.9 * needed / 2**20 < peak < held.nbytes / 2**20


def test_a_file_is_recognised_by_its_content_not_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "cropformer.safetensors"
    shutil.copy(locate("gella-nano"), path)
    options = ["--tokens", "3", "--entities", "2", "--rounds", "1", "--out", str(tmp_path)]
    monkeypatch.setattr("sys.argv", ["stages", "--model", str(path), *options])
    monkeypatch.setattr(stages, "picture_of", lambda megapixels: picture_of(0.02))
    main()
    assert "| 3 words, 2 entities | 3 |" in capsys.readouterr().out
    settings = json.loads((tmp_path / "stages-cropformer.json").read_text())["figures"]["settings"]
    assert list(settings["3 words, 2 entities"]["stages"]) == ["vision", "caption", "nouns", "association"]


def test_each_photo_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[float] = []
    path = tmp_path / "gella.safetensors"  # a segmenter in spite of its name
    shutil.copy(locate("cropformer-nano"), path)
    monkeypatch.setattr(stages, "picture_of", made.append)
    given = argparse.Namespace(model=str(path), random=False, megapixels=[0.5, 2], crops=[0, 4, 8])
    assert len(stages.settings_of(given)) == 6
    assert made == [0.5, 2]


def test_the_table_has_a_row_for_each_setting() -> None:
    costs = {"views": (1.0, 0.25, 0, None), "backbone": (3.0, 0.75, 10, 0.5)}
    own = {
        name: dict(zip(("seconds", "share", "operations", "of_the_product"), values)) for name, values in costs.items()
    }
    setting = {"peak_mib": 12.3, "tokens": 0, "stages": own}
    rows = table({"settings": {"small": setting}}).splitlines()
    heads = "views, s (share; of the product) | backbone, s (share; of the product)"
    assert rows[0] == f"| setting | peak, MiB | all, s | {heads} |"
    assert rows[2:] == ["| small | 12 | 4.00 | 1.000 (25%) | 3.000 (75%; 50%) |"]
    assert table({"settings": {"small": {**setting, "tokens": 9}}}).splitlines()[2].startswith("| small | 9 | 12 |")
