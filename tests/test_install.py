from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def install() -> ModuleType:
    spec = importlib.util.spec_from_file_location("install_of_the_pack", ROOT / "install.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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
    assert "everything it needs is here" in capsys.readouterr().out


def test_only_what_is_missing_is_installed_and_never_torch(
    install: ModuleType, calls: list[list[str]], here: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    here["torch"] = "2.3"
    here.update({"transformers": "4.50", "safetensors": "0.4.2"})
    assert install.main() == 0
    assert calls == [[sys.executable, "-m", "pip", "install", "safetensors>=0.4.3", "huggingface_hub>=0.26"]]
    assert "torch>=2.4 is not here and is not installed" in capsys.readouterr().out


def test_an_opencv_is_brought_only_where_there_is_none(
    install: ModuleType, calls: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(install, "missing", lambda text: [])
    monkeypatch.setattr(install.importlib.util, "find_spec", lambda name: None if name == "cv2" else object())
    assert install.main() == 0
    assert [command[-1] for command in calls] == ["opencv-python-headless"]


def test_a_failure_and_a_python_without_pip_say_what_to_do(
    install: ModuleType, here: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(install.subprocess, "run", lambda command, check: subprocess.CompletedProcess(command, 3))
    assert install.main() == 3
    assert "pip install transformers>=4.50" in capsys.readouterr().out
    monkeypatch.setattr(install.importlib.util, "find_spec", lambda name: None if name == "pip" else object())
    assert install.main() == 1
    assert "has no pip" in capsys.readouterr().out
