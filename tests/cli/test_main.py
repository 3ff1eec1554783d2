"""The command `esg` as a whole: its help, and wrong arguments. `commands/` tests its functions."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from patience import PATIENCE

from esg import __version__

Run = Callable[..., Any]


def python(*arguments: str, root: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, cwd=root, timeout=PATIENCE)


def test_help_imports_nothing_heavy(root: Path) -> None:
    code = (
        "import contextlib, sys\nfrom esg.cli.main import main\n"
        "for command in ('segment', 'ground', 'caption', 'inpaint'):\n"
        "    with contextlib.suppress(SystemExit): main([command, '--help'])\n"
        "heavy = {'torch', 'numpy', 'scipy', 'PIL', 'transformers', 'huggingface_hub', 'gradio'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    result = python("-c", code, root=root)
    assert result.returncode == 0, result.stderr
    assert "--crops" in result.stdout
    assert "--phrases" in result.stdout


def test_listing_weights_does_not_import_torch(root: Path) -> None:
    code = (
        "import sys\nfrom esg.cli.main import main\nmain(['weights', 'list'])\n"
        "heavy = {'torch', 'numpy', 'transformers'} & set(sys.modules)\nsys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    result = python("-c", code, root=root)
    assert result.returncode == 0, result.stderr
    assert "cropformer-nano" in result.stdout


def test_help_states_the_limits_that_hold(root: Path) -> None:
    code = (
        "import contextlib, esg.support.limits\nesg.support.limits.MAX_PIXELS = 1234567\n"
        "from esg.cli.main import _parser, main\n"
        "for command in (['segment', 'a.jpg'], ['ground', 'a.jpg'], ['demo']):\n"
        "    print(_parser().parse_args(command).max_pixels)\n"
        "for command in ('segment', 'ground', 'demo'):\n"
        "    with contextlib.suppress(SystemExit): main([command, '--help'])"
    )
    result = python("-c", code, root=root)
    assert result.stdout.startswith("1234567\n1234567\n1234567\n"), result.stderr
    assert result.stdout.count("[1234567]") == 3


@pytest.mark.parametrize("command", ["ground", "caption"])
def test_help_names_the_public_models_and_suitable_options(esg: Run, command: str) -> None:
    said = "".join("".join(esg(command, "--help").out).split())  # lines are broken behind hyphens, too
    for name in ("zero-shot:none", "SmolVLM-Instruct", "SmolVLM-500M-Instruct", "`hf download`", "--precision bf16"):
        assert name.replace(" ", "") in said


def test_it_is_also_a_module(root: Path) -> None:
    result = python("-m", "esg", "--version", root=root)
    assert (result.returncode, result.stdout) == (0, f"esg {__version__}\n")


def test_without_a_command_it_shows_the_help(esg: Run) -> None:
    result = esg()
    assert result.status == 2
    assert any("segment" in line for line in result.err)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["segmnet"], "segmnet"),
        (["segment"], "PHOTO"),
        (["caption"], "PHOTO"),
        (["ground"], "PHOTO"),
        (["inpaint", "--entity", "1"], "PHOTO"),
        (["weights"], "COMMAND"),
        (["segment", "a.jpg", "--crops", "5"], "0, 4, 8"),
        (["segment", "a.jpg", "--min-score", "nan"], "between 0 and 1"),
        (["segment", "a.jpg", "--min-score", "high"], "not a number"),
        (["segment", "a.jpg", "--min-area", "-1"], "below the minimum of 0"),
        (["segment", "a.jpg", "--views-at-once", "0"], "below the minimum of 1"),
        (["segment", "a.jpg", "--max-pixels", "1e9"], "not a whole number"),
        (["segment", "a.jpg", "--save", "overlay,maps"], "overlay, labels, coco, masks"),
        (["segment", "a.jpg", "--save", ""], "overlay, labels, coco, masks"),
        (["train", "cropformer", "--out", "run", "--lr", "0"], "not a positive number"),
        (["train", "cropformer", "--out", "run", "--sizes", "192x200"], "multiples of 32"),
        (["train", "cropformer", "--out", "run", "--sizes", "192"], "multiples of 32"),
        (["weights", "convert", "a.pth"], "--out"),
    ],
)
def test_wrong_arguments_are_one_line(esg: Run, arguments: list[str], words: str) -> None:
    result = esg(*arguments)
    result.refused(words)
    assert result.err[0].endswith("--help`.")
