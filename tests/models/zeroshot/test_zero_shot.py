from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from esg.entities.entity_map import EntityMap
from esg.grounder import Grounder
from esg.models.grounding_model import GenerationConfig
from esg.models.zeroshot.zero_shot import CLIP, WRITER, ZeroShot
from esg.support.errors import InputError, WeightsError

CPU = torch.device("cpu")
COLOURS = {"red": (1, 0, 0), "green": (0, 1, 0), "blue": (0, 0, 1), "yellow": (1, 1, 0)}


class ColourClip:
    """Knows only colours, and those perfectly: a text is the colour that it names last, or grey."""

    network, device = torch.nn.Identity(), torch.device("cpu")

    device = CPU
    side = 8
    scale = 20.0

    def patches(self, pixels: np.ndarray) -> Tensor:
        squares = pixels.reshape(pixels.shape[0] // 4, 4, pixels.shape[1] // 4, 4, 3).mean((1, 3))
        return F.normalize(torch.from_numpy(squares).float(), dim=-1)

    def pictures(self, pictures: Iterable[np.ndarray]) -> Tensor:
        """The colour in the middle."""
        return F.normalize(torch.stack([torch.from_numpy(one[4, 4].astype(np.float32)) for one in pictures]), dim=-1)

    def texts(self, ensembles: Sequence[Sequence[str]]) -> Tensor:
        means = []
        for sentences in ensembles:
            named = [[word for word in COLOURS if word in sentence] for sentence in sentences]
            means.append(torch.tensor([COLOURS[names[-1]] if names else (1, 1, 1) for names in named]).float().mean(0))
        return F.normalize(torch.stack(means), dim=-1)


class Scripted:
    """A language model with one answer."""

    network, bits = torch.nn.Identity(), None

    def __init__(self, answer: str) -> None:
        self.given = answer
        self.asked: list[tuple[str, GenerationConfig]] = []

    def answer(self, pixels: np.ndarray, question: str, writing: GenerationConfig, stop: Any = None) -> Iterable[str]:
        self.asked.append((question, writing))
        yield from self.given.splitlines(keepends=True)

    def to(self, device: torch.device) -> None:
        pass


def scene() -> tuple[np.ndarray, EntityMap]:
    """Red, green, blue, grey and red again from left to right, with some noise, and nothing between them."""
    pixels = np.random.default_rng(0).integers(0, 40, (20, 60, 3), np.uint8)
    labels = np.zeros((20, 60), int)
    for number, colour in enumerate((COLOURS["red"], COLOURS["green"], COLOURS["blue"], (1, 1, 1), COLOURS["red"])):
        place = np.s_[4:16, 12 * number + 2 : 12 * number + 11]
        pixels[place] += np.array(colour, np.uint8) * 200
        labels[place] = number + 1
    return pixels, EntityMap.from_labels(labels)


def colours_of(ids: Iterable[int], entities: EntityMap) -> list[int]:
    """Which stripe each id is, from 0."""
    return sorted(int(entities.boxes[one - 1][0]) // 12 for one in ids)


def test_phrases_refer_to_one_several_or_no_entities() -> None:
    pixels, entities = scene()
    found = Grounder(ZeroShot(ColourClip()))(pixels, entities, "Two red bars and a green bar near a yellow door.")
    assert [phrase.text for phrase in found.phrases] == ["Two red bars", "green bar", "yellow door"]
    assert [colours_of(phrase.entity_ids, entities) for phrase in found.phrases] == [[0, 4], [1], []]


def test_a_phrase_that_fits_worse_than_another_means_nothing() -> None:
    """Grey is nearer to grey texts than to any colour, and red to red: the rival takes it, whatever it is."""
    pixels, entities = scene()
    model = ZeroShot(ColourClip())
    caption = "a red bar, a blue bar"
    scores = model.scores(model.see(pixels), entities, caption, [(2, 9), (13, 21)])
    assert scores.dtype == np.float32
    assert scores.shape == (2, 5)
    places = [colours_of([number + 1], entities)[0] for number in range(5)]
    red, blue = (dict(zip(places, row)) for row in scores)
    assert min(red[0], red[4], blue[2]) > 0.9
    assert max(red[1], red[2], red[3], blue[0], blue[1], blue[3], blue[4]) < 0.5


def test_surroundings_and_content_of_an_entity_count_equally() -> None:
    """A patch that is red and a crop that is blue lie between the two."""
    pixels, entities = scene()

    class Torn(ColourClip):
        def pictures(self, pictures: Iterable[np.ndarray]) -> Tensor:
            return torch.tensor([COLOURS["blue"]] * len(list(pictures))).float()

    model = ZeroShot(Torn())
    embedded = model._embedded(model.see(pixels), entities.keep(1))
    around = ZeroShot(ColourClip())._embedded(model.see(pixels), entities.keep(1))
    assert embedded[0, 2] > 0.5 > embedded[0, :2].max() - 0.1 > 0
    assert F.cosine_similarity(embedded, around)[0] < 0.8


def test_nouns_are_what_the_model_lists() -> None:
    writer = Scripted("Sure! The nouns are:\n1. brown cow\n2. barrier\n")
    model = ZeroShot(ColourClip(), writer)
    caption = "A brown cow looks over a yellow barrier <SEG>."
    assert [caption[slice(*span)] for span in model.nouns(model.see(scene()[0]), caption)] == ["brown cow", "barrier"]
    ((question, writing),) = writer.asked
    assert "extract each semantic noun" in question
    assert caption in question
    assert writing.temperature == 0


@pytest.mark.parametrize("writer", [None, Scripted("I cannot do that."), Scripted("")])
def test_without_a_list_nouns_are_found_by_a_rule_of_thumb(writer: Any) -> None:
    model = ZeroShot(ColourClip(), writer)
    caption = "A brown cow looks over a yellow barrier."
    spans = model.nouns(model.see(scene()[0]), caption)
    assert [caption[slice(*span)] for span in spans] == ["brown cow", "yellow barrier"]


def test_captions_need_a_language_model() -> None:
    pixels, entities = scene()
    writer = Scripted("A red\n bar.")
    grounder = Grounder(ZeroShot(ColourClip(), writer))
    assert list(grounder.caption(pixels, max_tokens=7, seed=3)) == ["A red\n", " bar."]
    assert writer.asked[0][1] == GenerationConfig(7, 0.0, 3)
    with pytest.raises(InputError, match="CLIP alone cannot write captions; give a caption"):
        Grounder(ZeroShot(ColourClip()))(pixels, entities)


def test_what_was_seen_stays_when_the_picture_is_written_over() -> None:
    pixels, entities = scene()
    grounder = Grounder(ZeroShot(ColourClip()))
    before, copy = grounder(pixels, entities, "A red bar."), pixels.copy()
    pixels[:] = 0
    assert grounder(copy, entities, "A red bar.") == before


def test_no_phrases_and_no_entities() -> None:
    pixels, entities = scene()
    model = ZeroShot(ColourClip())
    sight = model.see(pixels)
    assert model.scores(sight, entities, "a bar", []).shape == (0, 5)
    assert model.scores(sight, entities.keep([]), "a bar", [(2, 5)]).shape == (1, 0)


# ---------------------------------------------------------------------------------------------------- from the disk


@pytest.fixture
def downloaded(hf_home: Path, clip_folder: Path) -> Path:
    """CLIP in huggingface_hub's cache."""
    repository = hf_home / "hub" / f"models--{CLIP.replace('/', '--')}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("a" * 40)
    shutil.copytree(clip_folder, repository / "snapshots" / ("a" * 40))
    return repository


@pytest.mark.usefixtures("downloaded")
def test_clip_alone_is_enough_for_a_caption(photo: np.ndarray) -> None:
    entities = EntityMap.from_labels(np.arange(30 * 50).reshape(30, 50) // 5)  # 299 small ones
    grounder = Grounder.from_pretrained("zero-shot:none", device="cpu")
    found = grounder(photo, entities, "A dog near two red doors.", threshold=0.0)
    assert [phrase.text for phrase in found.phrases] == ["dog", "two red doors"]
    assert all(len(phrase.entity_ids) == 299 for phrase in found.phrases)
    assert grounder(photo, entities, "A dog near two red doors.", threshold=0.0) == found
    assert grounder.name == "zero-shot:none"
    assert grounder.to("cpu").device == CPU


@pytest.mark.usefixtures("downloaded")
def test_a_language_model_of_ones_own_choice_writes_the_caption(llava_folder: Path, photo: np.ndarray) -> None:
    grounder = Grounder.from_pretrained(f"zero-shot:{llava_folder}", device="cpu")
    whole = "".join(grounder.caption(photo, max_tokens=9))
    assert whole
    entities = EntityMap.from_labels(np.arange(30 * 50).reshape(30, 50) // 500 + 1)
    found = grounder(photo, entities)
    assert found.caption.startswith(whole[:3])
    assert grounder.refer(photo, entities, "the dog").entity_ids


@pytest.mark.usefixtures("downloaded")
def test_precision_goes_to_both_models(llava_folder: Path) -> None:
    model = Grounder.from_pretrained(f"zero-shot:{llava_folder}", device="cpu", precision="bf16").model
    assert model.writer.network.dtype == model.clip._precision == torch.bfloat16


@pytest.mark.usefixtures("downloaded")
def test_missing_models_are_reported_before_anything_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("esg.models.zeroshot.clip.ClipModel.from_folder", lambda *_: pytest.fail("CLIP was read"))
    with pytest.raises(WeightsError, match=r"hf download llava-hf/llava-1\.5-7b-hf"):
        Grounder.from_pretrained("zero-shot", device="cpu")
    with pytest.raises(WeightsError, match="hf download someone/model"):
        Grounder.from_pretrained("zero-shot-4bit:someone/model", device="cpu")


@pytest.mark.usefixtures("hf_home")
def test_clip_and_the_language_model_are_missed_at_once() -> None:
    for name, writer in (("zero-shot", WRITER), ("zero-shot:someone/model", "someone/model")):
        with pytest.raises(WeightsError, match=f"with `hf download {CLIP}` and `hf download {writer}` "):
            Grounder.from_pretrained(name, device="cpu")


@pytest.mark.usefixtures("hf_home")
def test_without_clip_there_is_nothing() -> None:
    with pytest.raises(WeightsError, match=f"hf download {CLIP}"):
        Grounder.from_pretrained("zero-shot:none", device="cpu")


@pytest.mark.parametrize("name", ["zero-shot-3bit", "zero-shot-", "zero-shots", "zero-shot:", "zero-shot-4bit8bit"])
def test_invalid_names_get_a_message_with_valid_ones(name: str) -> None:
    with pytest.raises(InputError, match='is not a training-free grounder; write "zero-shot"'):
        Grounder.from_pretrained(name, device="cpu")


@pytest.mark.parametrize(
    ("name", "writer", "bits"),
    [
        ("zero-shot", "llava-hf/llava-1.5-7b-hf", None),
        ("zero-shot-8bit", "llava-hf/llava-1.5-7b-hf", 8),
        ("zero-shot:someone/model", "someone/model", None),
        ("zero-shot-4bit:C:\\models\\mine", "C:\\models\\mine", 4),
        ("zero-shot:none", None, None),
    ],
)
def test_names(name: str, writer: str | None, bits: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ZeroShot, "from_pretrained", lambda **options: options)
    expected = {"writer": writer, "bits": bits, "device": CPU, "precision": torch.float32}
    assert ZeroShot.from_name(name, CPU, torch.float32) == expected
