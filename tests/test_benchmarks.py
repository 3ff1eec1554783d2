"""What the benchmarks share: their records, and how sides are compared."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import end_to_end, large_photo, parity
from benchmarks.end_to_end import command_in_a_process, in_a_process, summary
from benchmarks.memory import peak, start_peak
from benchmarks.records import machine, save


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


def test_without_a_folder_the_machine_is_printed_and_nothing_is_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    save(None, "speed", {}, {}, "seconds")
    assert not list(tmp_path.iterdir())
    printed, own = capsys.readouterr().out, machine()
    for fact in ("processor", "cores", "torch", "date"):
        assert str(own[fact]) in printed, fact


def test_ratios_are_medians_of_rounds() -> None:
    ours = [{"cpu": 1.0, "gib": 2.0}, {"cpu": 2.0, "gib": 4.0}, {"cpu": 4.0, "gib": 3.0}]
    theirs = [{"cpu": 3.0, "gib": 1.0}, {"cpu": 4.0, "gib": 1.0}, {"cpu": 40.0, "gib": 30.0}]
    found = summary({"ours": ours, "theirs": theirs})
    assert found["ours"] == {"cpu": 2.0, "gib": 3.0, "ratio": 1.0, "memory_ratio": 1.0}
    assert found["theirs"]["ratio"] == 3.0  # the middle one of 3, 2 and 10
    assert found["theirs"]["memory_ratio"] == 0.5  # the middle one of 0.5, 0.25 and 10


def test_all_sides_are_printed_and_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ours = {"seconds": 2.0, "cpu": 3.0, "gib": 2.0, "base": 0.5}
    runs = {"ours": [ours], "nano": [{**ours, "cpu": 1.5, "gib": 0.5}]}
    monkeypatch.setattr(end_to_end, "compare", lambda *_: runs)
    monkeypatch.setattr("sys.argv", ["end_to_end", "--against", "nano", "--out", str(tmp_path)])
    end_to_end.main()
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("nano"))
    assert line.endswith("CPU seconds: 0.50 x ours, peak: 0.25 x ours")
    saved = json.loads((tmp_path / "end_to_end.json").read_text())["figures"]
    assert (saved["nano"]["ratio"], saved["nano"]["memory_ratio"]) == (0.5, 0.25)


@pytest.mark.parametrize(("difference", "status"), [(0.1, 0), (float("nan"), 1)])
def test_comparisons_with_the_authors_code_are_saved(
    difference: float, status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "cropformer_swin_tiny_3x_A_128"
    np.savez(tmp_path / f"{name}.npz")

    def compare(fixture: dict[str, np.ndarray], reference: object, *where: Any) -> list[parity.Check]:
        assert where[:4] == ("cropformer_swin_tiny_3x", "A", 128, 3.0)
        return [parity.Check("views", difference, 0.2)]

    monkeypatch.setattr(parity, "Reference", lambda folder: None)
    monkeypatch.setattr(parity, "compare", compare)
    monkeypatch.setattr("sys.argv", ["parity", str(tmp_path), "--out", str(tmp_path / "out")])
    assert parity.main() == status
    (check,) = json.loads((tmp_path / "out/parity.json").read_text())["figures"][name]
    assert check["stage"] == "views"
    assert check["difference"] == pytest.approx(difference, nan_ok=True)


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


@pytest.mark.skipif(sys.platform != "linux", reason="the figures of processes are Linux's")
def test_a_peak_remembers_what_was_freed_since_its_start() -> None:
    before = np.ones(2**27, np.uint8)  # must not count
    base = start_peak()
    np.ones(2**26, np.uint8)
    assert peak() - base == pytest.approx(2**26, rel=0.1)
    assert start_peak() - base < before.nbytes / 10
    assert peak() - base < before.nbytes / 10


@pytest.mark.skipif(sys.platform != "linux", reason="the figures of processes are Linux's")
def test_a_large_photo_is_segmented_at_the_size_that_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], small_model: Path
) -> None:
    options = ["--megapixels", "0.06", "--model", str(small_model), "--size", "64", "--out", str(tmp_path)]
    monkeypatch.setattr("sys.argv", ["large_photo", *options])
    large_photo.main()
    assert capsys.readouterr().out.startswith("300x200: ")
    figures = json.loads((tmp_path / "large_photo.json").read_text())["figures"]
    assert figures["cpu"] > 0
    assert figures["gib"] >= figures["base"] > 0
