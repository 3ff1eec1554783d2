from __future__ import annotations

import numpy as np

from esg.data.synth import make_scene
from esg.data.telling.told import NARRATED, tell_scene

SIDES = (64, 96)


def test_entities_of_a_mention_are_those_of_the_scene_under_other_numbers() -> None:
    told = tell_scene(11, np.random.default_rng(0), SIDES)
    height, width = told.labels.shape
    scene = make_scene(11, height, width, NARRATED)
    assert np.array_equal(told.image, scene.image)
    pairs = np.unique(np.stack((told.labels.ravel(), scene.labels.ravel())), axis=1)
    assert pairs.shape[1] == len(np.unique(told.labels)) == len(np.unique(scene.labels))  # one to one
    for mention in told.narratives[0].mentions:
        assert set(mention.entity_ids) <= set(np.unique(told.labels).tolist())
        assert mention.plural == (len(mention.entity_ids) > 1)


def test_referring_expressions_are_one_mention_each() -> None:
    told = tell_scene(0, np.random.default_rng(0), SIDES, refers=[True, False, True])
    one, narrative, other = told.narratives
    for expression in (one, other):
        (mention,) = expression.mentions
        assert mention.span == (0, len(expression.caption))
        assert len(mention.entity_ids) == 1
    assert len(narrative.mentions) > 1
