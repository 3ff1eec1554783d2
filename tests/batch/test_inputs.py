"""Which pictures and archives a run is given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fsspec
import pytest

from esg.batch.inputs import every_nth, list_sources
from esg.batch.shards import Source
from esg.support.errors import InputError


def found(*inputs: object, **options: Any) -> list[tuple[str, str]]:
    """Kind and name of all sources."""
    return [(source.kind, source.name) for source in list_sources(map(str, inputs), **options)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    for name in ("b.jpg", "scene/color/10.jpg", "scene/color/9.jpg", "more/a.tar", ".hidden.jpg", "notes.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def test_a_folder(folder: Path) -> None:
    names = [("picture", "b"), ("picture", "scene/color/10"), ("picture", "scene/color/9"), ("tar", "more/a")]
    assert found(folder) == names
    assert all(Path(source.photo).is_absolute() for source in list_sources([str(folder)]))


def test_results_in_the_same_folder_are_no_inputs(folder: Path) -> None:
    before = found(folder, out=str(folder))
    results = ("labels/b.png", "scene/output/mask/9.png", "scene/sam/mask/9.png", "entities/part-000000.parquet")
    for name in results:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    assert found(folder, out=str(folder)) == before
    assert len(found(folder / "labels", folder / "scene", out=str(folder / "other"))) == 5


def test_patterns_ranges_and_lists(folder: Path, tmp_path: Path) -> None:
    for number in range(3):
        (folder / f"photos-0{number}.tar").touch()
    assert found(folder / "photos-{00..02}.tar") == [("tar", f"photos-0{number}") for number in range(3)]
    assert found(folder / "*.jpg") == [("picture", "b")]
    names = tmp_path / "list.txt"
    names.write_text(f"{folder}/b.jpg\n\n{folder}/photos-{{01..02}}.tar\n{folder}/b.jpg\n")
    assert found(f"@{names}") == [("picture", "b"), ("tar", "photos-01"), ("tar", "photos-02")]


@pytest.mark.parametrize("text", ["nowhere.jpg", "nowhere/*.jpg", "@nowhere.txt"])
def test_what_does_not_exist(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"nowhere\S* (does not exist|cannot be read)"):
        list_sources([text])


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There are no pictures"):
        list_sources([str(tmp_path)])


def test_the_stride_follows_the_numbers_in_each_folder() -> None:
    frames = [(f"/a/{number}.jpg", f"a/{number}") for number in (0, 10, 100, 20, 30)]
    others = [("/b/x1.jpg", "b/x1"), ("/b/x02.jpg", "b/x02"), ("/b/x3.jpg", "b/x3")]
    taken = ["a/0", "a/20", "a/100", "b/x1", "b/x3"]
    assert [name for _, name in every_nth(frames + others, 2)] == taken


def test_equal_names_get_numbers(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "photos.tar").touch()
    assert found(tmp_path / "a/photos.tar", tmp_path / "b/photos.tar") == [("tar", "photos"), ("tar", "photos-2")]


def test_urls() -> None:
    system = fsspec.filesystem("memory")
    for name in ("1.jpg", "sub/2.png", "sub/3.tar", "sub/notes.txt"):
        system.pipe_file(f"/bucket/{name}", b"")
    kinds = [("picture", "1"), ("picture", "sub/2"), ("tar", "sub/3")]
    assert found("memory://bucket") == kinds
    assert found("memory://bucket/sub/*.png") == [("picture", "2")]
    assert [source.photo for source in list_sources(["memory://bucket/1.jpg"])] == ["memory:///bucket/1.jpg"]
    with pytest.raises(InputError, match="nothing://x cannot be opened"):
        list_sources(["nothing://x"])


def test_parquet(parquet: Path) -> None:
    (source,) = list_sources([str(parquet)])
    assert source == Source(str(parquet), "photos", "parquet", (2, 2, 1), "image")
    with pytest.raises(InputError, match="does not have the column picture; it has label, image"):
        list_sources([str(parquet)], image_column="picture")
    with pytest.raises(InputError, match=r"The column label of .* holds int64"):
        list_sources([str(parquet)], image_column="label")


def test_a_file_that_is_no_parquet(parquet: Path) -> None:
    parquet.write_bytes(b"nothing")
    with pytest.raises(InputError, match="cannot be read as Parquet"):
        list_sources([str(parquet)])
