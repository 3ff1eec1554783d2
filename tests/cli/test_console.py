"""The commands' output: lines, messages and progress do not run into each other, and no stream causes a crash."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from patience import PATIENCE

from esg.cli.console import Console

Run = Callable[..., Any]


class Terminal(io.StringIO):
    """Keeps what a terminal would show."""

    def isatty(self) -> bool:
        return True

    def screen(self) -> list[str]:
        lines = []
        for line in self.getvalue().split("\n"):
            shown = ""
            for part in line.split("\r"):
                shown = part + shown[len(part) :]
            lines.append(shown.rstrip())
        return lines


def test_a_terminal_shows_the_progress(segment: Run, photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr("esg.cli.console._SECONDS_BETWEEN", 0)
    assert segment(photo).status == 0
    assert "photo.png: views 5/5" in terminal.getvalue()
    *lines, last = terminal.screen()
    assert last == ""
    assert [line.startswith(f"{photo}: ") for line in lines] == [True]


def test_progress_lines_and_messages_do_not_mix(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with contextlib.suppress(ValueError), Console() as console:
        console.progress("a long line of progress")
        console.line("done")
        console.progress("more progress")
        logging.getLogger("esg.pictures.reading").info("noted")
        logging.getLogger("esg.pictures.reading").warning("odd\nthing")
        logging.getLogger("another").warning("not ours")
        console.progress("more progress")
        raise ValueError
    assert terminal.screen() == ["done", "noted", "esg: odd thing", ""]


def test_messages_name_the_current_photo(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    log = logging.getLogger("esg.pictures.reading")
    with Console() as console:
        with contextlib.suppress(ValueError), console.working_on("in/a.png"):
            log.info("3 of 9 entities are small.")
            log.warning("in/a.png has several frames.")
            raise ValueError
        with console.working_on(""):
            log.warning("odd")
        log.info("noted")
    expected = ["in/a.png: 3 of 9 entities are small.", "esg: in/a.png has several frames.", "esg: odd", "noted", ""]
    assert terminal.screen() == expected


def test_of_a_text_that_grows_the_end_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr("esg.cli.console._SECONDS_BETWEEN", 0)
    monkeypatch.setenv("COLUMNS", "24")
    shown = []
    with Console() as console:
        for text in ("", "A red", "A red\n  disc lies on two bars."):
            console.writing("photo.png: ", text)
            shown.append(terminal.screen()[-1])
    assert shown == ["photo.png:", "photo.png: A red", "photo.png: …n two bars."]
    assert terminal.screen() == [""]


@pytest.mark.skipif(sys.platform == "win32", reason="pipes are told differently there")
def test_a_reader_that_has_gone(root: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "esg", "weights", "list"]
    result = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, cwd=root, timeout=PATIENCE)
    os.close(writing)
    assert result.returncode == 0
    assert "rror" not in result.stderr
    assert "pipe" not in result.stderr


def test_a_file_name_that_is_not_valid_text(segment: Run, photo: Path, written: Callable[[], list[str]]) -> None:
    try:
        path = photo.rename(photo.with_name("caf\udce9.png"))  # Latin-1 on a disk that is read as UTF-8
    except (OSError, UnicodeError):
        pytest.skip("this file system takes no such names")
    result = segment(path)
    assert result.status == 0
    assert "caf\\udce9.png" in result.err[0]
    assert len(written()) == 3


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("arguments", [["weights", "list"], ["--help"], ["--version"]])
def test_an_output_that_is_full_is_one_sentence(arguments: list[str]) -> None:
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "esg", *arguments], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert ended.returncode == 2
    assert ended.stderr.splitlines() == [
        "esg: The output cannot be written (no space left on device); redirect it somewhere else."
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="closes streams as a Unix shell does")
def test_closed_streams_do_not_crash() -> None:
    for closed in ("1>&-", "2>&-", "1>&- 2>&-"):
        ended = subprocess.run(
            f'"{sys.executable}" -m esg --version {closed}', shell=True, capture_output=True, text=True
        )
        assert ended.returncode == 0
        assert "Traceback" not in ended.stderr


def test_two_dashes_come_before_a_name_with_one(esg: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    esg("segment", "--", "-photo.jpg").refused("-photo.jpg does not exist")
    for command in ("segment", "caption", "ground", "inpaint"):
        assert "-- -photo.jpg" in " ".join(" ".join(esg(command, "--help").out).split())
