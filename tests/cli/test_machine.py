"""--device, --precision, --attention and --compile reach every model that a command loads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from esg import DiffusionInpainting, EntitySegmenter, Grounder

MACHINE = ["--device", "cpu", "--precision", "bf16", "--attention", "eager", "--compile"]
GIVEN = {"device": "cpu", "precision": "bf16", "attention": "eager", "compile": True}


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, Any]]:
    """The options with which each kind of model was loaded. The models themselves are in fp32 and not compiled."""
    options: dict[str, dict[str, Any]] = {}
    for kind in (EntitySegmenter, Grounder, DiffusionInpainting):

        def load(name: Any, *, kind: Any = kind, original: Any = kind.from_pretrained, **given: Any) -> Any:
            options[kind.__name__] = {name: given.get(name) for name in GIVEN}
            rest = {name: value for name, value in given.items() if name not in GIVEN}
            return original(name, device="cpu", **rest)

        monkeypatch.setattr(kind, "from_pretrained", load)
    return options


def test_segment(esg: Callable[..., Any], loaded: dict[str, Any], photo: Path, tiny_model: Path) -> None:
    ended = esg("segment", photo, "--model", tiny_model, "--size", 64, "--out", photo.parent / "out", *MACHINE)
    assert (ended.status, loaded) == (0, {"EntitySegmenter": GIVEN})


@pytest.mark.parametrize("command", [["ground", "--phrases", "a red thing"], ["caption", "--drafts", "2"]])
def test_words(
    esg: Callable[..., Any],
    loaded: dict[str, Any],
    says: Callable[[str], None],
    photo: Path,
    tiny_model: Path,
    tiny_gella: Path,
    command: list[str],
) -> None:
    says("a red thing")
    models = ["--model", tiny_gella, "--segmenter", tiny_model]
    out = ["--out", photo.parent / "out"] * (command[0] == "ground")
    ended = esg(command[0], photo, *models, *command[1:], *out, *MACHINE)
    assert (ended.status, loaded) == (0, {"EntitySegmenter": GIVEN, "Grounder": GIVEN})


def test_inpaint(
    esg: Callable[..., Any],
    loaded: dict[str, Any],
    photo: Path,
    tiny_model: Path,
    tiny_gella: Path,
    tiny_diffusion: Callable[[int], Path],
) -> None:
    pytest.importorskip("diffusers", reason="repainting needs diffusers")
    models = ["--model", tiny_gella, "--segmenter", tiny_model, "--inpainter", tiny_diffusion(9)]
    paint = ["--text", "a red thing", "--threshold", 0, "--prompt", "grass", "--steps", 1]
    esg("inpaint", photo, *models, *paint, "--out", photo.parent / "out", *MACHINE)
    assert loaded["EntitySegmenter"] == loaded["Grounder"] == GIVEN
    painter = loaded["DiffusionInpainting"]  # its precision has an option of its own, and it is not compiled
    assert (painter["device"], painter["attention"]) == ("cpu", "eager")
