"""The grounder on top of a model with known answers; and loading real models."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import esg
from esg.entities.entity_map import EntityMap
from esg.entities.grounding import Phrase
from esg.grounder import Grounder
from esg.models.gella.checkpoint import write_gella
from esg.models.gella.inference import GellaInference
from esg.models.gella.model import Gella
from esg.models.grounding_model import GenerationConfig
from esg.support.errors import InputError, WeightsError

PHOTO = np.random.default_rng(0).integers(0, 255, (30, 50, 3), np.uint8)


class Knowing:
    """A grounding model that gives the scores it is told, and takes every long word for a noun."""

    networks = ()

    def __init__(self, *scores: Sequence[float], caption: str = " a cat on a mat ") -> None:
        self.device = torch.device("cpu")
        self.drafts = 1
        self.names: tuple[str, ...] = ()
        self.rows, self.text = scores, caption
        self.seen: list[tuple[int, ...]] = []
        self.asked: list[tuple[str, list[str]]] = []
        self.written: list[GenerationConfig] = []

    def recognise(self, sight: Any, entities: EntityMap) -> list[tuple[str, float]]:
        return [("cat", 0.9), ("cat", 0.2), ("door", 0.6)]

    def see(self, pixels: np.ndarray) -> Any:
        self.seen.append(pixels.shape)
        return "sight"

    def describe(
        self, sight: Any, writing: GenerationConfig, stop: Callable[[], bool] | None = None
    ) -> Generator[str, None, None]:
        self.written.append(writing)
        for letter in self.text:
            if stop is not None and stop():
                return
            yield letter

    def captions(
        self, sight: Any, entities: Any, writings: Sequence[GenerationConfig], watch: Callable[[int], None]
    ) -> list[str]:
        watch(0)
        return ["".join(self.describe(sight, writing)) for writing in writings]

    def nouns(self, sight: Any, caption: str) -> list[tuple[int, int]]:
        words = [word for word in caption.split() if len(word) > 2]
        return [(caption.index(word), caption.index(word) + len(word)) for word in words]

    def scores(self, sight: Any, entities: EntityMap, caption: str, spans: Sequence[tuple[int, int]]) -> np.ndarray:
        assert sight == "sight"
        self.asked.append((caption, [caption[slice(*span)] for span in spans]))
        return np.array(self.rows, np.float32).reshape(len(spans), len(entities))

    def grounded(
        self, sight: Any, entities: EntityMap, captions: Sequence[str]
    ) -> list[tuple[list[tuple[int, int]], np.ndarray]]:
        spans = [self.nouns(sight, caption) for caption in captions]
        return [(own, self.scores(sight, entities, caption, own)) for caption, own in zip(captions, spans)]

    def to(self, device: torch.device) -> None:
        self.device = device


def stripes(count: int, height: int = 30, width: int = 50) -> EntityMap:
    return EntityMap.from_labels(np.tile(np.arange(width) * count // width + 1, (height, 1)))


NOTHING = EntityMap.from_labels(np.zeros((30, 50), int))


def ids(phrases: Sequence[Phrase]) -> list[tuple[int, ...]]:
    return [phrase.entity_ids for phrase in phrases]


# ------------------------------------------------------------------------------------------------------- the ways in


def test_the_nouns_of_a_caption_mean_what_reaches_the_threshold_in_the_order_of_scores() -> None:
    model = Knowing((0.5, 0.9, 0.49), (0.1, 0.2, 0.3))
    found = Grounder(model)(PHOTO, stripes(3), "cat on mat")
    assert found.caption == "cat on mat"
    assert [(phrase.text, phrase.span) for phrase in found.phrases] == [("cat", (0, 3)), ("mat", (7, 10))]
    assert ids(found.phrases) == [(2, 1), ()]
    assert found.phrases[0].scores == pytest.approx((0.9, 0.5))
    assert ids(Grounder(model)(PHOTO, stripes(3), "cat on mat", threshold=0.25).phrases) == [(2, 1, 3), (3,)]


def test_without_a_caption_the_model_writes_one_and_looks_at_the_picture_once() -> None:
    model = Knowing((0.6,), (0.7,))
    found = Grounder(model)(PHOTO, stripes(1))
    assert found.caption == "a cat on a mat"
    assert [phrase.text for phrase in found.phrases] == ["cat", "mat"]
    assert model.seen == [(30, 50, 3)]


def test_a_model_that_writes_nothing_is_one_sentence() -> None:
    with pytest.raises(InputError, match="wrote no caption"):
        Grounder(Knowing(caption=" \n"))(PHOTO, stripes(1))


def test_phrases_are_grounded_as_they_are() -> None:
    model = Knowing((0.9, 0.8), (0.1, 0.8), (0.2, 0.2))
    found = Grounder(model)(PHOTO, stripes(2), phrases=["red  disc", "犬", "two <SEG> bars"])
    assert [phrase.text for phrase in found.phrases] == ["red disc", "犬", "two <SEG> bars"]
    assert Grounder(model)(PHOTO, stripes(2), phrases=(phrase.text for phrase in found.phrases)) == found
    assert ids(found.phrases) == [(1, 2), (2,), ()]
    assert model.asked == [(found.caption, ["red disc", "犬", "two <SEG> bars"])] * 2


def test_entities_have_names_where_the_model_is_sure() -> None:
    model = Knowing()
    model.names = ("cat", "door")
    assert Grounder(model).names(PHOTO, stripes(3)) == {1: ("cat", 0.9)}
    assert Grounder(model).names(PHOTO, stripes(3), threshold=0.5) == {1: ("cat", 0.9), 3: ("door", 0.6)}
    model.names = ()
    with pytest.raises(InputError, match=r"has no list of names of its own; give one as categories"):
        Grounder(model, name="zero-shot").names(PHOTO, stripes(4))


def test_an_entity_gets_the_most_likely_category_or_none() -> None:
    model = Knowing((0.9, 0.6, 0.4, 0.5), (0.8, 0.7, 0.3, 0.5))
    found = Grounder(model)(PHOTO, stripes(4), categories=["cat", "door"])
    assert found.caption == "There might exist a cat and door."
    assert ids(found.phrases) == [(1, 4), (2,)]  # 3 is too weak for both, 4 goes to the first of equal ones
    assert ids(Grounder(model)(PHOTO, stripes(4), categories=["cat", "door"], threshold=0).phrases) == [(1, 4, 3), (2,)]


def test_panoptic_segmentation_merges_stuff() -> None:
    names = [{"name": "dog", "id": 18}, {"name": "sky", "id": 187, "isthing": 0}, {"name": "car", "id": 3}]
    model = Knowing((0.1, 0.0, 0.0, 0.05), (0.6, 0.2, 0.3, 0.02), (0.7, 0.1, 0.9, 0.01))  # car, dog, sky
    found = Grounder(model).panoptic(PHOTO, stripes(4), names)
    assert model.asked == [("There might exist a car, dog and sky.", ["car", "dog", "sky"])]
    told = [(one.name, one.category_id, one.isthing, one.entity_ids) for one in found.segments]
    assert told == [("sky", 187, False, (1, 3)), ("dog", 18, True, (2,))]  # the last entity scores below 0.1
    assert found.segments[0].score == pytest.approx(0.8, abs=0.01)
    assert [one.entity_ids for one in Grounder(model).panoptic(PHOTO, stripes(4), names, threshold=0).segments] == [
        (1, 3),
        (2,),
        (4,),
    ]


def test_panoptic_names_that_the_model_does_not_know_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Knowing((0.6,))
    monkeypatch.setattr(model, "knows", lambda word: word == "dog", raising=False)
    found = Grounder(model).panoptic(PHOTO, stripes(1), ["gizmo", "dog"])
    assert model.asked == [("There might exist a dog.", ["dog"])]
    assert [(one.name, one.category_id) for one in found.segments] == [("dog", 2)]
    with pytest.raises(InputError, match="knows no word of"):
        Grounder(model).panoptic(PHOTO, stripes(1), ["gizmo"])


def test_an_expression_means_the_best_entity_or_all_above_a_threshold() -> None:
    model = Knowing((0.2, 0.4, 0.3))
    grounder = Grounder(model)
    found = grounder.refer(PHOTO, stripes(3), " Which one flies? ", least=0.4)
    assert (found.text, found.span, found.entity_ids) == ("Which one flies?", (0, 16), (2,))
    assert found.scores == pytest.approx((0.4,))
    assert grounder.refer(PHOTO, stripes(3), "the bird", threshold=0.25).entity_ids == (2, 3)
    assert grounder.refer(PHOTO, stripes(3), "the bird", threshold=0.5).entity_ids == ()
    assert model.asked[0] == ("Which one flies?", ["Which one flies?"])
    assert Grounder(Knowing((0.0, 0.0))).refer(PHOTO, stripes(2), "the bird", least=0).entity_ids == (1,)


def test_an_expression_may_mean_what_any_of_its_nouns_means() -> None:
    """As in Sec. 5.3.1 of the paper; here every word of more than two letters is a noun."""
    model = Knowing((0.6, 0.1, 0.2), (0.3, 0.9, 0.4))
    found = Grounder(model).refer(PHOTO, stripes(3), "cat on mat", nouns=True)
    assert model.asked == [("cat on mat", ["cat", "mat"])]
    assert (found.text, found.entity_ids, found.guess) == ("cat on mat", (2, 1), None)
    assert found.scores == pytest.approx((0.9, 0.6))
    unsure = Grounder(model).refer(PHOTO, stripes(3), "cat on mat", nouns=True, threshold=0.95)
    assert (unsure.entity_ids, unsure.guess) == ((), (2, pytest.approx(0.9)))
    whole = Knowing((0.2, 0.7, 0.1))
    assert Grounder(whole).refer(PHOTO, stripes(3), "it", nouns=True).entity_ids == (2,)
    assert whole.asked == [("it", ["it"])]  # without nouns


def test_what_no_entity_reaches_is_a_guess() -> None:
    grounder = Grounder(Knowing((0.2, 0.45, 0.3)))
    for options in ({}, {"least": 0.46}, {"threshold": 0.5}):
        found = grounder.refer(PHOTO, stripes(3), "the bird", **options)
        assert (found.entity_ids, found.scores) == ((), ())
        assert found.guess == (2, pytest.approx(0.45))
    assert grounder.refer(PHOTO, stripes(3), "the bird", least=0.45).guess is None
    assert Grounder(Knowing()).refer(PHOTO, NOTHING, "the bird").guess is None
    for least in (-0.1, float("nan"), None):
        with pytest.raises(InputError, match="least is"):
            grounder.refer(PHOTO, stripes(3), "the bird", least=least)  # type: ignore[arg-type]


def test_white_space_is_even_for_the_model_and_as_written_for_the_user() -> None:
    model = Knowing((0.9,), (0.8,))
    grounder = Grounder(model)
    text = " big\n  cat\u00a0on\tmat "
    model.nouns = lambda sight, caption: [(0, 7), (11, 14)] if caption == "big cat on mat" else []  # type: ignore
    found = grounder(PHOTO, stripes(1), text)
    assert found.caption == text
    assert [(phrase.text, phrase.span) for phrase in found.phrases] == [("big\n  cat", (1, 10)), ("mat", (14, 17))]
    assert model.asked == [("big cat on mat", ["big cat", "mat"])]
    assert grounder.nouns(PHOTO, text) == [(1, 10), (14, 17)]
    model.rows = ((0.7,),)
    phrase = grounder.refer(PHOTO, stripes(1), text)
    assert (phrase.text, phrase.span) == (text.strip(), (0, len(text.strip())))
    assert model.asked[-1] == ("big cat on mat", ["big cat on mat"])


def test_a_caption_with_dots_is_a_list_of_names() -> None:
    model = Knowing((0.9, 0.1), (0.1, 0.8))
    grounder = Grounder(model)
    found = grounder(PHOTO, stripes(2), " cat . red  dog .")
    assert found.caption == " cat . red  dog ."
    assert [(phrase.text, phrase.entity_ids) for phrase in found.phrases] == [("cat", (1,)), ("red  dog", (2,))]
    assert model.asked == [("This image depicts a cat and a red dog.", ["cat", "red dog"])]
    assert grounder.nouns(PHOTO, "cat . red  dog .") == [(0, 3), (6, 14)]
    for given in ({"phrases": ["cat . red dog ."]}, {"categories": ["cat . red dog"]}):
        listed = grounder(PHOTO, stripes(2), **given)
        assert [(phrase.text, phrase.entity_ids) for phrase in listed.phrases] == [("cat", (1,)), ("red dog", (2,))]


class Reading(Knowing):
    """Knows some words alone."""

    def knows(self, word: str) -> bool:
        return word in ("cat", "mat")


def test_a_text_without_a_known_word_is_refused_before_the_picture_is_looked_at(
    caplog: pytest.LogCaptureFixture,
) -> None:
    model = Reading((0.9,), (0.8,))
    grounder = Grounder(model, name="mine")
    words = r"^mine knows no word of 'eine Katze'\. It reads English only and has .*; try other English words\.$"
    for ask in (
        lambda: grounder(PHOTO, stripes(1), "eine  Katze"),
        lambda: grounder(PHOTO, stripes(1), phrases=["eine Katze"]),
        lambda: grounder(PHOTO, stripes(1), categories=["eine Katze"]),
        lambda: grounder.refer(PHOTO, stripes(1), "eine Katze"),
        lambda: grounder.nouns(PHOTO, "eine Katze"),
    ):
        with pytest.raises(InputError, match=words):
            ask()
    assert model.seen == []
    with caplog.at_level("INFO", "esg"):
        found = grounder(PHOTO, stripes(1), phrases=["cats", "Katze"])
    assert ids(found.phrases) == [(1,), ()]
    assert "mine knows no word of Katze and ignores it." in caplog.text
    assert ids(Grounder(Knowing((0.9,)))(PHOTO, stripes(1), phrases=["Katze"]).phrases) == [(1,)]  # it cannot tell


def test_captions_come_in_pieces_and_can_be_stopped() -> None:
    model = Knowing()
    assert "".join(Grounder(model).caption(PHOTO, max_tokens=9, temperature=0.5, seed=4)) == model.text
    assert model.written == [GenerationConfig(9, 0.5, 4)]
    assert list(Grounder(model).caption(PHOTO, stop=lambda: True)) == []
    assert Grounder(model).nouns(PHOTO, "cat on mat") == [(0, 3), (7, 10)]


def test_messages_name_a_model_without_its_folders(tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    path.touch()
    for name, title in ((str(path), "mine"), ("zero-shot:someone/model", "zero-shot:someone/model"), ("", "The model")):
        with pytest.raises(InputError, match=rf"^{title} cannot answer questions; "):
            Grounder(Knowing(), name=name).check_answers()


def test_a_free_question_needs_a_model_that_can_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Knowing()
    with pytest.raises(InputError, match="The model cannot answer questions; load zero-shot, gella-7b or gella-13b"):
        next(Grounder(model).ask(PHOTO, "What is this?"))
    assert model.seen == []
    monkeypatch.setattr(model, "answers", True, raising=False)

    def ask(sight: Any, question: str, writing: GenerationConfig, stop: Any) -> list[str]:
        return [question, str(writing.max_tokens)]

    monkeypatch.setattr(model, "ask", ask, raising=False)
    assert list(Grounder(model).ask(PHOTO, " What is this? ", max_tokens=7)) == ["What is this?", "7"]
    with pytest.raises(InputError, match="The question is empty"):
        next(Grounder(model).ask(PHOTO, " "))


def test_whether_a_model_answers_is_known_without_loading_it(tiny_gella: Path) -> None:
    assert Grounder.can_answer(tiny_gella)  # it knows capitals, as large models do
    assert not Grounder.can_answer("gella-nano")
    assert Grounder.can_answer("zero-shot-4bit:someone/model")
    assert not Grounder.can_answer("zero-shot:none")
    with pytest.raises(WeightsError):
        Grounder.can_answer("gella-7b")


def test_a_picture_is_encoded_once_for_several_questions() -> None:
    model = Knowing((0.6,), (0.7,))
    grounder = Grounder(model)
    pixels = PHOTO.copy()
    caption = "".join(grounder.caption(pixels)).strip()
    assert grounder.best_caption(pixels.copy(), stripes(1), drafts=2) == caption
    assert len(grounder.nouns(pixels, caption)) == 2
    assert grounder(pixels, stripes(1), caption).caption == caption
    model.rows = ((0.5,),)
    assert grounder.refer(pixels, stripes(1), "the cat").entity_ids == (1,)
    assert len(model.seen) == 1

    turned = np.rot90(pixels).copy()
    list(grounder.caption(turned))
    assert model.seen[1:] == [(50, 30, 3)]
    list(grounder.caption(turned.reshape(pixels.shape)))  # the same bytes in another shape
    assert model.seen[2:] == [(30, 50, 3)]
    pixels[-1, -1, -1] ^= 1
    for _ in range(2):
        list(grounder.caption(pixels))
    assert len(model.seen) == 4
    list(grounder.to("cpu").caption(pixels))  # what was seen lies where the model was
    assert len(model.seen) == 5


# --------------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize("step", ["see", "describe", "nouns", "scores"])
@pytest.mark.parametrize(
    ("device", "name", "advice"),
    [
        ("cuda", "mine", "cuda ran out of memory while mine was working; choose the precision bf16.*device cpu"),
        ("cuda", "zero-shot", r"fewer bits \(zero-shot-8bit, zero-shot-4bit\).*device cpu"),
        ("cpu", "", "cpu ran out of memory while the model was working; choose .* or a smaller model.$"),
    ],
)
def test_no_memory_is_one_sentence(
    step: str, device: str, name: str, advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> Any:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")

    model = Knowing((0.6,), (0.7,))
    model.device = torch.device(device)
    grounder = Grounder(model, name=name)
    with monkeypatch.context() as patch:
        patch.setattr(model, step, full)
        with pytest.raises(InputError, match=advice):
            grounder(PHOTO, stripes(1))
    assert grounder(PHOTO, stripes(1)).caption == "a cat on a mat"  # nothing of the failure stays


def test_what_else_goes_wrong_keeps_its_stack_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError("shapes do not match")

    model = Knowing((0.6,), (0.7,))
    monkeypatch.setattr(model, "scores", broken)
    with pytest.raises(RuntimeError, match="shapes do not match"):
        Grounder(model)(PHOTO, stripes(1))


def test_without_entities_phrases_mean_nothing() -> None:
    assert ids(Grounder(Knowing())(PHOTO, NOTHING, "cat on mat").phrases) == [(), ()]
    assert ids(Grounder(Knowing())(PHOTO, NOTHING, categories=["cat", "dog"]).phrases) == [(), ()]
    assert Grounder(Knowing()).refer(PHOTO, NOTHING, "the cat").entity_ids == ()


def test_a_caption_without_nouns_has_no_phrases() -> None:
    found = Grounder(Knowing())(PHOTO, stripes(2), "it is so")
    assert (found.caption, found.phrases) == ("it is so", ())


@pytest.mark.parametrize("score", [float("nan"), float("inf")])
def test_nan_scores_are_refused(score: float) -> None:
    grounder = Grounder(Knowing((score, 0.5)), name="mine")
    with pytest.raises(InputError, match=r"mine produced scores that are NaN or infinite; use precision fp32"):
        grounder(PHOTO, stripes(2), "cat")
    with pytest.raises(InputError, match="NaN or infinite"):
        grounder.refer(PHOTO, stripes(2), "cat")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"caption": "cat", "phrases": ["cat"]}, "Give only one of these"),
        ({"phrases": ["cat"], "categories": ["cat"]}, "Give only one of these"),
        ({"caption": "cat", "threshold": 1.5}, "threshold is 1.5, but must be a number from 0 to 1"),
        ({"caption": "cat", "threshold": float("nan")}, "threshold is nan"),
        ({"caption": "cat", "threshold": None}, "threshold is None, but must be a number"),
        ({"caption": "cat", "threshold": "0.5"}, "threshold is '0.5', but must be a number"),
        ({"caption": " \n"}, "caption is empty"),
        ({"caption": "\ud800"}, "half a character"),
        ({"caption": 3}, "must be a text, not int"),
        ({"phrases": []}, "at least one phrase"),
        ({"phrases": "cat"}, "list of texts"),
        ({"phrases": ["cat", 3]}, "list of texts"),
        ({"phrases": 3}, "list of texts"),
        ({"phrases": (name for name in ())}, "at least one phrase"),
        ({"phrases": ["cat", " "]}, "phrase number 2 is empty"),
        ({"categories": []}, "at least one category"),
    ],
)
def test_errors_are_reported_before_the_model_runs(options: dict[str, Any], words: str) -> None:
    model = Knowing((0.5, 0.5))
    with pytest.raises(InputError, match=words):
        Grounder(model)(PHOTO, stripes(2), **options)
    assert model.seen == []


@pytest.mark.parametrize(
    ("expression", "threshold", "words"),
    [(" ", None, "expression is empty"), ("\udc00", None, "half a character"), ("cat", 2.0, "threshold is 2.0, but")],
)
def test_wrong_expressions(expression: str, threshold: float | None, words: str) -> None:
    with pytest.raises(InputError, match=words):
        Grounder(Knowing()).refer(PHOTO, stripes(2), expression, threshold=threshold)


def test_entities_of_another_picture_are_refused() -> None:
    for ask in (Grounder(Knowing()), Grounder(Knowing()).refer):
        with pytest.raises(InputError, match=r"50x31 pixels.*50x30"):
            ask(PHOTO, stripes(2, height=31), "cat")


@pytest.mark.parametrize(
    ("entities", "words"), [(None, "are of type NoneType;"), (np.ones((30, 50), int), r"are \(30, 50\) int64; make")]
)
def test_entities_of_a_wrong_type_are_refused(entities: Any, words: str) -> None:
    model = Knowing()
    grounder = Grounder(model)
    for ask in (grounder, partial(grounder.refer, expression="cat"), grounder.best_caption):
        with pytest.raises(InputError, match=f"must be an EntityMap, but {words}"):
            ask(PHOTO, entities)
    assert model.seen == []


def test_an_empty_caption_has_no_nouns() -> None:
    with pytest.raises(InputError, match="caption is empty"):
        Grounder(Knowing()).nouns(PHOTO, " ")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max_tokens": 0}, "at least 1"),
        ({"max_tokens": 2.5}, r"max_tokens is 2\.5, but must be a whole number"),
        ({"temperature": -1.0}, "temperature must be a number from 0 up, not -1.0"),
        ({"temperature": float("nan")}, "temperature must be a number"),
        ({"temperature": None}, "temperature must be a number from 0 up, not None"),
        ({"seed": -1}, "seed is -1, but must be a whole number from 0"),
        ({"seed": 1 << 64}, "seed is 18446744073709551616, but must be a whole number"),
        ({"seed": 1.5, "temperature": 1.0}, r"seed is 1\.5, but must be a whole number"),
    ],
)
def test_captions_cannot_be_written_so(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        list(Grounder(Knowing()).caption(PHOTO, **options))


# ---------------------------------------------------------------------------------------------- loading and moving


def test_weights_are_loaded_from_a_file(speaker: Any, tmp_path: Path) -> None:
    config, tokenizer = speaker
    path = tmp_path / "tiny.safetensors"
    write_gella(path, Gella(config).state_dict(), config, tokenizer, preset="tiny", steps=0)
    grounder = esg.Grounder.from_pretrained(path, device="cpu")
    assert isinstance(grounder.model, GellaInference)
    assert grounder.model.model.config == config
    assert (grounder.device, grounder.name) == (torch.device("cpu"), str(path))
    assert isinstance(Grounder.from_pretrained(tmp_path, device="cpu").model, GellaInference)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("gella-nanoo", r"no model or file called 'gella-nanoo'; did you mean gella-nano"),
        ("cropformer-nano", "does not hold weights of GELLA; choose gella-nano"),
        ("no/such.safetensors", "does not exist"),
    ],
)
def test_weights_of_another_model_are_refused(model: str, words: str) -> None:
    with pytest.raises(WeightsError, match=words):
        Grounder.from_pretrained(model, device="cpu")


def test_weights_have_a_name_or_a_path() -> None:
    with pytest.raises(WeightsError, match=r"the name of a model .*, not None"):
        Grounder.from_pretrained(None, device="cpu")  # type: ignore[arg-type]


def test_a_file_may_be_called_as_public_models_are(
    tiny_gella: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name = "zero-shot-mine.safetensors"
    with pytest.raises(InputError, match="is not a training-free grounder"):
        Grounder.from_pretrained(name, device="cpu")
    (tmp_path / name).write_bytes(tiny_gella.read_bytes())
    grounder = Grounder.from_pretrained(name, device="cpu")
    assert isinstance(grounder.model, GellaInference)

    def full(_: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr(grounder.model, "see", full)
    with pytest.raises(InputError, match=r"choose the precision bf16 or a smaller model\.$"):
        list(grounder.caption(PHOTO))


def test_missing_weights_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("esg.weights.finding.ASSETS", tmp_path)
    with pytest.raises(WeightsError, match=r"weights of gella-nano are missing from .*reinstall ESG"):
        Grounder.from_pretrained(device="cpu")
    with pytest.raises(WeightsError, match="does not contain a weight file"):
        Grounder.from_pretrained(tmp_path, device="cpu")


def test_the_device_is_checked_before_anything_is_loaded() -> None:
    with pytest.raises(InputError, match="device 'tpu9' cannot be used"):
        Grounder.from_pretrained("no/such.safetensors", device="tpu9")
    with pytest.raises(InputError, match="fp16 is for GPUs"):
        Grounder.from_pretrained("no/such.safetensors", device="cpu", precision="fp16")


def test_a_grounder_can_be_moved() -> None:
    grounder = Grounder(Knowing())
    assert grounder.to("cpu") is grounder
    with pytest.raises(InputError, match="device 'meta' cannot be used"):
        grounder.to("meta")
    assert grounder.device == torch.device("cpu")


@pytest.mark.gpu
def test_what_a_model_held_on_a_gpu_is_free_once_it_is_moved_away(speaker: Any) -> None:
    config, tokenizer = speaker
    model = Gella(config)
    grounder = Grounder(GellaInference(model, tokenizer, "cuda"))
    there = grounder(PHOTO, stripes(3), phrases=["red disc"], threshold=0)
    held = torch.cuda.memory_allocated()
    grounder.to("cpu")
    assert held - torch.cuda.memory_allocated() >= sum(p.numel() * p.element_size() for p in model.parameters())
    here = grounder(PHOTO, stripes(3), phrases=["red disc"], threshold=0)
    assert sorted(here.phrases[0].scores) == pytest.approx(sorted(there.phrases[0].scores), abs=1e-3)


# --------------------------------------------------------------------------------------------------- several captions


class Drafting(Knowing):
    """Writes another caption for every seed; a noun fits as well as its first letter comes early in the alphabet."""

    texts = ("every zebra", "azure cat", "azure azure", "aardvark")

    def describe(
        self, sight: Any, writing: GenerationConfig, stop: Callable[[], bool] | None = None
    ) -> Generator[str, None, None]:
        self.written.append(writing)
        yield self.texts[writing.seed % len(self.texts)]

    def nouns(self, sight: Any, caption: str) -> list[tuple[int, int]]:
        starts = [0, caption.index(" ") + 1] if " " in caption else [0]
        return [(start, (caption + " ").index(" ", start)) for start in starts]

    def scores(self, sight: Any, entities: EntityMap, caption: str, spans: Sequence[tuple[int, int]]) -> np.ndarray:
        rows = [1 - (ord(caption[start]) - ord("a")) / 26 for start, _ in spans]
        return np.repeat(np.array(rows, np.float32)[:, None], len(entities), axis=1)


def test_of_several_captions_the_one_is_taken_that_is_grounded_best_and_says_nothing_twice() -> None:
    model = Drafting()
    grounder = Grounder(model)
    assert grounder.best_caption(PHOTO, stripes(2)) == "every zebra"  # the model's own number of drafts is 1
    assert grounder.best_caption(PHOTO, stripes(2), drafts=2) == "azure cat"
    assert grounder.best_caption(PHOTO, stripes(2), drafts=3) == "azure cat"  # "azure azure" fits, but is said twice
    assert grounder.best_caption(PHOTO, stripes(2), drafts=4) == "aardvark"
    assert [writing.temperature > 0 for writing in model.written[-4:]] == [False, True, True, True]
    model.drafts = 4
    assert grounder(PHOTO, stripes(2)).caption == "aardvark"
    assert grounder(PHOTO, NOTHING).caption == "every zebra"  # there is nothing to tell them apart by
    for drafts in (0, 1.5):
        with pytest.raises(InputError, match=rf"drafts is {drafts}, but must be a whole number of at least 1\."):
            grounder.best_caption(PHOTO, stripes(2), drafts=drafts)  # type: ignore[arg-type]


def test_after_the_last_seed_comes_the_first() -> None:
    model = Drafting()
    Grounder(model).best_caption(PHOTO, stripes(2), drafts=3, seed=2**64 - 2)
    assert [writing.seed for writing in model.written] == [2**64 - 2, 2**64 - 1, 0]
