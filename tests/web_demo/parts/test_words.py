"""Texts, their nouns and phrases, as the page shows them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from esg import EntityMap, Grounding, InputError, Phrase
from web_demo.message import Chosen
from web_demo.parts.words import (
    EXPRESSION,
    LIST,
    NAMES,
    SENTENCE,
    Reading,
    grounded_words,
    grounder_choices,
    names_in,
    noun_words,
    read,
)
from web_demo.shared import Steps
from web_demo.visit import Visit

Events = dict[str, Callable[..., Any]]
Finish = Callable[[Steps], tuple[Any, ...]]

DOG = Phrase("dog", (2, 5), (2, 1), (0.9, 0.6))
MAT = Phrase("mat", (11, 14))


def test_nouns_are_not_grounded_yet() -> None:
    words = noun_words("a dog and a mat", [(2, 5), (12, 15)])
    assert words["caption"] == "a dog and a mat"
    assert not words["grounded"]
    assert words["phrases"] == [
        {"text": "dog", "span": [2, 5], "ids": [], "scores": []},
        {"text": "mat", "span": [12, 15], "ids": [], "scores": []},
    ]
    assert noun_words("over there", [])["hint"] == "This text does not contain any nouns."


def test_spans_count_code_points() -> None:
    (noun,) = noun_words("😀 dog", [(2, 5)])["phrases"]
    assert noun["text"] == "dog"


def test_phrases_have_their_entities() -> None:
    words = grounded_words(Reading(Grounding("a dog on a mat", (DOG, MAT))))
    assert words["grounded"]
    assert words["phrases"] == [
        {"text": "dog", "span": [2, 5], "ids": [2, 1], "scores": [0.9, 0.6]},
        {"text": "mat", "span": [11, 14], "ids": [], "scores": []},
    ]
    assert words["hint"].startswith("Click a phrase")
    assert grounded_words(Reading(Grounding("a dog on a mat", (MAT,))))["hint"].startswith(
        "No entity reaches the minimum score"
    )
    assert grounded_words(Reading(Grounding("over there", ())))["hint"] == "This text does not contain any nouns."


class Asked:
    """A grounder that remembers what it was asked."""

    def __init__(self) -> None:
        self.questions: list[Any] = []

    def refer(self, pixels: Any, entities: Any, text: str, *, threshold: float, max_pixels: int) -> Phrase:
        self.questions.append(("refer", text, max_pixels))
        return Phrase(text, (0, len(text)), (1, 2), (0.4, 0.35))

    def answer(self, pixels: Any, caption: str, *, max_pixels: int) -> str:
        return "dog <SEG>"

    def __call__(self, pixels: Any, entities: Any, **given: Any) -> Grounding:
        self.questions.append(given)
        return Grounding("a dog on a mat", (DOG,))


def ask(text: str, way: str, threshold: float = 0.3) -> tuple[Any, Reading]:
    grounder: Any = Asked()
    entities = EntityMap.from_labels(np.ones((4, 6), int))
    reading = read(grounder, np.zeros((4, 6, 3), np.uint8), entities, text, way, threshold, 99)
    (question,) = grounder.questions
    return question, reading


def test_the_ways_to_read_a_text() -> None:
    assert ask("a dog, a mat", SENTENCE)[0] == {"caption": "a dog, a mat", "threshold": 0.3, "max_pixels": 99}
    question, _ = ask(" a dog,, a mat \n\n the sky,", LIST)
    assert question == {"phrases": ["a dog", "a mat", "the sky"], "threshold": 0.3, "max_pixels": 99}
    question, reading = ask("who is it?", EXPRESSION)
    assert question == ("refer", "who is it?", 99)
    assert reading.grounding == Grounding("who is it?", (Phrase("who is it?", (0, 10), (1,), (0.4,)),))
    assert reading.guess is None


@pytest.mark.parametrize("text", ["a dog . a mat .", "a dog . a mat", "a dog\na mat.", "a dog; a mat", "a dog，a mat"])
def test_a_list_as_other_tools_write_it(text: str) -> None:
    assert ask(text, LIST)[0]["phrases"] == ["a dog", "a mat"]


def test_below_the_threshold_an_expression_means_nothing_and_the_best_is_a_guess() -> None:
    _, reading = ask("who is it?", EXPRESSION, 0.5)
    assert reading.grounding == Grounding("who is it?", (Phrase("who is it?", (0, 10)),))
    words = grounded_words(reading)
    (phrase,) = words["phrases"]
    assert (phrase["ids"], phrase["guess"]) == ([1], True)
    assert words["hint"].startswith("Only a guess: entity 1 fits best, but its score of 0.40 is below ")


def test_names_are_a_list_or_stand_for_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert names_in("cat, dog, Cat").spoken == ("cat", "dog")
    assert len(names_in(" COCO ").spoken) == 133
    assert len(names_in("ade20k").spoken) == 150
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret.json").write_text('["a", "b"]')
    assert names_in("secret.json").spoken == ("secret.json",)  # never a file


def test_each_entity_gets_the_best_name(tiny_gella: Path) -> None:
    from esg import Grounder

    entities = EntityMap.from_labels(np.tile(np.arange(24) // 12 + 1, (16, 1)))
    grounder = Grounder.from_pretrained(tiny_gella, device="cpu")
    reading = read(grounder, np.zeros((16, 24, 3), np.uint8), entities, "disc, bar", NAMES, 0, 999)
    assert sorted(number for one in reading.grounding.phrases for number in one.entity_ids) == [1, 2]
    assert {one.text for one in reading.grounding.phrases} <= {"disc", "bar"}
    nothing = read(grounder, np.zeros((16, 24, 3), np.uint8), entities, "disc, bar", NAMES, 1, 999)
    assert grounded_words(nothing)["hint"].startswith("No entity reaches the minimum score")


def test_what_the_language_model_answered_is_kept() -> None:
    assert grounded_words(ask("a dog", SENTENCE)[1])["said"] == "dog <SEG>"
    assert grounded_words(ask("a dog", LIST)[1])["said"] == ""


@pytest.mark.parametrize("way", [SENTENCE, LIST, EXPRESSION, NAMES])
@pytest.mark.parametrize("text", ["", " \n"])
def test_no_words_are_one_sentence(way: str, text: str, tiny_gella: Path) -> None:
    from esg import Grounder

    grounder = Grounder.from_pretrained(tiny_gella, device="cpu")
    entities = EntityMap.from_labels(np.ones((4, 6), int))
    with pytest.raises(InputError, match=r"^[^\n]+$"):
        read(grounder, np.zeros((4, 6, 3), np.uint8), entities, text, way, 0.5, 99)


def test_any_grounder_given_can_be_chosen(tmp_path: Path) -> None:
    file = tmp_path / "mine.safetensors"
    file.touch()
    assert grounder_choices(str(file))[0] == ("mine", str(file))
    names = [value for _, value in grounder_choices("gella-nano")]
    assert names.count("gella-nano") == names.count("zero-shot") == 1


def test_only_models_that_answer_have_a_button_to_ask(events: Events, tiny_gella: Path) -> None:
    shown = {name: events["model"](name).visible for name in ("gella-nano", "zero-shot", "zero-shot:none", "gone")}
    assert shown == {"gella-nano": False, "zero-shot": True, "zero-shot:none": False, "gone": False}
    assert events["model"](str(tiny_gella)).visible


class Believer:
    """A grounder that remembers the entities among which it looked."""

    model = SimpleNamespace(drafts=4)

    def __init__(self) -> None:
        self.entities: list[EntityMap] = []

    def caption(self, pixels: Any, **how: Any) -> Iterator[str]:
        yield "a dog"

    def ask(self, pixels: Any, question: str, **how: Any) -> Iterator[str]:
        yield from (" A", " dog.", "") if "?" in question else ()

    def best_caption(self, pixels: Any, entities: EntityMap, **how: Any) -> str:
        self.entities.append(entities)
        return "a dog on a mat"

    def answer(self, pixels: Any, caption: str, **how: Any) -> str:
        return ""

    def __call__(self, pixels: Any, entities: EntityMap, **how: Any) -> Grounding:
        self.entities.append(entities)
        return Grounding("a dog on a mat", (DOG, MAT))


@pytest.fixture
def believer(models: SimpleNamespace) -> Believer:
    believer = Believer()
    models.grounder = lambda name: believer
    return believer


def ask_both(events: Events, finish: Finish, known: Visit, chosen: Chosen) -> None:
    finish(events["describe"](known, "a-model", chosen))
    known.drafts = 0
    finish(events["ground"](known, "a-model", "a dog on a mat", SENTENCE, 0.5, chosen))


def test_words_are_about_the_entities_that_are_shown(
    events: Events, finish: Finish, believer: Believer, known: Visit, quarters: EntityMap
) -> None:
    ask_both(events, finish, known, Chosen((), 1, known.map_number, 1))
    assert believer.entities == [quarters.keep([1])] * 2
    assert known.grounding is not None


def test_one_button_describes_and_grounds(
    events: Events, finish: Finish, believer: Believer, known: Visit, quarters: EntityMap
) -> None:
    text, words = finish(events["describe_and_ground"](known, "a-model", 0.5, Chosen((), 1, known.map_number, 1)))
    assert text == words["caption"] == "a dog on a mat"
    assert believer.entities == [quarters.keep([1])] * 2
    assert (known.text, known.words) == (text, words)
    assert known.grounding == Grounding(text, (DOG, MAT))


def test_an_answer_takes_the_place_of_the_phrases(
    events: Events, finish: Finish, believer: Believer, known: Visit
) -> None:
    known.grounding, seen = Grounding("a dog", ()), Chosen((), 1, known.map_number, 1)
    (words,) = finish(events["ask"](known, "a-model", "What\nis it?", seen))
    assert (words["caption"], words["phrases"]) == ("A dog.", [])
    assert words["hint"] == "The answer to: What is it?"
    assert (known.text, known.words, known.grounding) == ("What\nis it?", words, None)
    with pytest.raises(InputError, match=r"^The model did not answer this question; "):
        finish(events["ask"](known, "a-model", "Dog", seen))


def test_a_text_that_would_keep_the_worker_busy_is_refused(
    events: Events, finish: Finish, believer: Believer, known: Visit
) -> None:
    text, seen = "a dog, " * 3000, Chosen((), 1, known.map_number, 1)
    for steps in (
        events["find"](known, "a-model", text, seen),
        events["ground"](known, "a-model", text, SENTENCE, 0.5, seen),
    ):
        with pytest.raises(InputError, match=r"^The text has 21,000 characters; use 20,000 at most\.$"):
            finish(steps)
    assert believer.entities == []


def test_asked_for_before_entities_were_shown_they_are_about_those_that_then_are(
    events: Events, finish: Finish, believer: Believer, known: Visit, quarters: EntityMap
) -> None:
    ask_both(events, finish, known, Chosen((), 0, 0, 1))
    assert believer.entities == [quarters.keep([1, 2])] * 2


def test_words_about_entities_that_have_been_replaced_are_refused(
    events: Events, finish: Finish, believer: Believer, known: Visit, quarters: EntityMap
) -> None:
    seen = Chosen((), 3, known.map_number, 1)
    known.know(quarters.keep([1]))
    for steps in (
        events["describe"](known, "a-model", seen),
        events["ground"](known, "a-model", "a dog", SENTENCE, 0.5, seen),
    ):
        with pytest.raises(InputError, match=r"^The entities have changed in the meantime; "):
            finish(steps)
    assert believer.entities == []


def test_a_grounding_is_not_laid_on_masks_that_come_meanwhile(
    events: Events, finish: Finish, believer: Believer, known: Visit, quarters: EntityMap
) -> None:
    steps = events["ground"](known, "a-model", "a dog", SENTENCE, 0.5, Chosen((), 3, known.map_number, 1))
    next(steps)
    known.know(quarters.keep([1]))
    with pytest.raises(InputError, match=r"^The entities have changed in the meantime; "):
        finish(steps)
    assert known.grounding is None
