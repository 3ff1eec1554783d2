from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from text_sets import CAPTION, save_photo, write_png

from esg.data.narrated import tell_scene, tell_written
from esg.data.panoptic_narratives import PanopticNarratives
from esg.entities.entity_map import EntityMap
from esg.language.captions import DESCRIBE, EXTRACT, WORDINGS
from esg.models.gella.conversation import Conversation
from esg.segmenter import EntitySegmenter
from esg.support.errors import WeightsError
from esg.training.narratives import TASKS, NarrativeConfig, Narratives, encode

CONFIG = NarrativeConfig(batch=3, texts=2, sides=(64, 96))


@pytest.fixture
def narratives(speaker: Any) -> Narratives:
    return Narratives(CONFIG, *speaker)


def test_a_batch_is_a_function_of_seed_step_and_rank(speaker: Any, narratives: Narratives) -> None:
    again = Narratives(CONFIG, *speaker)
    a, b = narratives[5], again[5]
    assert torch.equal(a.pixels, b.pixels)
    assert torch.equal(a.colormaps, b.colormaps)
    assert [text.ids.tolist() for text in a.texts] == [text.ids.tolist() for text in b.texts]
    assert not torch.equal(a.pixels, Narratives(CONFIG, *speaker, rank=1)[5].pixels)
    assert a.pixels.shape == (3, 3, 16, 16)
    assert a.colormaps.shape == (3, 3, 64, 64)
    assert a.labels.shape == (3, 64, 64)
    assert a.pictures == [0, 0, 1, 1, 2, 2]
    assert len(a.texts) == len(a.truths) == 6
    assert a.texts[0].ids.tolist() != a.texts[1].ids.tolist()  # each says something else


@pytest.mark.parametrize("task", ["describe", "extract", "ground"])
def test_conversations_of_each_task(speaker: Any, task: str) -> None:
    config, tokenizer = speaker
    rng = np.random.default_rng(0)
    told = tell_scene(3, rng, CONFIG.sides)
    _, colours, labels, words, asked = encode(told, [task], Conversation(tokenizer, config.language), config, rng)
    ((text, truth),) = asked
    assert len(words) == labels.max()
    answer = text.ids[text.start :].tolist()
    mentions = told.narratives[0].mentions
    assert answer.count(config.language.seg_token) == (0 if task == "describe" else len(mentions))
    assert answer[-1] == config.language.end_token
    assert (truth is not None) == (task == "ground")
    if truth is not None:
        assert truth.shape == (len(mentions), int(told.labels.max()))
        for row, mention in zip(truth, mentions):
            assert (row.nonzero()[:, 0] + 1).tolist() == list(mention.entity_ids)
    colours_of = {tuple(colours[:, y, x].tolist()) for y, x in (labels == 0).nonzero().tolist()}
    assert colours_of <= {(0, 0, 0)}
    for number in labels.unique().tolist():
        assert len({tuple(colour) for colour in colours[:, labels == number].T.tolist()}) == 1


def test_questions_are_drawn_from_the_list_only_if_asked(speaker: Any) -> None:
    _, tokenizer = speaker

    def asked(wordings: bool) -> set[str]:
        questions = [question for own in WORDINGS.values() for question in own]
        samples = NarrativeConfig(batch=8, texts=4, tasks=(0.5, 0.5, 0.0), sides=(48, 48), wordings=wordings)
        prompts = (tokenizer.decode(text.ids[: text.start].tolist()) for text in Narratives(samples, *speaker)[0].texts)
        return {question for prompt in prompts for question in questions if question in prompt}

    assert asked(wordings=False) == {DESCRIBE, EXTRACT}
    assert len(asked(wordings=True)) > 8


def test_shares_of_tasks(speaker: Any) -> None:
    config = NarrativeConfig(batch=24, tasks=(0.5, 0.0, 0.5), sides=(48, 48))
    truths = Narratives(config, *speaker)[0].truths
    assert 4 <= sum(truth is None for truth in truths) <= 20
    language = NarrativeConfig(batch=2, tasks=(0.5, 0.5, 0.0), sides=(48, 48))
    assert all(truth is None for truth in Narratives(language, *speaker)[0].truths)


@pytest.mark.parametrize(("batch", "texts"), [(1, 1), (2, 1), (2, 3)])
def test_subtasks_are_mixed_as_configured_and_alike_on_all_devices(speaker: Any, batch: int, texts: int) -> None:
    first, second = (Narratives(NarrativeConfig(batch=batch, texts=texts), *speaker, rank=rank) for rank in (0, 1))
    steps = [first.tasks(step) for step in range(2000)]
    assert steps == [second.tasks(step) for step in range(2000)]
    assert all([len(own) for own in tasks] == [texts] * batch for tasks in steps)
    drawn = [task for tasks in steps for own in tasks for task in own]
    shares = [drawn.count(task) / len(drawn) for task in TASKS]
    assert shares == pytest.approx([0.2, 0.2, 0.6], abs=0.03)


def test_a_batch_has_the_drawn_tasks(speaker: Any) -> None:
    config = NarrativeConfig(batch=2, texts=2, sides=(48, 48))
    for rank in (0, 1):
        narratives = Narratives(config, *speaker, rank=rank)
        tasks = [[task for own in narratives.tasks(step) for task in own] for step in range(4)]
        assert {task for step in tasks for task in step} == {*TASKS}
        for step, expected in enumerate(tasks):
            batch = narratives[step]
            assert [truth is not None for truth in batch.truths] == [task == "ground" for task in expected]
            ends = [narratives.model.language.seg_token in text.ids[text.start :] for text in batch.texts]
            assert ends == [task != "describe" for task in expected]


# ------------------------------------------------------------------------------------------------- masks of a segmenter


def test_truth_is_transferred_to_the_given_masks(speaker: Any) -> None:
    config, tokenizer = speaker
    told = tell_scene(3, np.random.default_rng(0), CONFIG.sides)
    count = int(told.labels.max())
    given = np.array([0, 2, 1, *range(3, count), 0], np.int32)[told.labels]  # two change places, and the last is lost
    conversation = Conversation(tokenizer, config.language)
    ours = encode(told, ["ground"], conversation, config, np.random.default_rng(1), given)
    plain = encode(told, ["ground"], conversation, config, np.random.default_rng(1))
    _, _, labels, words, ((text, truth),) = ours
    _, _, _, true_words, ((true_text, true_truth),) = plain
    assert torch.equal(text.ids, true_text.ids)
    assert len(words) == truth.shape[1] == count - 1 >= labels.max()
    order = [1, 0, *range(2, count - 1)]
    assert torch.equal(truth, true_truth[:, order])
    assert torch.equal(words, true_words[order])
    assert true_truth[:, -1].any()  # what is meant by a noun may be lost


def test_words_are_unknown_for_a_mask_without_a_true_entity(speaker: Any) -> None:
    config, tokenizer = speaker
    told = tell_scene(3, np.random.default_rng(0), CONFIG.sides)
    given = np.ones_like(told.labels)
    given[:, ::2] = 2
    conversation = Conversation(tokenizer, config.language)
    _, _, _, words, _ = encode(told, ["ground"], conversation, config, np.random.default_rng(1), given)
    assert words.shape[0] == 2
    assert (words == -1).all()


@pytest.mark.parametrize(("share", "changed"), [(0.0, 0), (1.0, 8)])
def test_share_of_pictures_with_other_masks(speaker: Any, share: float, changed: int) -> None:
    true = Narratives(dataclasses.replace(CONFIG, batch=1), *speaker)
    noisy = Narratives(dataclasses.replace(CONFIG, batch=1, mask_noise=share), *speaker)
    batches = [(true[step], noisy[step]) for step in range(8)]
    assert all(torch.equal(one.pixels, other.pixels) for one, other in batches)
    assert sum(not torch.equal(one.labels, other.labels) for one, other in batches) == changed
    for _, batch in batches:
        for words, labels, truth in zip(batch.words, batch.labels, batch.truths):
            assert len(words) >= labels.max()
            assert truth is None or truth.shape[1] == len(words)


class Halves:
    """A segmenter that divides every picture in the middle."""

    def __call__(self, image: np.ndarray) -> EntityMap:
        height, width = image.shape[:2]
        return EntityMap.from_labels(
            np.repeat(np.int32([1, 2]), (width // 2, width - width // 2))[None].repeat(height, 0)
        )


def test_masks_of_a_segmenter(speaker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(EntitySegmenter, "from_pretrained", lambda name, **_: asked.append(name) or Halves())
    config = dataclasses.replace(CONFIG, batch=1, mask_noise=1.0, segmenter="some")
    batch = Narratives(config, *speaker)[0]
    true = Narratives(dataclasses.replace(config, mask_noise=0.0), *speaker)[0]
    assert asked == ["some"]  # and not where nobody needs it
    assert torch.equal(true.pixels, batch.pixels)
    assert batch.labels.unique().tolist() == [0, 1, 2]
    assert len(batch.words[0]) == 2


def test_where_a_segmenter_finds_nothing_the_true_masks_serve(speaker: Any) -> None:
    narratives = Narratives(dataclasses.replace(CONFIG, mask_noise=1.0), *speaker)
    narratives.segmenter = lambda image: EntityMap.from_labels(np.zeros(image.shape[:2], np.int32))  # type: ignore
    true = Narratives(dataclasses.replace(CONFIG, mask_noise=0.0), *speaker)
    assert torch.equal(narratives[0].labels[0], true[0].labels[0])


def test_a_missing_segmenter_is_reported_at_once(speaker: Any) -> None:
    config = dataclasses.replace(CONFIG, mask_noise=0.5, segmenter="missing.safetensors")
    with pytest.raises(WeightsError, match=r"missing\.safetensors"):
        Narratives(config, *speaker)


def test_narratives_of_people_train_all_tasks(speaker: Any, tmp_path: Path) -> None:
    config, tokenizer = speaker
    file = write_png(tmp_path)
    settings = dataclasses.replace(CONFIG, narratives=(str(file),), narrative_share=1.0, tasks=(0.0, 0.0, 1.0))
    batch = Narratives(settings, config, tokenizer)[0]
    truth = batch.truths[0]
    assert truth is not None
    assert truth.tolist() == [[False, True, True], [False, False, True], [True, False, False]]  # dogs, dog, sky
    told = tell_written(PanopticNarratives(file)[0], np.random.default_rng(0), 2)
    assert [one.caption for one in told.narratives] == [" ".join(CAPTION.split())] * 2
    described = dataclasses.replace(settings, tasks=(1.0, 0.0, 0.0))
    conversation = Conversation(tokenizer, config.language)
    expected = conversation.describe(" ".join(CAPTION.split()), question=DESCRIBE).ids
    assert Narratives(described, config, tokenizer)[0].texts[0].ids.tolist() == expected.tolist()


def test_captions_from_a_file_are_what_photos_are_described_with(speaker: Any, tmp_path: Path) -> None:
    config, tokenizer = speaker
    save_photo(tmp_path / "images/a.jpg", (8, 8))
    (tmp_path / "images").rename(tmp_path / "set")
    Image.fromarray(np.repeat([[1, 2]], 8, axis=0).repeat(4, axis=1).astype(np.uint8)).save(tmp_path / "set/a.png")
    captions = tmp_path / "captions.json"
    captions.write_text(json.dumps({"a.jpg": "A green wall."}))
    settings = dataclasses.replace(
        CONFIG,
        photos=(str(tmp_path / "set"),),
        photo_share=1.0,
        captions=(str(captions),),
        tasks=(1.0, 0.0, 0.0),
        augment=False,
    )
    expected = Conversation(tokenizer, config.language).describe("A green wall.", question=DESCRIBE).ids
    assert Narratives(settings, config, tokenizer)[0].texts[0].ids.tolist() == expected.tolist()
