"""A run that is killed anywhere and started again ends with the rows of an undisturbed one, each once."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from halves import halves, picture
from PIL import Image

from esg import EntitySegmenter, Grounder
from esg.batch.inputs import list_sources
from esg.batch.ledger import Summary
from esg.batch.running import Run
from esg.batch.settings import Settings
from esg.batch.worker import load
from esg.support.errors import InputError, OutputError

BOTH = Settings(formats=("parquet", "png"))

Table = Callable[..., list[dict[str, Any]]]
Compute = Callable[..., Any]


class Killed(BaseException):
    """The end of a worker, which it cannot prevent."""


def killed_after(number: int) -> Any:
    """Finds the halves of `number` pictures, and then the worker dies."""
    left = iter(range(number))

    def find(pixels: np.ndarray) -> Any:
        if next(left, None) is None:
            raise Killed
        return halves(pixels)

    return find


def run(out: Path, inputs: list[Path], work: Any, settings: Settings = BOTH, **options: Any) -> list[Summary]:
    sources = list_sources(map(str, inputs), out=str(out))
    return list(Run(sources, settings, str(out), photos_each=3, **options).work(work))


def files(out: Path) -> dict[str, bytes]:
    """All files but the ledger's, with their content; Parquet files are equal if their rows are."""
    return {
        path.relative_to(out).as_posix(): b"" if path.suffix == ".parquet" else path.read_bytes()
        for path in out.rglob("*")
        if path.is_file() and "_esg" not in path.parts
    }


def test_the_rows_and_the_labels(pictures: Path, tmp_path: Path, compute: Compute, table: Table) -> None:
    summaries = run(tmp_path / "out", [pictures], compute(BOTH))
    assert sum(one.photos for one in summaries) == 19
    assert (sum(one.entities for one in summaries), sum(one.errors for one in summaries)) == (38, 1)
    rows = {row["name"]: row for row in table(tmp_path / "out")}
    assert sorted(map(int, rows)) == [number for number in range(20) if number != 3]
    row = rows["4"]  # five bright columns
    assert row["photo"] == str(pictures / "4.png")
    assert (row["height"], row["width"], row["model"], row["grounder"]) == (8, 12, "cropformer-nano", None)
    assert (row["ids"], row["scores"], row["areas"]) == ([1, 2], [0.75, 0.5], [40, 56])
    assert row["boxes"] == [[0, 0, 5, 8], [5, 0, 12, 8]]
    assert row["rles"] == [mask["counts"] for mask in halves(np.asarray(picture(5)))[0].to_rles()]
    labels = np.asarray(Image.open(tmp_path / "out/labels/4.png"))
    assert labels.dtype == np.uint8
    assert (labels[:, :5] == 1).all()
    assert (labels[:, 5:] == 2).all()
    (error,) = table(tmp_path / "out", "errors")
    assert error["photo"] == str(pictures / "3.png")
    assert "3.png is not a picture" in error["problem"]


@pytest.mark.parametrize("number", range(0, 20, 3))
def test_a_run_that_is_killed_resumes(
    number: int, pictures: Path, tar: Path, tmp_path: Path, compute: Compute, table: Table
) -> None:
    inputs = [pictures, tar]
    run(tmp_path / "whole", inputs, compute(BOTH, out=str(tmp_path / "whole")))
    out = tmp_path / "out"
    with pytest.raises(Killed):
        run(out, inputs, compute(BOTH, killed_after(number)))
    resumed = run(out, inputs, compute(BOTH))
    assert len(resumed) == 8 or number >= 3
    assert table(out) == table(tmp_path / "whole")
    assert table(out, "errors") == table(tmp_path / "whole", "errors")
    assert files(out) == files(tmp_path / "whole")
    assert run(out, inputs, compute(BOTH, killed_after(0))) == []  # nothing is left to do


def test_a_run_that_dies_before_its_last_file(
    pictures: Path, tmp_path: Path, compute: Compute, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    from esg.batch.ledger import Ledger

    def die(*_: object) -> None:
        raise Killed

    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "finish", die)
        with pytest.raises(Killed):
            run(out, [pictures], compute(BOTH))
    assert len(table(out)) > 0  # the table of a shard that is not done is there
    run(out, [pictures], compute(BOTH))
    assert [row["photo"] for row in table(out)] == sorted(
        str(pictures / f"{number}.png") for number in range(20) if number != 3
    )


def test_new_inputs_are_added(pictures: Path, tar: Path, tmp_path: Path, compute: Compute, table: Table) -> None:
    out = tmp_path / "out"
    run(out, [pictures], compute(BOTH))
    before = table(out)
    (summary,) = run(out, [pictures, tar], compute(BOTH))
    assert (summary.number, summary.photos) == (7, 2)
    added = [row for row in table(out) if row not in before]
    assert [(row["photo"], row["name"]) for row in added] == [
        (f"{tar}#a/5.png", "photos-000/a/5"),
        (f"{tar}#a/6.png", "photos-000/a/6"),
    ]
    assert (out / "labels/photos-000/a/6.png").is_file()


def test_other_settings_are_refused(pictures: Path, tmp_path: Path, compute: Compute) -> None:
    run(tmp_path / "out", [pictures], compute(BOTH))
    with pytest.raises(InputError, match=r"run with other settings \(min_area 0\)"):
        run(tmp_path / "out", [pictures], compute(BOTH), Settings(min_area=9, formats=BOTH.formats))
    elsewhere = Settings(formats=BOTH.formats, device="cpu", threads=1)
    assert run(tmp_path / "out", [pictures], compute(elsewhere), elsewhere) == []


def test_a_run_that_did_nothing_yet_can_begin_with_others(
    pictures: Path, tar: Path, tmp_path: Path, compute: Compute, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    from esg.batch.ledger import Ledger

    def die(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "finish", die)
        with pytest.raises(Killed):
            run(tmp_path / "out", [pictures], compute(BOTH))
    assert len(table(tmp_path / "out")) == 3  # the table of a shard that is not done
    png = Settings(min_area=9)
    assert len(run(tmp_path / "out", [tar], compute(png), png)) == 1
    assert [row["name"] for row in table(tmp_path / "out")] == ["photos-000/a/5", "photos-000/a/6"]


def test_two_members_with_one_label_picture(tmp_path: Path, compute: Compute, table: Table) -> None:
    picture(4).save(tmp_path / "1.png")
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for folder in ("color", "rgb"):
            archive.add(tmp_path / "1.png", f"{folder}/1.png")
    frames = Settings(formats=("png",), layout="instascene")
    run(tmp_path / "out", [tmp_path / "a.tar"], compute(frames), frames)
    assert (tmp_path / "out/a/sam/mask/1.png").is_file()
    (error,) = table(tmp_path / "out", "errors")
    assert (error["photo"], "another photo of this archive" in error["problem"].lower()) == (
        f"{tmp_path / 'a.tar'}#rgb/1.png",
        True,
    )


@pytest.mark.skipif(os.name != "posix", reason="file names are bytes only there")
def test_file_names_that_are_not_text(tmp_path: Path, compute: Compute, table: Table) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in (b"\xff.png", b"\xfe.png"):
        picture(4).save(folder / "a.png")
        (folder / "a.png").rename(folder / os.fsdecode(name))
    (folder / os.fsdecode(b"\xfe.png")).write_bytes(b"broken")
    run(tmp_path / "out", [folder], compute(BOTH))
    assert [row["name"] for row in table(tmp_path / "out")] == ["\ufffd"]
    assert len(table(tmp_path / "out", "errors")) == 1


def test_errors_can_be_tried_again(pictures: Path, tmp_path: Path, compute: Compute, table: Table) -> None:
    out = tmp_path / "out"
    run(out, [pictures], compute(BOTH))
    picture(7).save(pictures / "3.png")
    assert run(out, [pictures], compute(BOTH)) == []
    (again,) = run(out, [pictures], compute(BOTH), retry_errors=True)
    assert (again.photos, again.errors) == (3, 0)
    assert [len(table(out)), len(table(out, "errors"))] == [20, 0]
    assert not Run([], BOTH, str(out)).has_errors


def test_a_photo_that_kills_workers_is_left_out(pictures: Path, tmp_path: Path, compute: Compute, table: Table) -> None:
    def find(pixels: np.ndarray) -> Any:
        if (pixels[0, :, 0] > 0).sum() == 11:  # 10.png
            raise Killed
        return halves(pixels)

    out = tmp_path / "out"
    for _ in range(3):  # the second and the third attempt note the photo
        with pytest.raises(Killed):
            run(out, [pictures], compute(BOTH, find))
    run(out, [pictures], compute(BOTH, find))
    problems = {row["photo"]: row["problem"] for row in table(out, "errors")}
    assert problems.keys() == {str(pictures / "10.png"), str(pictures / "3.png")}
    assert problems[str(pictures / "10.png")].startswith("A worker died on this photo")
    assert len(table(out)) == 18


def test_one_bad_photo_does_not_stop_the_others(tmp_path: Path, pictures: Path, compute: Compute, table: Table) -> None:
    def find(pixels: np.ndarray) -> Any:
        bright = (pixels[0, :, 0] > 0).sum()
        if bright == 1:
            raise ZeroDivisionError("of a\nlibrary")
        if bright == 2:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")
        return halves(pixels)

    run(tmp_path / "out", [pictures], compute(BOTH, find))
    problems = {Path(row["photo"]).stem: row["problem"] for row in table(tmp_path / "out", "errors")}
    assert problems["0"] == problems["11"] == "Unexpected ZeroDivisionError: of a library"
    assert problems["1"].startswith("There is not enough memory")
    assert len(problems) == 5
    assert len(table(tmp_path / "out")) == 15


def test_a_full_disk_stops_the_run(pictures: Path, tmp_path: Path, compute: Compute) -> None:
    def find(pixels: np.ndarray) -> Any:
        raise OutputError("The disk is full.")

    summaries = run(tmp_path / "out", [pictures], compute(BOTH, find))
    assert {one.stopped for one in summaries[2:]} == {"The disk is full."}


def test_too_many_entities_for_a_png_are_an_error(
    pictures: Path, tmp_path: Path, compute: Compute, table: Table
) -> None:
    from esg import EntityMap

    def find(pixels: np.ndarray) -> Any:
        return EntityMap.from_labels(np.arange(300).reshape(1, 300)), None

    run(tmp_path / "out", [pictures], compute(BOTH, find))
    assert len(table(tmp_path / "out")) == 0
    assert "299 entities, but an 8-bit label PNG holds 255" in table(tmp_path / "out", "errors")[0]["problem"]


def test_a_parquet_file(parquet: Path, tmp_path: Path, compute: Compute, table: Table) -> None:
    run(tmp_path / "out", [parquet], compute(BOTH))
    assert [(row["photo"], row["areas"]) for row in table(tmp_path / "out")] == [
        (f"{parquet}#0", [8, 88]),
        (f"{parquet}#1", [16, 80]),
        (f"{parquet}#2", [24, 72]),
        (f"{parquet}#3", [32, 64]),
    ]
    assert [row["problem"] for row in table(tmp_path / "out", "errors")] == [f"{parquet}#4 is empty."]


def test_a_parquet_file_of_paths(pictures: Path, tmp_path: Path, compute: Compute, table: Table) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"file": ["5.png", str(pictures / "6.png"), "x.png"]}), pictures / "list.parquet")
    sources = list_sources([str(pictures / "list.parquet")], image_column="file")
    list(Run(sources, BOTH, str(tmp_path / "out")).work(compute(BOTH)))
    assert [row["photo"].rpartition("#")[2] for row in table(tmp_path / "out")] == ["0", "1"]
    assert "x.png" in table(tmp_path / "out", "errors")[0]["problem"]


def test_a_tar_that_is_cut_off(tar: Path, tmp_path: Path, compute: Compute, table: Table) -> None:
    with tarfile.open(tar) as archive:
        second = archive.getmembers()[2].offset_data
    tar.write_bytes(tar.read_bytes()[: second + 20])
    run(tmp_path / "out", [tar], compute(BOTH))
    assert [row["photo"] for row in table(tmp_path / "out")] == [f"{tar}#a/5.png"]
    (error,) = table(tmp_path / "out", "errors")
    assert "cannot be read beyond its first 1 picture" in error["problem"]


def test_object_stores(tmp_path: Path, compute: Compute) -> None:
    import fsspec
    import pyarrow.parquet as pq

    system = fsspec.filesystem("memory")
    place = f"/{tmp_path.name}"
    picture(4).save(tmp_path / "a.png")
    system.pipe_file(f"{place}/in/a.png", (tmp_path / "a.png").read_bytes())
    system.pipe_file(f"{place}/in/b.png", b"broken")
    url = f"memory:/{place}"
    sources = list_sources([f"{url}/in"], out=f"{url}/out")
    (summary,) = Run(sources, BOTH, f"{url}/out", photos_each=2).work(compute(BOTH, out=f"{url}/out"))
    assert (summary.photos, summary.errors) == (1, 1)
    (name,) = (shard.name for shard in Run(sources, BOTH, f"{url}/out").shards)
    with system.open(f"{place}/out/entities/{name}.parquet") as file:
        assert pq.read_table(file).column("areas").to_pylist() == [[32, 64]]
    with system.open(f"{place}/out/errors/{name}.parquet") as file:
        (error,) = pq.read_table(file).to_pylist()
    assert error["photo"].endswith("in/b.png")
    assert "in/b.png is not a picture" in error["problem"]
    assert Run(sources, BOTH, f"{url}/out").waiting == []


def test_only_a_few_pictures_are_in_memory() -> None:
    from esg.batch.reading import AHEAD, Entry, read_ahead

    loaded: list[str] = []
    handed = 0

    def items() -> Iterator[Entry]:
        for number in range(50):
            assert number - handed <= AHEAD + 1
            yield Entry(str(number), str(number))

    for entry, read in read_ahead(items(), lambda entry: loaded.append(entry.photo)):
        read()
        assert entry.photo == str(handed)
        handed += 1
    assert loaded == [str(number) for number in range(50)]


def test_the_machine_options_reach_both_models(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[dict[str, Any]] = []
    for kind in (EntitySegmenter, Grounder):
        monkeypatch.setattr(kind, "from_pretrained", lambda name, **options: given.append(options))
    load(Settings(device="cuda", precision="bf16", attention="eager", compile=True, captions=True))
    assert given == [{"device": "cuda", "precision": "bf16", "attention": "eager", "compile": True}] * 2


def test_a_run_can_be_resumed_on_another_machine() -> None:
    ours, theirs = Settings(), Settings(device="cuda:1", attention="eager", compile=True, threads=3)
    assert ours.for_results() == theirs.for_results()
    assert ours.for_results() != Settings(precision="bf16").for_results()
