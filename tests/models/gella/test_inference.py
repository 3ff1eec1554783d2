"""GELLA inference from photo to words and scores, with a tiny random model of the real classes."""

from __future__ import annotations

import dataclasses
import logging
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from esg.entities.entity_map import EntityMap
from esg.grounder import Grounder
from esg.language.captions import category_caption, phrase_caption
from esg.models.gella.checkpoint import write_gella
from esg.models.gella.colormap import without_gaps
from esg.models.gella.inference import GellaInference
from esg.models.gella.model import Gella
from esg.models.grounding_model import GenerationConfig
from esg.support.errors import InputError, NoNumbers, WeightsError

PHOTO = np.random.default_rng(0).integers(0, 255, (30, 50, 3), np.uint8)
HALVES = EntityMap.from_labels(np.tile(np.arange(50) // 25 + 1, (30, 1)))
CAPTION = "A red disc and two bars."
SPANS = [(2, 10), (15, 23)]


@pytest.fixture(scope="module")
def inference(speaker: Any) -> GellaInference:
    config, tokenizer = speaker
    torch.manual_seed(3)
    return GellaInference(Gella(config), tokenizer)


def stripes(count: int) -> EntityMap:
    return EntityMap.from_labels(np.tile(np.arange(1000) * count // 1000 + 1, (30, 1)))


def wide_photo() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 255, (30, 1000, 3), np.uint8)


@pytest.mark.parametrize("count", [0, 1, 4, 300])
def test_every_phrase_has_a_score_for_every_entity(inference: GellaInference, count: int) -> None:
    entities = stripes(count) if count else EntityMap.from_labels(np.zeros((30, 1000), int))
    before = entities.labels.copy()
    scores = inference.scores(inference.see(wide_photo()), entities, CAPTION, SPANS)
    assert (scores.shape, scores.dtype) == ((2, count), np.float32)
    assert ((scores >= 0) & (scores <= 1)).all()
    assert np.array_equal(entities.labels, before)


def test_more_entities_than_queries_are_read_in_groups(
    inference: GellaInference, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each sees its own colours alone, and grows over the gaps of the picture, not over what the others are."""
    queries = inference.model.config.decoder.queries
    reconstruct, seen = inference.model.reconstruct, []

    def watched(grid: torch.Tensor, colours: torch.Tensor, maps: Any) -> Any:
        seen.append((colours[0] > colours.min()).any(0).numpy())  # not black
        return reconstruct(grid, colours, maps)

    monkeypatch.setattr(inference.model, "reconstruct", watched)
    side = inference.model.config.colormap_side
    labels = np.tile(np.arange(side) * 2 * queries // side + 1, (side, 1))
    labels[20:22] = 0  # a gap
    both = EntityMap.from_labels(labels)
    photo = np.random.default_rng(1).integers(0, 255, (side, side, 3), np.uint8)
    with caplog.at_level(logging.INFO):
        inference.scores(inference.see(photo), both, CAPTION, SPANS)
    assert f"of {2 * queries} entities" in caplog.text
    whole = without_gaps(both.labels, inference.model.config.gap * side)
    assert whole.all()
    assert np.array_equal(seen, [whole <= queries, whole > queries])


def test_a_caption_is_written_in_pieces_and_always_the_same(inference: GellaInference) -> None:
    sight = inference.see(PHOTO)
    pieces = list(inference.describe(sight, GenerationConfig(max_tokens=12)))
    assert 0 < len(pieces) <= 12
    assert list(inference.describe(sight, GenerationConfig(max_tokens=12))) == pieces
    assert list(inference.describe(sight, GenerationConfig(), lambda: True)) == []
    drawn = [list(inference.describe(sight, GenerationConfig(12, temperature=2.0, seed=seed))) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_a_question_is_a_conversation_of_its_own(inference: GellaInference, monkeypatch: pytest.MonkeyPatch) -> None:
    assert inference.answers  # this tiny model knows capitals, as large ones do
    read: list[str] = []

    def tokens(sight: Any, asked: Any, *_: Any) -> list[int]:
        read.append(inference._tokenizer.decode(asked.ids.tolist()))
        return inference._tokenizer.encode("Two bars.", add_special_tokens=False).ids

    monkeypatch.setattr(inference, "_tokens", tokens)
    assert "".join(inference.ask(None, "How many?", GenerationConfig())) == "Two bars."  # type: ignore[arg-type]
    assert read[0].endswith("How many? ASSISTANT:")


def test_between_the_pieces_of_a_caption_the_callers_code_is_as_always(inference: GellaInference) -> None:
    pieces = inference.describe(inference.see(PHOTO), GenerationConfig(max_tokens=3))
    next(pieces)
    assert not torch.is_inference_mode_enabled()
    assert torch.ones(1, requires_grad=True).sum().requires_grad


def test_nouns_that_are_not_mended_are_those_of_the_answer(
    inference: GellaInference, monkeypatch: pytest.MonkeyPatch
) -> None:
    caption = "A brown cow looks over a yellow barrier."
    answer = "There are two semantic nouns, including cow <SEG> and a tractor <SEG>."
    conversation = inference._conversation
    monkeypatch.setattr(conversation, "pieces", lambda _: answer.split("<SEG>"))
    assert [caption[slice(*span)] for span in inference._listed([], caption)] == ["brown cow", "yellow barrier"]
    monkeypatch.setattr(inference, "mends", False)
    assert [caption[slice(*span)] for span in inference._listed([], caption)] == ["cow"]


def test_nouns_are_places_in_the_caption_whatever_the_model_answers(inference: GellaInference) -> None:
    caption = "A brown cow looks over a yellow barrier."
    spans = inference.nouns(inference.see(PHOTO), caption)
    assert spans == sorted(set(spans))
    assert all(0 <= start < end <= len(caption) for start, end in spans)


def test_the_list_of_nouns_may_be_as_long_as_the_caption_asks_for(
    inference: GellaInference, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forty nouns are four hundred tokens: more than a caption may have."""
    nouns = [f"disc {number}" for number in range(40)]
    caption, spans = phrase_caption(nouns)
    answer = inference._conversation.extract(caption, spans)
    said = answer.ids[answer.start : -1].tolist()
    assert len(said) > GenerationConfig().max_tokens

    def recited(language: Any, picture: Any, asked: Any, writing: GenerationConfig, *_: Any) -> Any:
        yield from said[: writing.max_tokens]

    monkeypatch.setattr("esg.models.gella.inference.write", recited)
    assert inference.nouns(inference.see(PHOTO), caption) == spans


def test_a_sentence_beyond_the_context_says_how_long_it_is(inference: GellaInference) -> None:
    long = "a disc and " * 400
    sight = inference.see(PHOTO)
    with pytest.raises(InputError, match=r'"a disc and a disc and …" is about \d{3,4} words too long.*shorten it'):
        inference.nouns(sight, long)
    with pytest.raises(InputError, match=r"is about \d{3} words too long.*shorten it") as raised:
        inference.scores(sight, stripes(2), long, [(2, 6)])
    words = int(re.findall(r"about (\d+)", str(raised.value))[0])
    shorter = " ".join(long.split()[: -words - 10])
    assert inference.scores(sight, stripes(2), shorter, [(2, 6)]).shape == (1, 2)


def test_a_list_beyond_the_context_is_scored_in_parts(inference: GellaInference) -> None:
    names = [f"disc {number}" for number in range(200)]
    sight, entities = inference.see(wide_photo()), stripes(3)
    scores = inference.scores(sight, entities, *category_caption(names))
    assert scores.shape == (200, 3)
    first, last = (inference.scores(sight, entities, *category_caption(some)) for some in (names[:25], names[-25:]))
    assert np.allclose(scores[:25], first, atol=1e-6)
    assert np.allclose(scores[-25:], last, atol=1e-6)


def test_many_sentences_are_read_in_parts(inference: GellaInference) -> None:
    caption = "A red disc lies near two bars. " * 80
    spans = [(31 * k + 2, 31 * k + 10) for k in range(80)]
    assert [caption[slice(*span)] for span in spans] == ["red disc"] * 80
    sight = inference.see(PHOTO)
    assert inference.scores(sight, stripes(2), caption, spans).shape == (80, 2)
    nouns = inference.nouns(sight, caption)
    assert nouns == sorted(set(nouns))
    assert set(spans) <= set(nouns)  # the model speaks at random, and the rule mends that


def test_half_precision_holds_the_language_side_in_it_and_gives_nearly_the_same(speaker: Any, tmp_path: Path) -> None:
    path = saved(speaker, tmp_path)
    whole = GellaInference.from_file(path, torch.device("cpu"), torch.float32)
    half = GellaInference.from_file(path, torch.device("cpu"), torch.bfloat16)
    assert {parameter.dtype for parameter in half.model.language.parameters()} == {torch.bfloat16}
    assert {parameter.dtype for parameter in half.model.decoder.parameters()} == {torch.float32}
    for name, buffer in half.model.language.named_buffers():  # rotary frequencies, which rounding would spoil
        assert buffer.dtype == whole.model.language.get_buffer(name).dtype, name
    scores = [one.scores(one.see(wide_photo()), stripes(3), CAPTION, SPANS) for one in (whole, half)]
    assert np.allclose(*scores, atol=0.05)
    assert list(half.describe(half.see(PHOTO), GenerationConfig(max_tokens=3)))


def test_a_tokenizer_that_is_damaged_is_one_sentence(speaker: Any, tmp_path: Path) -> None:
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    path = saved(speaker, tmp_path)
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    save_file(load_file(path), path, metadata | {"tokenizer": "{"})
    with pytest.raises(WeightsError, match=r"tokenizer in .* damaged"):
        Grounder.from_pretrained(path, device="cpu")


def saved(speaker: Any, folder: Path) -> Path:
    config, tokenizer = speaker
    path = folder / "tiny.safetensors"
    torch.manual_seed(3)
    write_gella(path, Gella(config).state_dict(), config, tokenizer, preset="tiny", steps=0)
    return path


def test_several_captions_are_written_and_grounded_together_as_one_by_one(inference: GellaInference) -> None:
    sight = inference.see(wide_photo())
    writings = [GenerationConfig(6), GenerationConfig(6, 1.5, seed=1), GenerationConfig(3, 1.5, seed=2)]
    seen: list[int] = []
    captions = inference.captions(sight, HALVES, writings, seen.append)
    assert captions == ["".join(inference.describe(sight, writing)).strip() for writing in writings]
    assert seen[0] == 0
    told = [CAPTION, "a disc", f"{CAPTION} " * 40]  # the last is far too long
    grounded = inference.grounded(sight, stripes(3), told)
    for caption, (spans, scores) in zip(told[:2], grounded):
        assert spans == inference.nouns(sight, caption)
        assert np.allclose(scores, inference.scores(sight, stripes(3), caption, spans), atol=1e-6)
    assert grounded[2][0] == []
    assert grounded[2][1].shape == (0, 3)


def test_captions_take_turns_where_memory_is_small(inference: GellaInference, monkeypatch: pytest.MonkeyPatch) -> None:
    sight = inference.see(wide_photo())
    writings = [GenerationConfig(5, 1.5, seed=seed) for seed in range(3)]
    at_once = inference.captions(sight, HALVES, writings, lambda done: None)
    monkeypatch.setattr("esg.models.gella.inference.CACHE_BYTES", 1)
    seen: list[int] = []
    assert inference.captions(sight, HALVES, writings, seen.append) == at_once
    assert sorted(set(seen)) == [0, 1, 2]


@pytest.mark.parametrize(
    ("part", "what"),
    [("vision_tower", "image features"), ("language_model", "chances of words"), ("pixel_decoder", "masks")],
)
def test_what_computes_no_numbers_is_one_sentence(speaker: Any, part: str, what: str) -> None:
    """As with weights that are finite, but far too large."""
    torch.manual_seed(3)
    model = Gella(speaker[0])
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.mul_(1e30 if part in name else 1)
    grounder = Grounder(GellaInference(model, speaker[1]))
    said = rf"^The model produced {what} that are NaN or infinite; use precision fp32, or other weights\.$"
    if part != "language_model":
        with pytest.raises(NoNumbers, match=said):
            grounder(PHOTO, HALVES, phrases=["a red disc"])
    if part != "pixel_decoder":
        for temperature in (0, 1):
            with pytest.raises(NoNumbers, match=said):
                "".join(grounder.caption(PHOTO, temperature=temperature))
        with pytest.raises(NoNumbers, match=said):
            grounder.best_caption(PHOTO, HALVES, drafts=2)


@pytest.fixture
def knowing(speaker: Any) -> GellaInference:
    """A model that has names for things, which are words of its captions, and another word for one of them."""
    config, tokenizer = speaker
    torch.manual_seed(3)
    config = dataclasses.replace(config, names=("disc", "bar"), synonyms={"coin": "disc"})
    return GellaInference(Gella(config), tokenizer)


def test_a_synonym_refers_to_the_same_entities(knowing: GellaInference) -> None:
    sight = knowing.see(PHOTO)
    said, known = "A red coin and two bars.", "A red disc and two bars."
    spans = [(2, 10), (15, 23)]
    assert np.array_equal(knowing.scores(sight, HALVES, said, spans), knowing.scores(sight, HALVES, known, spans))
    assert knowing.nouns(sight, said) == knowing.nouns(sight, known)  # the places are those of the user's own text
    long = "Some golden coins and two bars."
    for (own, scores), text in zip(knowing.grounded(sight, HALVES, [long, said]), (long, said)):
        assert own == knowing.nouns(sight, text)
        assert len(scores) == len(own)


def test_scores_are_means_over_the_photo_and_its_mirror_image(
    knowing: GellaInference, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Other areas than halves: a mirror image with the same outlines would have nearly the same scores.
    entities = EntityMap(np.tile((np.arange(50) >= 35) + 1, (30, 1)).astype(np.int32), np.array([0.9, 0.8], np.float32))
    flipped = EntityMap(np.ascontiguousarray(entities.labels[:, ::-1]), entities.scores)
    sight, reflection = knowing.see(PHOTO), knowing.see(np.ascontiguousarray(PHOTO[:, ::-1]))
    text, spans = "A disc and a bar.", [(2, 6), (13, 16)]
    plain, other = (
        knowing._scores(seen, own, [(text, spans)])[0] for seen, own in ((sight, entities), (reflection, flipped))
    )
    assert np.abs(plain - other).max() > 0.01
    looks: list[Any] = []
    see = knowing.model.language.see
    monkeypatch.setattr(knowing.model.language, "see", lambda pixels: (looks.append(pixels), see(pixels))[1])
    for _ in range(2):
        assert np.allclose(knowing.scores(sight, entities, text, spans), (plain + other) / 2, atol=2e-3)
    assert len(looks) == 1  # the mirror image of a photo is encoded once
    sided, places = "A disc on the Left of a bar.", [(2, 6), (24, 27)]
    expected = knowing._scores(sight, entities, [(sided, places)])[0]
    assert np.array_equal(knowing.scores(sight, entities, sided, places), expected)
    bright, places = "A bright disc and a bar.", [(2, 13), (20, 23)]  # "bright" is not "right"
    alone = knowing._scores(sight, entities, [(bright, places)])[0]
    assert not np.allclose(knowing.scores(sight, entities, bright, places), alone, atol=1e-3)


def test_drafts_that_mention_other_names_or_break_off_are_left_out(
    knowing: GellaInference, monkeypatch: pytest.MonkeyPatch
) -> None:
    drafts = ["A cat on a sofa.", "A cat and a dog.", "A cat on a can and in the background.", "Two kittens."]
    monkeypatch.setattr(knowing, "_recognised", lambda *_: (["cat"], {}, {"cat", "couch"}))
    monkeypatch.setattr(knowing, "_answers", lambda *_: [[number] for number in range(len(drafts))])
    monkeypatch.setattr(knowing._conversation, "pieces", lambda tokens: [drafts[int(tokens)]])
    writings = [GenerationConfig(9, seed=seed) for seed in range(4)]
    found = knowing.captions(knowing.see(PHOTO), HALVES, writings, lambda done: None)
    assert found == [drafts[0], drafts[3], "A cat."]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["dog", "dog", "grass"], "Two dogs on grass."),
        (["dog", "cat", "grass"], "A cat and a dog on grass."),
        (["kite", "dog", "grass"], "A dog on grass, with a kite."),
        (["dog", None, "grass"], "A dog on grass."),
        (["dog", "cat", None], "A cat and a dog."),
    ],
)
def test_the_plain_sentence_says_what_things_rest_on(
    knowing: GellaInference, monkeypatch: pytest.MonkeyPatch, names: list[str | None], said: str
) -> None:
    labels = np.full(PHOTO.shape[:2], 3)
    height, width = labels.shape
    labels[height // 4 : height // 2, : width // 3] = 1
    labels[height // 4 : height // 2, width // 2 :] = 2
    found = [(name or "sky", 0.9 if name else 0.1) for name in names]
    monkeypatch.setattr(knowing, "recognise", lambda *_: found)
    monkeypatch.setattr(knowing, "_answers", lambda *_: [])
    captions = knowing.captions(
        knowing.see(PHOTO), EntityMap.from_labels(labels, [0.9, 0.8, 0.7]), [], lambda done: None
    )
    assert captions == [said]


def test_recognised_names_are_given_to_the_description(
    knowing: GellaInference, monkeypatch: pytest.MonkeyPatch
) -> None:
    sight = knowing.see(PHOTO)
    asked: list[tuple[str, ...]] = []
    describe = knowing._conversation.describe
    monkeypatch.setattr(
        knowing._conversation, "describe", lambda caption=None, names=(): (asked.append(tuple(names)), describe())[1]
    )
    sure = np.array([[0.9, 0.2], [0.1, 0.2]], np.float32)
    read: list[tuple[str, ...]] = []

    def scores(sight: Any, entities: Any, caption: str, spans: Any) -> np.ndarray:
        read.append(tuple(caption[slice(*span)] for span in spans))
        return sure[[knowing.names.index(name) for name in read[-1]]]

    monkeypatch.setattr(knowing, "scores", scores)
    knowing.captions(sight, HALVES, [GenerationConfig(3)], lambda done: None)
    sure[:] = [[0.9, 0.8], [0.1, 0.2]]
    knowing.captions(sight, HALVES, [GenerationConfig(3)], lambda done: None)
    sure[:] = 0.2
    knowing.captions(sight, HALVES, [GenerationConfig(3)], lambda done: None)
    assert asked == [("disc",), ("two discs",), ()]
    assert read[0] == knowing.names
    assert read[1] == ("disc", "bar")  # once more by themselves, the likeliest first
