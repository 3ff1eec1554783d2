"""`esg batch` with the workers in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from halves import picture
from PIL import Image

from esg import EntitySegmenter
from esg.batch import cluster, inputs
from esg.batch.cluster import Workers
from esg.batch.inputs import list_sources
from esg.batch.ledger import Summary
from esg.batch.settings import Settings
from esg.batch.shards import Shard
from esg.batch.worker import Worker
from esg.cli import batch as command
from esg.support.errors import EsgError

Table = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def batch(esg: Callable[..., Any], tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Runs `esg batch` with a tiny model; gives an `Ended`."""

    def compute(shards: Sequence[Shard], settings: Settings, out: str, workers: Workers) -> Iterator[Summary]:
        assert workers.number == 2
        worker = Worker(settings, out)
        for shard in shards:
            summary = worker(shard)
            if summary.stopped:
                raise EsgError(summary.stopped)
            yield summary

    monkeypatch.setattr(cluster, "import_ray", lambda workers: None)
    monkeypatch.setattr(cluster, "run", compute)
    options = ["--model", tiny_model, "--size", 64, "--max-size", 96, "--device", "cpu", "--workers", 2]
    return lambda *arguments: esg("batch", *arguments, *options)


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    """The frames of a scene."""
    folder = tmp_path / "data/scene/color"
    folder.mkdir(parents=True)
    for number in (0, 10, 20, 100):
        picture(number % 7 + 3).resize((60, 40)).save(folder / f"{number}.jpg")
    return folder


def test_a_folder(batch: Any, scene: Path, tiny_model: Path, tmp_path: Path, table: Table) -> None:
    result = batch(scene, tmp_path / "out", "--min-score", 0)
    assert (result.status, result.out) == (0, [])
    assert result.err[0] == f"0 of 4 shards are already done; results go to {tmp_path / 'out'}"
    segment = EntitySegmenter.from_pretrained(tiny_model, device="cpu")
    rows = table(tmp_path / "out")
    assert len(rows) == 4
    for row in rows:
        expected = segment(row["photo"], size=64, max_size=96, min_score=0)
        assert row["rles"] == [mask["counts"] for mask in expected.to_rles()]
        assert row["scores"] == expected.scores.tolist()
        assert row["boxes"] == expected.boxes.tolist()
        assert (row["model"], row["caption"], row["phrases"]) == (str(tiny_model), None, [])
    assert f"4 photos, {sum(len(row['ids']) for row in rows)} entities, 0 photos" in result.err[1]
    again = batch(scene, tmp_path / "out", "--min-score", 0)
    assert again.err == [f"4 of 4 shards are already done; results go to {tmp_path / 'out'}"]


def test_the_time_of_a_run_includes_its_start(
    batch: Any, scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Clock:
        now = 1000.0

        def monotonic(self) -> float:
            return self.now

    clock = Clock()

    def slow(*inputs: Any, **options: Any) -> Any:
        clock.now += 100
        return list_sources(*inputs, **options)

    monkeypatch.setattr(command, "time", clock)
    monkeypatch.setattr(inputs, "list_sources", slow)
    result = batch(scene, tmp_path / "out")
    assert "0 photos that could not be used; 1 min 40 s in all, " in result.err[1]
    assert result.err[1].endswith(" without the start-up")


def test_a_single_shard_does_not_have_a_rate(batch: Any, scene: Path, tmp_path: Path) -> None:
    assert batch(scene / "10.jpg", tmp_path / "out").err[1].endswith(" s in all")


def test_frames_beside_their_masks(batch: Any, scene: Path, tiny_model: Path) -> None:
    data = scene.parent.parent
    options = ["--format", "png", "--layout", "maskclustering", "--stride", 2, "--min-area", 50, "--min-score", 0]
    assert batch(data, data, *options).status == 0
    written = sorted((data / "scene/output/mask").iterdir())
    assert [path.name for path in written] == ["0.png", "20.png"]
    segment = EntitySegmenter.from_pretrained(tiny_model, device="cpu")
    expected = segment(scene / "20.jpg", size=64, max_size=96, min_score=0, min_area=50)
    labels = np.asarray(Image.open(written[1]))
    assert labels.dtype == np.uint8
    best_last = np.where(expected.labels, len(expected) + 1 - expected.labels, 0)
    assert np.array_equal(labels, best_last)
    assert not (data / "entities").exists()
    again = batch(data, data, *options)  # the masks are not among its inputs
    assert again.err == [f"2 of 2 shards are already done; results go to {data}"]


def test_captions(batch: Any, scene: Path, tiny_gella: Path, tmp_path: Path, table: Table) -> None:
    words = ["--captions", "--grounder", tiny_gella, "--min-score", 0]
    result = batch(scene / "10.jpg", tmp_path / "out", *words)
    assert result.status == 0
    (row,) = table(tmp_path / "out")
    assert row["grounder"] == str(tiny_gella)
    for phrase in row["phrases"]:
        start, end = phrase["span"]
        assert row["caption"][start:end] == phrase["text"]


def test_phrases(batch: Any, scene: Path, tiny_gella: Path, tmp_path: Path, table: Table) -> None:
    words = ["--phrases", "red disc, dog", "--grounder", tiny_gella, "--min-score", 0]
    assert batch(scene / "10.jpg", tmp_path / "out", *words).status == 0
    (row,) = table(tmp_path / "out")
    assert row["caption"] is None
    assert [phrase["text"] for phrase in row["phrases"]] == ["red disc", "dog"]


def test_bad_photos_are_reported(batch: Any, scene: Path, tmp_path: Path, table: Table) -> None:
    (scene / "5.jpg").write_bytes(b"broken")
    result = batch(scene, tmp_path / "out")
    assert result.status == 2
    assert result.err[-1] == f"esg: Some photos could not be used; {tmp_path / 'out'}/errors says which and why."
    assert [row["photo"] for row in table(tmp_path / "out", "errors")] == [str(scene / "5.jpg")]
    (scene / "5.jpg").write_bytes((scene / "0.jpg").read_bytes())
    assert batch(scene, tmp_path / "out", "--retry-errors").status == 0
    assert len(table(tmp_path / "out")) == 5


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--model", "nothing.pth"], "nothing.pth"),
        (["--format", "jpg"], "'jpg' is not parquet, png or parquet,png"),
        (["--gpus", "-1"], "-1 is not a positive number"),
        (["--device", "cuda:1"], "use --device cuda, and --gpus for a worker's share"),
        (["--captions", "--phrases", "a"], "not allowed with argument --captions"),
    ],
)
def test_wrong_options(esg: Any, pictures: Path, tmp_path: Path, options: list[str], words: str, batch: Any) -> None:
    esg("batch", pictures, tmp_path / "out", *options).refused(words)
    assert not (tmp_path / "out").exists()


def test_weights_that_do_not_fit_stop_the_run(esg: Any, batch: Any, pictures: Path, tiny_gella: Path) -> None:
    out = pictures.parent / "out"
    result = esg("batch", pictures, out, "--model", tiny_gella, "--workers", 2)
    assert result.status == 2
    assert "grounds words in entities but does not find entities" in result.err[-1]
    assert not (out / "entities").exists()
