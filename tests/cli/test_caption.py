"""`esg caption`: photos and folders of photos in, one line of text per photo on stdout."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from esg import Grounder
from esg.models.gella.inference import GellaInference

Run = Callable[..., Any]
Says = Callable[[str], None]
MakePhoto = Callable[..., Path]


@pytest.fixture
def caption(esg: Run, tiny_gella: Path) -> Run:
    """Runs `esg caption` with a tiny model."""
    return lambda *arguments: esg("caption", "--model", tiny_gella, "--device", "cpu", *arguments)


def test_a_photo(caption: Run, tiny_gella: Path, photo: Path) -> None:
    result = caption(photo, "--max-tokens", 9, "--temperature", 1, "--seed", 3)
    pieces = Grounder.from_pretrained(tiny_gella, device="cpu").caption(photo, max_tokens=9, temperature=1, seed=3)
    assert (result.status, result.out, result.err) == (0, [" ".join("".join(pieces).split())], [])


def test_the_best_of_several_is_the_one_that_is_grounded(esg: Run, photo: Path, tmp_path: Path) -> None:
    result = esg("caption", photo, "--device", "cpu", "--drafts", 3, "--max-tokens", 40)
    grounded = esg("ground", photo, "--device", "cpu", "--drafts", 3, "--max-tokens", 40, "--out", tmp_path)
    assert result.out[0] == grounded.out[0]


def test_a_caption_is_one_line(caption: Run, photo: Path, says: Says) -> None:
    says("A red\ndisc and  two bars.\n")
    assert caption(photo).out == ["A red disc and two bars."]


def test_of_several_photos_each_line_has_its_name(
    caption: Run, tmp_path: Path, make_photo: MakePhoto, says: Says
) -> None:
    says("A disc.")
    for name in ("in/a.png", "in/sub/b.png"):
        make_photo(tmp_path / name)
    (tmp_path / "in/no.jpg").write_text("no picture")
    (tmp_path / "empty").mkdir()
    result = caption(tmp_path / "in", tmp_path / "empty")
    assert result.status == 2
    assert result.out == [f"{tmp_path / 'in' / name}: A disc." for name in ("a.png", "sub/b.png")]
    assert "no.jpg is not a picture" in result.err[0]
    assert result.err[1:] == [
        f"esg: 1 of 3 photos could not be described: {tmp_path / 'in/no.jpg'}",
        f"esg: The folder {tmp_path / 'empty'} does not contain any pictures.",
    ]


def test_what_is_noted_of_one_of_several_photos_has_its_name(
    caption: Run, tmp_path: Path, make_photo: MakePhoto, says: Says, monkeypatch: pytest.MonkeyPatch
) -> None:
    def see(self: GellaInference, pixels: np.ndarray) -> None:
        logging.getLogger("esg.models.gella").info("2 of 9 entities are small.")

    says("A disc.")
    monkeypatch.setattr(GellaInference, "see", see)
    photos = [make_photo(tmp_path / name, size) for name, size in (("a.png", (40, 60)), ("b.png", (60, 40)))]
    assert caption(*photos).err == [f"{photo}: 2 of 9 entities are small." for photo in photos]
    assert caption(photos[0]).err == ["2 of 9 entities are small."]


def test_a_model_without_words(caption: Run, photo: Path, says: Says) -> None:
    says(" \n")
    caption(photo).refused(str(photo), "wrote an empty caption")


def test_the_weights_that_ship_say_what_they_know(esg: Run, photo: Path) -> None:
    result = esg("caption", photo, "--device", "cpu")
    assert result.status == 0
    assert len(result.out) == 1
    assert "gella-nano knows COCO" in result.err[0]


def test_missing_weights(esg: Run, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("esg.weights.finding.ASSETS", tmp_path / "nothing")
    esg("caption", photo).refused("weights of gella-nano are missing", "reinstall ESG")
    esg("caption", photo, "--model", tmp_path / "no.safetensors").refused("does not exist")


def test_the_text_is_shown_as_it_grows(caption: Run, photo: Path, says: Says, monkeypatch: pytest.MonkeyPatch) -> None:
    from esg.cli.console import Console

    shown: list[str] = []
    monkeypatch.setattr(Console, "writing", lambda self, before, text: shown.append(before + text))
    says("A disc.")
    caption(photo)
    assert shown == ["photo.png: A d", "photo.png: A disc", "photo.png: A disc."]


def test_a_question_is_answered_by_a_model_that_can(
    caption: Run, esg: Run, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def ask(self: Any, sight: Any, question: str, *_: Any) -> list[str]:
        asked.append(question)
        return ["Two ", "bars.\n"]

    monkeypatch.setattr(GellaInference, "ask", ask)
    assert caption(photo, "--ask", "How many bars?").out == ["Two bars."]
    assert asked == ["How many bars?"]
    small = esg("caption", photo, "--device", "cpu", "--ask", "How many?")
    assert (small.status, small.out) == (2, [])
    assert small.err[-1].startswith("esg: gella-nano cannot answer questions; load zero-shot")
    caption(photo, "--ask", " ").refused("argument --ask: the text is blank")
