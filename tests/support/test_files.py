"""Files are written completely or not at all."""

from __future__ import annotations

import errno
import sys
from pathlib import Path

import pytest

from esg.support.errors import InputError, OutputError
from esg.support.files import check_place, try_folder, write_atomically


def test_replaces_the_file_and_makes_folders(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "file.txt"
    for text in ("one", "two"):
        with write_atomically(path) as temporary:
            assert temporary.suffix == ".txt"
            assert temporary.parent == path.parent
            temporary.write_text(text)
        assert path.read_text() == text
    assert list(path.parent.iterdir()) == [path]


def write_and_raise(path: Path, error: BaseException) -> None:
    with write_atomically(path) as temporary:
        temporary.write_text("half")
        raise error


@pytest.mark.parametrize("error", [InputError("bad"), KeyboardInterrupt(), ZeroDivisionError()])
def test_an_error_leaves_the_old_file_alone(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(type(error)):
        write_and_raise(path, error)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(OutputError, match="there is a file where its folder should be"),
        write_atomically(tmp_path / "file" / "result.txt"),
    ):
        pass
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match="cannot be written"), write_atomically(tmp_path / "folder") as temporary:
        temporary.touch()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "disk is full"), (errno.EACCES, "is not writable"), (errno.EIO, "i/o|input")],
)
def test_what_the_system_says_becomes_one_sentence(tmp_path: Path, number: int, words: str) -> None:
    with pytest.raises(OutputError, match=words) as caught:
        write_and_raise(tmp_path / "file", OSError(number, "Input/output error"))
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on the size of files")
def test_a_write_that_really_stops_half_way(tmp_path: Path) -> None:
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(OutputError, match="too large"), write_atomically(tmp_path / "file") as temporary:
            temporary.write_bytes(bytes(5000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


# --------------------------------------------------------------------------------------- asking before anything is made


def test_a_place_is_checked_and_nothing_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for path in (Path("file"), tmp_path / "file", tmp_path / "new/folder/file"):
        check_place(path)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("old")
    check_place(tmp_path / "file")  # it may be replaced
    assert (tmp_path / "file").read_text() == "old"


@pytest.mark.parametrize("place", ["file/result.txt", "file/below/result.txt", "folder"])
def test_a_place_is_refused_as_the_write_would_be(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match=f"{place} cannot be written: there is a f.*; choose another") as before:
        check_place(tmp_path / place)
    with pytest.raises(OutputError) as then, write_atomically(tmp_path / place) as temporary:
        temporary.touch()
    assert str(before.value) == str(then.value)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "folder"]


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder that not even root can write to: /proc")
@pytest.mark.parametrize("place", ["/proc/self/result.txt", "/proc/new/folder/result.txt"])
def test_a_place_in_a_folder_that_may_not_be_written_to(place: str) -> None:
    with pytest.raises(OutputError, match=f"^{place} cannot be written: "):
        check_place(place)


def test_a_drive_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.path.lexists", lambda path: False)  # as of every part of Q:\\photos on Windows
    with pytest.raises(OutputError, match="photos cannot be written: no such file or directory"):
        check_place(tmp_path / "photos")


def test_an_unwritable_folder_is_tried_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's `tempfile` asks again and again where Windows refuses."""
    asked = []

    def refuse(path: Path, *_: object) -> None:
        asked.append(path)
        raise PermissionError(errno.EACCES, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr("os.name", "nt")
        patch.setattr("os.open", refuse)
        with pytest.raises(PermissionError):
            try_folder(tmp_path)
    assert len(asked) == 1
