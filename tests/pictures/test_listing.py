"""The list of pictures that a command processes, and the names of their results."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esg.pictures.listing import _numbered, list_images
from esg.support.errors import InputError


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def names(*paths: Path) -> list[str]:
    return [listed.name for listed in list_images(paths)[0]]


def test_files_lose_their_folder_and_folders_keep_theirs(tmp_path: Path) -> None:
    touch(tmp_path, "in/b.JPG", "in/sub/deep/a.png", "in/sub/a.png", "elsewhere/one.tif")
    listed, _ = list_images([tmp_path / "elsewhere/one.tif", str(tmp_path / "in")])
    assert [entry.name for entry in listed] == ["one", "b", "sub/a", "sub/deep/a"]
    assert listed[1].path == tmp_path / "in/b.JPG"


def test_folders_give_pictures_only(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "notes.txt", ".hidden.png", ".git/b.png", "._a.png")
    touch(tmp_path, "a.labels.png", "a.overlay.jpg", "a.grounding.jpg", "a.entities.json", "a.grounding.json")
    assert names(tmp_path) == ["a"]


def test_a_clash_adds_the_extension(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "a.jpg", "b.png", "B.tif", "c.png", "d/a.png")
    assert sorted(names(tmp_path)) == ["B.tif", "a.jpg", "a.png", "b.png", "c", "d/a"]


def test_a_clash_of_whole_names_adds_a_number(tmp_path: Path) -> None:
    touch(tmp_path, "one/a.png", "two/a.png", "three/a.png-2.png")
    assert names(tmp_path / "one", tmp_path / "two", tmp_path / "three") == ["a.png", "a.png-3", "a.png-2"]


def test_a_file_named_twice_comes_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "in/a.png")
    monkeypatch.chdir(tmp_path)
    assert names(Path("in"), Path("in/a.png"), tmp_path / "in/a.png") == ["a"]


def test_named_files_are_taken_as_they_are(tmp_path: Path) -> None:
    touch(tmp_path, "scan.dat", "a.labels.png")
    assert names(tmp_path / "scan.dat", tmp_path / "missing.jpg", tmp_path / "a.labels.png") == [
        "scan",
        "missing",
        "a.labels",
    ]


def test_patterns_that_a_shell_leaves_alone(tmp_path: Path) -> None:
    touch(tmp_path, "b.jpg", "a.jpg", "c.png", "d/e.jpg", "f[1].jpg")
    assert names(tmp_path / "*.jpg") == ["a", "b", "f[1]"]
    assert names(tmp_path / "**" / "e.jpg") == ["e"]
    assert names(tmp_path / "f[1].jpg") == ["f[1]"]  # which is a pattern, too, but of no file
    assert names(tmp_path / "*.tif") == ["*"]


def test_a_name_that_the_system_refuses_is_left_to_what_reads_it(tmp_path: Path) -> None:
    touch(tmp_path, "a.png")
    (tmp_path / "loop.png").symlink_to("loop.png")
    assert names(tmp_path / ("x" * 300), tmp_path / "loop.png", tmp_path / "a.png") == ["x" * 300, "loop", "a"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_in_a_folder_is_skipped(tmp_path: Path) -> None:
    touch(tmp_path, "a.png")
    os.mkfifo(tmp_path / "b.png")
    (tmp_path / "c.png").symlink_to("b.png")
    (tmp_path / "d.png").symlink_to("nowhere.png")
    assert names(tmp_path) == ["a", "d"]
    assert names(tmp_path / "b.png") == ["b"]


def test_links_to_folders_are_followed(tmp_path: Path) -> None:
    touch(tmp_path, "album/a.png", "album/deep/b.png", "in/c.png")
    (tmp_path / "in/link").symlink_to("../album")
    (tmp_path / "in/.hidden").symlink_to("../album")
    assert names(tmp_path / "in") == ["c", "link/a", "link/deep/b"]
    assert names(tmp_path / "in/link") == ["a", "deep/b"]


def test_links_that_lead_round_in_circles_end(tmp_path: Path) -> None:
    touch(tmp_path, "one/a.png", "two/b.png")
    (tmp_path / "one/itself").symlink_to(".")
    (tmp_path / "one/up").symlink_to("..")
    (tmp_path / "one/other").symlink_to("../two")
    (tmp_path / "two/other").symlink_to("../one")
    assert names(tmp_path / "one") == ["a", "other/b"]
    assert names(tmp_path) == ["one/a", "two/b"]


def test_a_file_has_its_own_place_rather_than_that_below_a_link(tmp_path: Path) -> None:
    touch(tmp_path, "in/z/deep/a.png")
    (tmp_path / "in/b").symlink_to("z")
    (tmp_path / "in/c").symlink_to("z/deep")
    assert names(tmp_path / "in") == ["z/deep/a"]


def test_a_folder_without_pictures(tmp_path: Path) -> None:
    touch(tmp_path, "notes.txt")
    with pytest.raises(InputError, match=r"There are no pictures \(\.jpg, "):
        list_images([tmp_path])
    assert list_images([]) == ([], [])


def test_an_empty_folder_among_others_is_reported(tmp_path: Path) -> None:
    touch(tmp_path, "empty/notes.txt", "full/a.png")
    listed, empty = list_images([tmp_path / "empty", tmp_path / "full"])
    assert [entry.name for entry in listed] == ["a"]
    assert empty == [tmp_path / "empty"]


@given(st.lists(st.sampled_from(["a", "A", "a-2", "a-3", "b", "a-2-2"]), max_size=8))
def test_numbers_make_every_name_unique(given_names: list[str]) -> None:
    result = _numbered([Path(name) for name in given_names])
    assert len({name.casefold() for name in result}) == len(given_names)
    for before, after in zip(given_names, result, strict=True):
        assert after.startswith(before)
