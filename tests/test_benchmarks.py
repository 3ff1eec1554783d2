"""What the benchmarks share: their records, and how sides are compared."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.end_to_end import command_in_a_process, in_a_process, summary
from benchmarks.records import save


def test_figures_are_saved_with_the_machine_and_a_plot(tmp_path: Path) -> None:
    save(tmp_path / "new", "speed", {"ours": {"seconds": 1.5}}, {"ours": 1.5}, "seconds")
    found = json.loads((tmp_path / "new/speed.json").read_text())
    assert found["figures"] == {"ours": {"seconds": 1.5}}
    assert found["machine"]["cores"] >= 1
    assert found["machine"]["torch"]
    assert (tmp_path / "new/speed.png").read_bytes().startswith(b"\x89PNG")


def test_bars_may_have_parts(tmp_path: Path) -> None:
    save(tmp_path, "stages", {}, {"small": {"views": 30.0, "fusion": 70.0}, "large": {"views": 100.0}}, "%")
    assert (tmp_path / "stages.png").read_bytes().startswith(b"\x89PNG")


def test_nothing_is_saved_without_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save(None, "speed", {}, {}, "seconds")
    assert not list(tmp_path.iterdir())


def test_ratios_are_medians_of_rounds() -> None:
    ours = [{"cpu": 1.0, "seconds": 10.0}, {"cpu": 2.0, "seconds": 30.0}, {"cpu": 4.0, "seconds": 20.0}]
    theirs = [{"cpu": 3.0, "seconds": 1.0}, {"cpu": 4.0, "seconds": 1.0}, {"cpu": 40.0, "seconds": 1.0}]
    found = summary({"ours": ours, "theirs": theirs})
    assert found["ours"] == {"cpu": 2.0, "seconds": 20.0, "ratio": 1.0}
    assert found["theirs"]["ratio"] == 3.0  # the middle one of 3, 2 and 10


@pytest.mark.skipif(sys.platform != "linux", reason="the figures of processes are Linux's")
def test_any_program_can_be_compared(capsys: pytest.CaptureFixture[str]) -> None:
    program = "import sys; from PIL import Image; assert Image.open(sys.argv[1]).size == (60, 40); x = b'1' * 2**27"
    held = np.ones(2**28, np.uint8)  # of this process, which must not count
    found = command_in_a_process(f"{shlex.quote(sys.executable)} -c {shlex.quote(program)} {{photo}}", 40, 60)
    assert 0.125 < found["gib"] < held.nbytes / 2**30
    assert found["cpu"] > 0
    assert command_in_a_process(f"{shlex.quote(sys.executable)} -c 'exit(3)'", 40, 60) == {}
    assert "exit status 3" in capsys.readouterr().out


def test_a_side_that_cannot_run_is_skipped_with_its_reason(capsys: pytest.CaptureFixture[str]) -> None:
    assert in_a_process("nothing of this name", 40, 60) == {}
    assert "nothing of this name is skipped: " in capsys.readouterr().out
