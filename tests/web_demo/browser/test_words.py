"""Describing, finding nouns and grounding in a real browser."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from patience import PATIENCE

from esg import Grounder, Grounding
from esg.models.gella.inference import GellaInference

expect = pytest.importorskip("playwright.sync_api", reason="tests of pages need playwright").expect

TEXT = "A red disc is left of the dog."


class Writer:
    """Writes in the place of a model: a word at a time, when it is told to."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.words: Sequence[str] = ["a", " red", " disc"]
        self.may = threading.Semaphore(0)
        self.ended = threading.Event()
        self.temperatures: list[float] = []
        patch.setattr(GellaInference, "describe", lambda model, sight, writing, stop=None: self._describe(writing))

    def _describe(self, writing: Any) -> Iterator[str]:
        self.temperatures.append(writing.temperature)
        try:
            for word in self.words:
                assert self.may.acquire(timeout=PATIENCE)
                yield word
        finally:
            self.ended.set()

    def write(self, words: int) -> None:
        for _ in range(words):
            self.may.release()


@pytest.fixture
def writer(monkeypatch: pytest.MonkeyPatch) -> Iterator[Writer]:
    writer = Writer(monkeypatch)
    yield writer
    writer.words = ()
    writer.write(1000)  # where a test failed, the next one does not wait for it


def test_a_description_comes_word_by_word_and_its_nouns_light_up(visitor: Any, files: Any, writer: Writer) -> None:
    visitor.bring(files)
    visitor.open("Words")
    text = visitor.find("#text textarea")
    visitor.tab.click("#describe")
    writer.write(2)
    expect(text).to_have_value("a red")
    expect(visitor.find(".esg-busy")).to_contain_text("Writing")
    writer.write(1)
    expect(text).to_have_value("a red disc")
    visitor.wait_until_done()
    visitor.tab.click("#find-nouns")
    nouns = visitor.find(".esg-caption button")
    expect(nouns).to_have_text(["red disc"])
    expect(nouns).to_have_attribute("data-grounded", "false")
    nouns.click()
    assert visitor.selected == []

    # The next description is drawn by lot, and the old nouns are no longer those of the text.
    visitor.tab.click("#describe")
    writer.write(3)
    expect(visitor.find(".esg-words")).to_have_attribute("data-filled", "false")
    visitor.wait_until_done()
    assert writer.temperatures[0] == 0 < writer.temperatures[1]


def test_a_description_can_be_stopped_and_edited(visitor: Any, files: Any, writer: Writer) -> None:
    writer.words = ["a", " red", " disc", " and", " a", " dog"]
    visitor.bring(files)
    visitor.open("Words")
    visitor.tab.click("#describe")
    writer.write(2)
    text = visitor.find("#text textarea")
    expect(text).to_have_value("a red")
    visitor.stop()
    writer.write(1)  # of four, for which nobody waits
    assert writer.ended.wait(60)
    expect(text).to_have_value("a red")
    text.fill("a red dog")
    visitor.tab.click("#find-nouns")
    expect(visitor.find(".esg-caption button")).to_have_text(["red dog"])
    expect(text).to_have_value("a red dog")


def test_phrases_and_entities_belong_together(
    visitor: Any, files: Any, monkeypatch: pytest.MonkeyPatch, tiny_gella: Any
) -> None:
    visitor.bring(files)
    visitor.open("Words")
    visitor.tab.fill("#text textarea", TEXT)
    visitor.tab.click("#ground")
    phrases = visitor.find(".esg-caption button")
    grounding = Grounder.from_pretrained(tiny_gella, device="cpu")(files.photo, read(files), TEXT)
    expect(phrases).to_have_text([phrase.text for phrase in grounding.phrases])
    first = grounding.phrases[0]
    assert first.entity_ids
    phrases.first.click()
    assert visitor.selected == sorted(first.entity_ids)
    phrases.first.click()
    assert visitor.selected == []
    visitor.tab.locator(".esg-stage").focus()
    for _ in range(first.entity_ids[0]):
        visitor.tab.keyboard.press("ArrowRight")
    expect(phrases.first).to_have_class("esg-on")
    assert f"“{first.text}”" in visitor.find(".esg-status").inner_text()


def read(files: Any) -> Any:
    from esg import EntityMap

    return EntityMap.from_labels_png(files.masks)


def test_phrases_of_ones_own_and_a_question(visitor: Any, files: Any, tiny_gella: Any) -> None:
    visitor.bring(files)
    visitor.open("Words")
    visitor.tab.fill("#text textarea", "the tower, two\n a red disc")
    visitor.tab.get_by_label("a list of phrases").check()
    visitor.tab.click("#ground")
    expect(visitor.find(".esg-caption button")).to_have_text(["the tower", "two", "a red disc"])
    visitor.wait_until_done()
    visitor.tab.fill("#text textarea", "which one is red?")
    visitor.tab.get_by_label("an expression or a question").check()
    visitor.unfold("Model and threshold")
    visitor.slide("#threshold", 0)
    visitor.tab.click("#ground")
    expect(visitor.find(".esg-caption button")).to_have_text(["which one is red?"])
    visitor.wait_until_done()
    grounder = Grounder.from_pretrained(tiny_gella, device="cpu")
    expected = grounder.refer(files.photo, read(files), "which one is red?", threshold=0)
    (found,) = Grounding.from_json(visitor.download("grounding")).phrases
    assert found.entity_ids == expected.entity_ids[:1]
    assert found.scores == expected.scores[:1]


def test_an_expression_that_no_entity_reaches_is_a_guess(visitor: Any, files: Any) -> None:
    visitor.bring(files)
    visitor.open("Words")
    visitor.unfold("Model and threshold")
    visitor.slide("#threshold", 1)
    expect(visitor.find("#threshold input[type=number]")).to_have_value("1")
    visitor.tab.fill("#text textarea", "which one is red?")
    visitor.tab.get_by_label("an expression or a question").check()
    visitor.tab.click("#ground")
    phrase = visitor.find(".esg-caption button")
    expect(phrase).to_have_attribute("data-guess", "true")
    expect(visitor.find(".esg-words .esg-hint")).to_contain_text("Only a guess: entity")
    phrase.click()  # it can be looked at all the same
    assert len(visitor.selected) == 1
    visitor.wait_until_done()
    visitor.open("Export")
    expect(visitor.find(".esg-save [data-what=grounding]")).to_be_disabled()


def test_one_button_from_the_photo_to_a_grounded_caption(visitor: Any, files: Any, writer: Writer) -> None:
    writer.words = ["A", " red", " disc", " is", " left", " of", " the", " dog."]
    visitor.bring(files)
    visitor.open("Words")
    writer.write(8)
    visitor.tab.click("#tell")
    expect(visitor.find("#text textarea")).to_have_value(TEXT)
    expect(visitor.find(".esg-caption button")).to_have_text(["red disc", "dog"])
    visitor.wait_until_done()
    visitor.find(".esg-said summary").click()
    expect(visitor.find(".esg-said pre")).not_to_be_empty()


def test_a_question_is_answered_where_the_model_can(visitor: Any, files: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GellaInference, "ask", lambda model, sight, question, *_: iter(["It is", " a disc."]))
    visitor.bring(files)
    visitor.open("Words")
    visitor.tab.fill("#text textarea", "What is it?")
    visitor.tab.click("#ask")
    expect(visitor.find(".esg-caption")).to_have_text("It is a disc.")
    expect(visitor.find(".esg-words .esg-hint")).to_have_text("The answer to: What is it?")
    visitor.wait_until_done()
    visitor.unfold("Model and threshold")
    visitor.tab.click("#grounder input")
    visitor.tab.get_by_role("option", name="gella-nano").click()
    expect(visitor.find("#ask")).to_be_hidden()


def test_after_an_error_the_phrases_of_the_earlier_text_are_gone(visitor: Any, files: Any) -> None:
    visitor.bring(files)
    visitor.open("Words")
    visitor.tab.fill("#text textarea", TEXT)
    visitor.tab.click("#find-nouns")
    expect(visitor.find(".esg-caption button")).to_have_count(2)
    visitor.wait_until_done()
    visitor.tab.fill("#text textarea", " ")
    visitor.tab.click("#ground")
    visitor.sentence("Write a text first")
    expect(visitor.find(".esg-words")).to_have_attribute("data-filled", "false")


def test_what_is_missing_is_said_in_a_sentence(visitor: Any, files: Any) -> None:
    visitor.bring(files)
    visitor.open("Words")
    visitor.tab.click("#ground")
    visitor.sentence("Write a text first")
    visitor.wait_until_done()
    expect(visitor.find(".esg-words")).to_have_attribute("data-filled", "false")
