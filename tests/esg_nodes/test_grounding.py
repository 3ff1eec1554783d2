from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

Nodes = Callable[[str], Any]
WORDS = "a red square, the green one"


@pytest.fixture
def ground(nodes: Nodes, grounder: Any, image: torch.Tensor, entities: Any) -> Callable[..., Any]:
    def run(text: str, read_as: str = "a list of phrases", threshold: float = 0.0, **other: Any) -> Any:
        given = {"image": image, "entities": entities, **other}
        return nodes("GroundText").ground(grounder, given["image"], given["entities"], text, read_as, threshold)

    return run


def test_a_list_is_grounded_in_every_picture(ground: Callable[..., Any], entities: Any, grounder: Any) -> None:
    found, mask, caption, phrases, overlay = ground(WORDS)
    assert found.maps == entities.maps
    first, second = found.groundings
    assert [phrase.text for phrase in first.phrases] == ["a red square", "the green one"]
    assert {*first.phrases[0].entity_ids} == {1, 2, 3, 4}  # with a threshold of 0 everything is meant
    assert all(phrase.entity_ids == () for phrase in second.phrases)  # where there is nothing
    assert mask.shape == (2, 40, 60)
    assert mask[0].all()
    assert not mask[1].any()
    assert caption == f"{first.caption}\n{second.caption}"
    assert json.loads(phrases) == [first.to_json(), second.to_json()]
    assert overlay.shape[0] == 2
    assert overlay.shape[1] > 40  # the caption is beneath


def test_it_says_what_the_core_says(
    ground: Callable[..., Any], grounder: Any, image: torch.Tensor, entities: Any
) -> None:
    photo = (image[0].numpy() * 255).astype(np.uint8)
    expected = grounder.ready()(photo, entities.maps[0], "A dog and a door.", threshold=0.3)
    assert ground("A dog and a door.", "a sentence", 0.3)[0].groundings[0] == expected
    best = grounder.ready().refer(photo, entities.maps[0], "the dog", least=0)
    found = ground("the dog", "one expression or question", best.scores[0])[0].groundings[0]
    assert found.phrases == (best,)


def test_an_expression_that_fits_nothing_well_says_so(
    ground: Callable[..., Any], part: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(part("host").PlainHost, "say", lambda self, text: said.append(text))
    ground("the dog", "one expression or question", 1.0)
    assert "No entity reaches the threshold for 'the dog'; the best score is 0." in said[-1]
    ground("the dog", "one expression or question", 0.0)
    assert said[-1] == ""


def test_an_expression_that_nothing_fits_means_nothing_and_has_a_guess(
    ground: Callable[..., Any], grounder: Any, image: torch.Tensor, entities: Any
) -> None:
    photo = (image[0].numpy() * 255).astype(np.uint8)
    best = grounder.ready().refer(photo, entities.maps[0], "the dog", least=0)
    found, mask, _, phrases, _ = ground("the dog", "one expression or question", 1.0)
    (phrase,) = found.groundings[0].phrases
    assert phrase.entity_ids == ()
    assert phrase.guess == (best.entity_ids[0], best.scores[0])
    assert not mask.any()
    assert json.loads(phrases)[0]["phrases"][0]["guess"] == [*phrase.guess]


def test_a_list_may_have_dots(ground: Callable[..., Any]) -> None:
    found = ground("cat . dog .", "a list of phrases")[0].groundings[0]
    assert [phrase.text for phrase in found.phrases] == ["cat", "dog"]


def test_categories_share_no_entity(ground: Callable[..., Any]) -> None:
    found = ground("dog\n\ncat, tree", "a list of categories")[0].groundings[0]
    assert [phrase.text for phrase in found.phrases] == ["dog", "cat", "tree"]
    assert sorted(k for phrase in found.phrases for k in phrase.entity_ids) == [1, 2, 3, 4]


def test_as_many_lines_as_pictures_are_one_for_each(ground: Callable[..., Any]) -> None:
    first, second = ground("a dog\na cat")[0].groundings
    assert (first.phrases[0].text, second.phrases[0].text) == ("a dog", "a cat")
    assert len(first.phrases) == len(second.phrases) == 1


def test_no_words_let_the_model_write(
    ground: Callable[..., Any], grounder: Any, image: torch.Tensor, entities: Any
) -> None:
    one = {"image": image[:1], "entities": type(entities)(entities.maps[:1], (None,))}
    caption = ground(" ", "a sentence", **one)[2]
    photo = (image[0].numpy() * 255).astype(np.uint8)
    assert caption == grounder.ready()(photo, entities.maps[0]).caption


def test_a_picture_is_looked_at_once_by_one_node_after_the_other(
    ground: Callable[..., Any],
    nodes: Nodes,
    grounder: Any,
    image: torch.Tensor,
    entities: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = grounder.ready().model
    see, seen = model.see, []
    monkeypatch.setattr(model, "see", lambda pixels: (seen.append(pixels.shape), see(pixels))[1])
    one, found = 1 - image[:1], type(entities)(entities.maps[:1], (None,))
    (caption,) = nodes("DescribeImage").describe(grounder, one, 12, 0.0, 0, found)
    nodes("FindNouns").find(grounder, one, caption)
    ground(caption, "a sentence", image=one, entities=found)
    ground("", "a sentence", image=one, entities=found)
    assert seen == [(40, 60, 3)]


def test_no_words_to_read_as_a_list_is_an_error(ground: Callable[..., Any], core: Any) -> None:
    with pytest.raises(core.InputError, match="cannot be read as a list of phrases"):
        ground("")
    with pytest.raises(core.InputError, match="The text has only commas"):
        ground(", ,、")


def test_a_description_is_one_line_a_picture(nodes: Nodes, grounder: Any, image: torch.Tensor, entities: Any) -> None:
    (one,) = nodes("DescribeImage").describe(grounder, image[:1], 12, 0.0, 0)
    photo = (image[0].numpy() * 255).astype(np.uint8)
    assert one == "".join(grounder.ready().caption(photo, max_tokens=12)).strip()
    (both,) = nodes("DescribeImage").describe(grounder, image, 12, 0.0, 0)
    assert both.splitlines()[0] == " ".join(one.split())
    assert len(both.splitlines()) == 2
    (checked,) = nodes("DescribeImage").describe(grounder, image, 12, 0.7, 1, entities)
    assert len(checked.splitlines()) == 2


def test_an_answer_is_one_line_a_picture(nodes: Nodes, grounder: Any, image: torch.Tensor) -> None:
    photo = (image[0].numpy() * 255).astype(np.uint8)
    (one,) = nodes("AskAboutImage").ask(grounder, image[:1], "What is it?", 12, 0.0, 0)
    assert one == "".join(grounder.ready().ask(photo, "What is it?", max_tokens=12)).strip()
    (both,) = nodes("AskAboutImage").ask(grounder, image, "What is it?", 12, 0.0, 0)
    assert both.splitlines()[0] == " ".join(one.split())
    assert len(both.splitlines()) == 2


def test_a_small_model_does_not_answer(
    nodes: Nodes, grounder: Any, image: torch.Tensor, core: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(grounder.ready().model), "answers", False)
    with pytest.raises(core.InputError, match="cannot answer questions; load zero-shot"):
        nodes("AskAboutImage").ask(grounder, image, "What is it?", 12, 0.0, 0)


def test_nouns_are_a_list_of_texts_with_their_places(nodes: Nodes, grounder: Any, image: torch.Tensor) -> None:
    caption = "Two dogs lie before the door."
    found, spans = nodes("FindNouns").find(grounder, image, caption)
    assert found
    for noun, place in zip(found, json.loads(spans), strict=True):
        assert place["text"] == noun == caption[slice(*place["span"])]


def test_no_noun_is_one_empty_text(
    nodes: Nodes, grounder: Any, image: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(grounder.ready()), "nouns", lambda self, photo, caption: [])
    assert nodes("FindNouns").find(grounder, image, "Hello!") == ([""], "[]")


def test_the_progress_of_writing_ends_at_its_end(
    ground: Callable[..., Any], part: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, int]] = []
    monkeypatch.setattr(part("host").PlainHost, "progress", lambda self: lambda *args: seen.append(args[:2]))
    ground("", "a sentence")
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1] == (200, 200)


def test_lines_are_for_the_pictures_of_a_list_too(
    nodes: Nodes, grounder: Any, image: torch.Tensor, entities: Any
) -> None:
    given = {
        "grounder": [grounder],
        "image": [image[:1], image[1:]],
        "entities": [type(entities).of(entities.maps[:1]), type(entities).of(entities.maps[1:])],
        "text": ["a dog\na door"],
        "read_as": ["a list of phrases"],
        "threshold": [0.0],
    }
    for text, wanted in (
        (["a dog\na door"], ["a dog", "a door"]),
        (["a dog", "a door"], ["a dog", "a door"]),
        (["a dog"], ["a dog", "a dog"]),
    ):
        found, *_ = nodes("GroundText").ground_lists(**given | {"text": text})
        assert [one.groundings[0].phrases[0].text for one in found] == wanted


def test_a_text_that_cannot_be_used_costs_no_other(
    ground: Callable[..., Any], part: Callable[[str], Any], core: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(part("host").PlainHost, "say", lambda self, text: said.append(text))
    found, mask, caption, _, _ = ground("a dog\n,,")
    assert caption.endswith("a dog.\n,,")
    assert len(found.groundings[0].phrases) == 1
    assert not found.groundings[1].phrases
    assert mask[0].any()
    assert "only commas" in said[-1]
    with pytest.raises(core.InputError, match="only commas"):
        ground(",\n,,")


def test_no_words_at_all_are_told_before_anything_runs(nodes: Nodes) -> None:
    validate = nodes("GroundText").VALIDATE_INPUTS
    assert validate(["a dog"], ["a list of phrases"]) is True
    assert validate([""], ["a sentence"]) is True
    assert validate((None,), ["a list of phrases"]) is True  # it comes over a wire
    assert "The text is empty" in validate([" "], ["a list of phrases"])
    assert "only commas" in validate([", ,"], ["a list of categories"])
    assert "use one of: a sentence" in validate(["a dog"], ["a poem"])
