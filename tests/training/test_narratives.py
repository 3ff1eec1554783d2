from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from esg.data.telling.told import tell_scene
from esg.gella.conversation import Conversation
from esg.training.narratives import NarrativeConfig, Narratives, encode

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
def test_what_is_asked(speaker: Any, task: str) -> None:
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


def test_shares_of_tasks(speaker: Any) -> None:
    config = NarrativeConfig(batch=24, tasks=(0.5, 0.0, 0.5), sides=(48, 48))
    truths = Narratives(config, *speaker)[0].truths
    assert 4 <= sum(truth is None for truth in truths) <= 20
    language = NarrativeConfig(batch=2, tasks=(0.5, 0.5, 0.0), sides=(48, 48))
    assert all(truth is None for truth in Narratives(language, *speaker)[0].truths)


def test_every_batch_is_grounded_in_part_where_there_is_grounding(speaker: Any) -> None:
    config = NarrativeConfig(batch=2, tasks=(0.49, 0.49, 0.02), sides=(48, 48))
    narratives = Narratives(config, *speaker)
    assert all(any(truth is not None for truth in narratives[step].truths) for step in range(6))
