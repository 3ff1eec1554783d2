"""Files are written whole or not at all, on disk and at a URL."""

from __future__ import annotations

from pathlib import Path

import pytest

from esg.batch.places import Place
from esg.support.errors import OutputError


@pytest.fixture(params=["disk", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return Place(str(tmp_path / "out") if request.param == "disk" else f"memory://{tmp_path.name}")


def test_write_read_and_remove(place: Place) -> None:
    assert place.read_text("a/b.txt") is None
    assert place.names("a") == []
    place.write_text("a/b.txt", "one")
    place.write_text("a/b.txt", "two")
    place.write_text("a/c.txt", "ü")
    assert (place.read_text("a/b.txt"), place.read_text("a/c.txt")) == ("two", "ü")
    assert place.names("a") == ["b.txt", "c.txt"]
    place.remove("a/b.txt")
    place.remove("a/b.txt")
    assert place.names("a") == ["c.txt"]


def test_a_file_that_is_interrupted_is_not_there(place: Place) -> None:
    def half(path: Path) -> None:
        path.write_text("half")
        raise KeyboardInterrupt

    place.write_text("x/a.txt", "whole")
    for name in ("x/a.txt", "x/b.txt"):
        with pytest.raises(KeyboardInterrupt):
            place.write(name, half)
    assert (place.read_text("x/a.txt"), place.read_text("x/b.txt")) == ("whole", None)
    assert place.names("x") == ["a.txt"]


def test_what_a_killed_program_leaves(tmp_path: Path) -> None:
    place = Place(str(tmp_path))
    (tmp_path / ".esg-123.parquet").touch()
    (tmp_path / "a.parquet").touch()
    assert place.names(".") == ["a.parquet"]
    place.remove_unfinished(".")
    assert [path.name for path in tmp_path.iterdir()] == ["a.parquet"]


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"a\.txt cannot be written"):
        Place(str(tmp_path / "file")).write_text("a.txt", "")
