"""Synthetic scenes: reproducible, exactly labelled, the same at every resolution."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from esg.data.scenes.layout import SceneConfig
from esg.data.scenes.synth import HELD_OUT, make_batch, make_scene

SEEDS = tuple(range(12))


@pytest.mark.parametrize("seed", SEEDS)
def test_labels_partition_the_picture_into_contiguous_ids(seed: int) -> None:
    scene = make_scene(seed, 96, 128)
    assert scene.image.shape == (96, 128, 3)
    assert scene.image.dtype == np.uint8
    assert scene.labels.shape == (96, 128)
    assert scene.labels.dtype == np.int32
    assert np.array_equal(np.unique(scene.labels), np.arange(1, len(scene.entities) + 1))
    assert 3 <= len(scene.entities) <= 40
    for entity in scene.entities:
        ys, xs = np.nonzero(scene.labels == entity.id)
        assert entity.area == len(ys) >= 12
        assert entity.box == (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)


def test_scenes_are_reproducible_and_differ_between_seeds() -> None:
    first, again, other = make_scene(7, 64, 64), make_scene(7, 64, 64), make_scene(HELD_OUT + 7, 64, 64)
    assert np.array_equal(first.image, again.image)
    assert np.array_equal(first.labels, again.labels)
    assert first.entities == again.entities
    assert first.relations == again.relations
    assert not np.array_equal(first.image, other.image)


def test_batch_equals_single_scenes() -> None:
    images, labels = make_batch([3, 4], 64, 96)
    assert images.shape == (2, 3, 64, 96)
    assert images.dtype == torch.uint8
    assert labels.shape == (2, 64, 96)
    assert labels.dtype == torch.int32
    for k, seed in enumerate((3, 4)):
        scene = make_scene(seed, 64, 96)
        assert np.array_equal(images[k].permute(1, 2, 0).numpy(), scene.image)
        assert np.array_equal(labels[k].numpy(), scene.labels)


@pytest.mark.parametrize("seed", SEEDS[:6])
def test_same_scene_at_another_resolution(seed: int) -> None:
    small, large = make_scene(seed, 100, 120), make_scene(seed, 300, 360)
    sampled = large.labels[1::3, 1::3]  # the centres of the small picture's pixels
    matched = 0
    for entity in small.entities:
        mask = small.labels == entity.id
        partner = np.bincount(sampled[mask]).argmax()
        assert large.entities[partner - 1].name == entity.name
        matched += np.count_nonzero(mask & (sampled == partner))
    assert matched / sampled.size > 0.98
    # The pictures agree too, up to noise and detail.
    coarse = large.image.reshape(20, 15, 24, 15, 3).mean((1, 3)) - small.image.reshape(20, 5, 24, 5, 3).mean((1, 3))
    assert np.abs(coarse).mean() < 5


def test_boundaries_in_the_picture_lie_where_the_labels_say() -> None:
    """Between entities the picture changes much more than inside of them."""
    across, inside = [], []
    for seed in SEEDS:
        scene = make_scene(seed, 128, 128)
        change = np.abs(np.diff(scene.image.astype(np.float32), axis=1)).mean(2)
        border = scene.labels[:, 1:] != scene.labels[:, :-1]
        across.append(change[border].mean())
        inside.append(change[~ndimage.binary_dilation(border, iterations=2)].mean())
    assert np.mean(across) > 2.5 * np.mean(inside)


def test_thin_structures_are_single_entities_with_much_outline() -> None:
    config = SceneConfig(thin=1.0, things=(6, 8), size=(0.3, 0.6), blurred=0.0, nested=0.0, grouped=0.0)
    railings = []
    for seed in range(12):
        scene = make_scene(seed, 192, 192, config)
        for entity in scene.entities:
            if entity.name in ("railing", "net", "grille", "wires"):
                railings.append(scene.labels == entity.id)
    assert len(railings) >= 5
    for mask in railings:
        core = ndimage.binary_erosion(mask, np.ones((3, 3)), iterations=3)
        assert core.sum() < 0.25 * mask.sum()
    posts = [ndimage.label(~mask)[1] for mask in railings]
    assert max(posts) >= 6  # the gaps between the posts show something else


@pytest.mark.parametrize("seed", SEEDS)
def test_relations_agree_with_boxes_and_order(seed: int) -> None:
    scene = make_scene(seed, 128, 128)
    for a, relation, b in scene.relations:
        first, second = scene.entities[a - 1], scene.entities[b - 1]
        assert first.kind == second.kind == "thing"
        if relation == "left of":
            assert first.box[2] <= second.box[0]
        elif relation == "above":
            assert first.box[3] <= second.box[1]
        else:
            assert relation in ("inside", "in front of")
            assert a > b


def test_every_kind_of_relation_occurs() -> None:
    found = {relation for seed in range(20) for _, relation, _ in make_scene(seed, 96, 96).relations}
    assert found == {"left of", "above", "inside", "in front of"}


def test_words_for_captions() -> None:
    entities = [entity for seed in range(20) for entity in make_scene(seed, 144, 144).entities]
    assert {e.kind for e in entities} == {"thing", "stuff"}
    assert {e.size for e in entities} == {"tiny", "small", "medium", "large"}
    assert len({e.colour for e in entities}) >= 8
    assert len({e.texture for e in entities}) >= 10
    assert len({e.name for e in entities}) >= 20


@pytest.mark.gpu
def test_same_layout_on_a_gpu() -> None:
    images, labels = make_batch([1, 2], 96, 96, "cuda")
    assert images.device.type == labels.device.type == "cuda"
    for k, seed in enumerate((1, 2)):
        assert (labels[k].cpu().numpy() == make_scene(seed, 96, 96).labels).mean() > 0.99
