"""The journal of a run: what is done is kept, and a journal of another run is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from esg.evaluation.journal import Journal, identity
from esg.support.errors import InputError, OutputError

ABOUT = {"task": "entities", "size": None, "data": ["a.json", 1, 1]}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal with two results."""
    path = tmp_path / "run.jsonl"
    journal = Journal(path, ABOUT)
    journal.add(0, {"AP": 0.5})
    journal.add("b.jpg", None)
    return path


def test_results_are_there_in_the_next_run(path: Path) -> None:
    before = path.read_bytes()
    assert Journal(path, ABOUT).done == {0: {"AP": 0.5}, "b.jpg": None}
    assert path.read_bytes() == before


def test_broken_lines_are_left_out(path: Path) -> None:
    whole = path.read_text()
    head, first, last = whole.splitlines(keepends=True)
    path.write_text(head + first + last[:-5])  # the run was killed while it wrote
    journal = Journal(path, ABOUT)
    assert journal.done == {0: {"AP": 0.5}}
    journal.add("b.jpg", None)
    assert path.read_text() == whole
    path.write_text(head + "nonsense\n" + last)
    assert Journal(path, ABOUT).done == {"b.jpg": None}


def test_a_line_without_its_end_is_complete(path: Path) -> None:
    path.write_text(path.read_text().rstrip("\n"))
    Journal(path, ABOUT).add(2, 0.25)
    assert Journal(path, ABOUT).done == {0: {"AP": 0.5}, "b.jpg": None, 2: 0.25}


def test_a_journal_of_another_run_is_refused_or_replaced(path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(InputError) as refused:
        Journal(path, ABOUT | {"size": 512, "data": ["b.json", 1, 1]})
    assert str(refused.value) == (
        f"{path} has results of another run: size was None and is now 512; data differs; give another name, or delete "
        "the file."
    )
    assert path.read_bytes() == before
    assert Journal(path, {"task": "panoptic"}, replace=True).done == {}
    assert Journal(path, {"task": "panoptic"}).done == {}


@pytest.mark.parametrize("content", ["", "nonsense", "[1]", '{"run": 1}', '{"images": []}'])
def test_another_file_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(InputError, match="does not contain results of an earlier run; give another name"):
        Journal(tmp_path / "a.json")


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"run\.jsonl cannot be written: "):
        Journal(tmp_path / "file" / "run.jsonl")


def test_without_a_file_results_are_only_kept_in_memory() -> None:
    journal = Journal()
    journal.add("a", 1)
    assert journal.done == {"a": 1}


def test_a_changed_file_in_a_folder_is_another_evaluation(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("1")
    before = identity(tmp_path)
    assert identity(tmp_path) == before
    os.utime(tmp_path / "a.png", (2e9, 2e9))
    assert identity(tmp_path) != before
