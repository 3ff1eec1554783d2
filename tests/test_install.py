from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from scripts import load_script

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def install() -> ModuleType:
    return load_script("install.py")


@pytest.fixture
def calls(install: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that it would have run."""
    made: list[list[str]] = []

    def run(command: list[str], check: bool) -> Any:
        made.append(command)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(install.subprocess, "run", run)
    return made


@pytest.fixture
def here(install: ModuleType, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Versions of what is installed; cv2 is there."""
    versions = {"torch": "2.4.0+cpu", "numpy": "1.26.4", "pillow": "10.1.0", "scipy": "1.12"}

    def version(name: str) -> str:
        if name not in versions:
            raise install.metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(install.metadata, "version", version)
    monkeypatch.setattr(install.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setitem(sys.modules, "cv2", ModuleType("cv2"))
    return versions


@pytest.mark.parametrize(
    ("line", "there"),
    [
        ("torch>=2.4", True),
        ("numpy>=1.26", True),
        ("numpy>=1.27", False),
        ("numpy >= 2", False),
        ("scipy>=1.9.9", True),
        ("nothing>=0.1", False),
        ("# a remark", True),
        ("", True),
    ],
)
def test_what_is_missing(install: ModuleType, here: dict[str, str], line: str, there: bool) -> None:
    assert install.missing(line + "\n") == ([] if there else [line.strip()])


def test_everything_there_means_nothing_to_do(
    install: ModuleType, calls: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    """With what this very environment has."""
    assert install.main() == 0
    assert calls == []
    assert "all requirements are installed" in capsys.readouterr().out


def test_only_what_is_missing_is_installed_and_never_torch(
    install: ModuleType, calls: list[list[str]], here: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    here["torch"] = "2.3"
    here.update({"transformers": "4.50", "safetensors": "0.4.2"})
    assert install.main() == 0
    assert calls == [[sys.executable, "-m", "pip", "install", "safetensors>=0.4.3", "huggingface_hub>=0.26"]]
    assert "torch>=2.4 is missing, and this script does not install it" in capsys.readouterr().out


@pytest.fixture
def opencv(install: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[[str], None]]:
    """Puts an OpenCV of one line in the place of the one that is here, and everything else is here."""
    monkeypatch.setattr(install, "missing", lambda text: [])
    monkeypatch.delitem(sys.modules, "cv2", raising=False)

    def put(line: str) -> None:
        (tmp_path / "cv2.py").write_text(line + "\n")
        monkeypatch.syspath_prepend(tmp_path)

    yield put
    sys.modules.pop("cv2", None)


def test_an_opencv_is_brought_where_there_is_none(
    install: ModuleType, calls: list[list[str]], here: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(install, "missing", lambda text: [])
    monkeypatch.setitem(sys.modules, "cv2", None)  # so that it cannot be found
    assert install.main() == 0
    assert [command[-1] for command in calls] == ["opencv-python-headless"]
    assert "does not work" not in capsys.readouterr().out


def test_an_opencv_that_works_is_left_alone(
    install: ModuleType, calls: list[list[str]], opencv: Callable[[str], None]
) -> None:
    opencv("works = True")
    assert install.main() == 0
    assert calls == []


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("raise ImportError('libGL.so.1: cannot open shared object file')", "ImportError: libGL.so.1: cannot open"),
        ("raise AttributeError('_ARRAY_API not found')", "AttributeError: _ARRAY_API not found"),
        ("import cv2_data_that_is_missing", "ModuleNotFoundError: No module named 'cv2_data_that_is_missing'"),
    ],
)
def test_a_broken_opencv_is_told_and_another_one_brought(
    install: ModuleType,
    calls: list[list[str]],
    opencv: Callable[[str], None],
    capsys: pytest.CaptureFixture[str],
    line: str,
    reason: str,
) -> None:
    opencv(line)
    assert install.main() == 0
    assert [command[-1] for command in calls] == ["opencv-python-headless"]
    said = capsys.readouterr().out
    assert f"ESG: the installed OpenCV does not work ({reason}" in said
    assert "pip install --force-reinstall --no-deps opencv-python-headless" in said


def test_a_failure_and_a_python_without_pip_say_what_to_do(
    install: ModuleType, here: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(install.subprocess, "run", lambda command, check: subprocess.CompletedProcess(command, 3))
    assert install.main() == 3
    assert "pip install transformers>=4.50" in capsys.readouterr().out
    monkeypatch.setattr(install.importlib.util, "find_spec", lambda name: None if name == "pip" else object())
    assert install.main() == 1
    assert "does not have pip" in capsys.readouterr().out
