"""Auxiliary losses about the words of every entity, on pictures small enough to count."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import torch

from esg.data.narrated import tell_scene
from esg.data.narration.facts import named_facts, photo_facts
from esg.models.gella.association import QueryMatching
from esg.training.auxiliary import WORDS, AuxiliaryOutput, auxiliary_losses, words_of


def test_words_of_entities_are_the_facts() -> None:
    (any_facts,) = photo_facts(np.zeros((2, 2, 3), np.uint8), np.ones((2, 2), np.int32))
    first, second = frozenset({"disc", "red", "striped"}), frozenset({"ring", "top"})
    facts = [
        dataclasses.replace(any_facts, kind="thing", noun="disc", clear=first, words=first),
        dataclasses.replace(any_facts, kind="thing", noun="ring", clear=second, words=second | {"large", "blue"}),
    ]
    truth = words_of(facts)
    assert truth.shape == (2, len(WORDS))
    said = [{word: int(value) for word, value in zip(WORDS, row) if value} for row in truth]
    assert said == [{"disc": 1, "red": 1, "striped": 1}, {"ring": 1, "top": 1, "large": -1, "blue": -1}]


def test_names_of_unnamed_entities_and_shapes_of_named_ones_are_unknown() -> None:
    (unnamed,) = photo_facts(np.zeros((2, 2, 3), np.uint8), np.ones((2, 2), np.int32))
    (named,) = named_facts(np.zeros((2, 2, 3), np.uint8), np.ones((2, 2), np.int32), ["dog"], {"dog"})
    first, second = ({word: int(value) for word, value in zip(WORDS, row)} for row in words_of([unnamed, named]))
    assert first["dog"] == first["sky"] == -1
    assert (first["area"], first["orange"], first["black"]) == (1, 0, 1)
    assert (second["dog"], second["cat"], second["area"], second["black"]) == (1, 0, -1, 1)


def test_every_word_of_a_picture_is_taught() -> None:
    for seed in range(8):
        told = tell_scene(seed, np.random.default_rng(seed), (64, 96))
        assert {word for fact in told.facts for word in fact.words} <= set(WORDS)
        assert [fact.id for fact in told.facts] == [number for number in np.unique(told.labels) if number]
    photo = np.random.default_rng(0).integers(0, 255, (20, 30, 3), np.uint8)
    facts = photo_facts(photo, np.arange(600).reshape(20, 30) // 200 + 1)
    assert {word for fact in facts for word in fact.words} <= set(WORDS)


def test_losses_ask_the_matched_queries_and_the_cells_of_an_entity() -> None:
    labels = torch.tensor([[1, 1, 2, 2]] * 4)[None]  # the left cells of 2 x 2 are entity 1, the right ones entity 2
    words = torch.zeros(2, len(WORDS), dtype=torch.int8)
    words[0, 0], words[1, 1], words[0, 2] = 1, 1, -1
    sure = torch.full((len(WORDS),), -30.0)
    one, two = sure.clone(), sure.clone()
    one[[0, 2]], two[1] = 30.0, 30.0  # word 2 is open to argument, so entity 1 may be told to have it
    ties = [QueryMatching(torch.tensor([2, 0]), torch.tensor([True, False]))]  # entity 2 is not reconstructed
    grid = torch.stack((one, two), 1)[None, :, None].expand(1, -1, 2, 2)
    wrong = torch.zeros(len(WORDS))
    right = auxiliary_losses(AuxiliaryOutput(torch.stack((wrong, wrong, one))[None], grid), ties, labels, [words])
    assert right["words"] < 1e-6
    assert right["seen"] < 1e-6
    asked = auxiliary_losses(AuxiliaryOutput(torch.stack((one, one, wrong))[None], grid.flip(3)), ties, labels, [words])
    assert math.isclose(asked["words"], (len(WORDS) - 1) * math.log(2), rel_tol=1e-4)
    assert asked["seen"] > 30  # the cells speak of the other entity


def test_an_entity_without_pixels_is_ignored() -> None:
    labels, words = torch.ones(1, 4, 4, dtype=torch.int32), torch.zeros(2, len(WORDS), dtype=torch.int8)
    ties = [QueryMatching(torch.tensor([-1, -1]), torch.tensor([False, False]))]
    told = AuxiliaryOutput(torch.zeros(1, 3, len(WORDS)), torch.zeros(1, len(WORDS), 2, 2))
    losses = auxiliary_losses(told, ties, labels, [words])
    assert losses["words"] == 0
    assert math.isclose(losses["seen"], len(WORDS) * math.log(2), rel_tol=1e-4)
    assert auxiliary_losses(told, ties, labels * 0, [words])["seen"] == 0  # no entity is left of the picture
