from __future__ import annotations

import json
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage

Nodes = Callable[[str], Any]
ImpactSeg = namedtuple(
    "SEG", "cropped_image cropped_mask confidence crop_region bbox label control_net_wrapper", defaults=[None]
)


@pytest.fixture
def one(entities: Any) -> Any:
    """Of one picture."""
    return type(entities)(entities.maps[:1], (None,))


def test_masks_as_a_batch_and_as_a_list(nodes: Nodes, entities: Any) -> None:
    batch, listed = nodes("EntitiesToMasks").convert(entities)
    assert batch.shape == (4, 40, 60)
    assert len(listed) == 4
    for k, mask in enumerate(listed):
        assert mask.shape == (1, 40, 60)
        assert np.array_equal(mask[0].numpy() > 0, entities.maps[0].labels == k + 1)


def test_segs_there_and_back(nodes: Nodes, one: Any) -> None:
    (segs,) = nodes("EntitiesToSegs").convert(one, 1.5)
    (height, width), items = segs
    assert (height, width) == (40, 60)
    assert [seg.bbox for seg in items] == [(0, 0, 30, 20), (30, 0, 60, 20), (0, 20, 30, 40), (30, 20, 60, 40)]
    assert items[3].crop_region == (22, 15, 60, 40)
    assert items[3].cropped_mask.shape == (25, 38)
    assert items[3].cropped_mask.sum() == 600
    assert [round(seg.confidence, 3) for seg in items] == [0.7, 0.6, 0.5, 0.4]
    assert items[0]._fields == ImpactSeg._fields
    (back,) = nodes("SegsToEntities").convert(segs, 0.5)
    assert back.maps == one.maps


def test_labels_of_segs_are_phrases_both_ways(nodes: Nodes, one: Any, core: Any) -> None:
    masks = [np.zeros((4, 4), np.float32) for _ in range(3)]
    masks[0][:], masks[1][:2], masks[2][3] = 1, 0.9, 1
    items = [
        ImpactSeg(None, mask, confidence, (2, 0, 6, 4), (2, 0, 6, 4), label)
        for mask, confidence, label in zip(masks, (0.5, np.array([0.9]), 0.7), ("dog", "cat", "dog"))
    ]
    (found,) = nodes("SegsToEntities").convert(((4, 8), items), 0.5)
    assert found.maps[0].labels.tolist() == [[0, 0, 1, 1, 1, 1, 0, 0]] * 2 + [[0, 0, 3, 3, 3, 3, 0, 0]] + [
        [0, 0, 2, 2, 2, 2, 0, 0]
    ]
    phrases = {phrase.text: phrase.entity_ids for phrase in found.groundings[0].phrases}
    assert phrases == {"cat": (1,), "dog": (2, 3)}
    (segs,) = nodes("EntitiesToSegs").convert(found, 1)
    assert [seg.label for seg in segs[1]] == ["cat", "dog", "dog"]


def test_no_segs_and_things_that_are_none(nodes: Nodes, core: Any) -> None:
    (found,) = nodes("SegsToEntities").convert(((3, 5), []), 0.5)
    assert found.maps[0].labels.tolist() == [[0] * 5] * 3
    assert found.groundings == (None,)
    for wrong in (None, 3, [], ((3, 5), [1]), "segs"):
        with pytest.raises(core.InputError, match=r"segs is not SEGS|of SEG 1 cannot be read"):
            nodes("SegsToEntities").convert(wrong, 0.5)


def test_cropped_masks_of_segs_may_have_an_axis_more(nodes: Nodes, one: Any) -> None:
    (segs,) = nodes("EntitiesToSegs").convert(one, 3.0)
    more = (segs[0], [seg._replace(cropped_mask=torch.from_numpy(seg.cropped_mask)[None]) for seg in segs[1]])
    assert nodes("SegsToEntities").convert(more, 0.5)[0].maps == one.maps


def test_a_seg_beyond_the_border_is_cut_off_and_an_odd_one_left_out(
    nodes: Nodes, part: Callable[[str], Any], core: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(part("host").PlainHost, "say", lambda self, text: said.append(text))
    seg = part("segs").SEG
    mask = np.ones((4, 6), np.float32)
    over = [
        seg(None, mask, 0.9, (-2, -1, 4, 3), (0, 0, 4, 3), "corner", None),
        seg(None, mask, 0.8, (17, 8, 23, 12), (17, 8, 20, 10), "other corner", None),
        seg(None, mask[..., None], 0.7, (8, 4, 14, 8), (8, 4, 14, 8), "inside", None),
        seg(None, mask, 0.6, (30, 4, 36, 8), (30, 4, 36, 8), "outside", None),
    ]
    odd = [
        seg(None, None, 0.5, (0, 0, 6, 4), (0, 0, 6, 4), "no mask", None),
        seg(None, mask, None, None, None, "", None),
    ]
    (found,) = nodes("SegsToEntities").convert(((10, 20), over), 0.5)
    assert found.names == (["corner", "other corner", "inside"],)
    assert found.maps[0].boxes.tolist() == [[0, 0, 4, 3], [17, 8, 20, 10], [8, 4, 14, 8]]
    assert said == [""]
    (same,) = nodes("SegsToEntities").convert(((10, 20), [odd[0], *over, odd[1]]), 0.5)
    assert same.maps == found.maps
    assert said[-1].startswith("Skipped: the mask, score or region of SEG 1")
    assert "SEG 6" in said[-1]
    with pytest.raises(core.InputError, match=r"These SEGS cannot be used: .* of SEG 1 cannot be read"):
        nodes("SegsToEntities").convert(((10, 20), odd), 0.5)


def test_segs_are_of_one_picture(nodes: Nodes, entities: Any, core: Any) -> None:
    with pytest.raises(core.InputError, match="these entities are of 2 pictures"):
        nodes("EntitiesToSegs").convert(entities, 3)


def test_label_maps(nodes: Nodes, entities: Any, core: Any) -> None:
    (numbers,) = nodes("EntitiesToLabelMap").convert(entities, "numbers")
    assert np.array_equal((numbers[0, ..., 1] * 255).round().numpy(), entities.maps[0].labels)
    (colours,) = nodes("EntitiesToLabelMap").convert(entities, "colours")
    assert len(colours[0].reshape(-1, 3).unique(dim=0)) == 4
    assert not colours[1].any()
    many = core.EntityMap.from_labels(np.arange(1, 257, dtype=np.int32).reshape(16, 16))
    with pytest.raises(core.InputError, match="The highest number is 256"):
        nodes("EntitiesToLabelMap").convert(type(entities).of([many]), "numbers")


def test_coco_is_saved_once_a_picture(
    nodes: Nodes, entities: Any, core: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for number in range(2):
        found = nodes("SaveCoco").save(entities, "../../mine")
        names = [Path(path).name for path in found["ui"]["text"]]
        assert names == [f"mine_{2 * number + 1:05}_.json", f"mine_{2 * number + 2:05}_.json"]
    assert core.EntityMap.from_coco(tmp_path / "out/mine_00001_.json") == entities.maps[0]
    assert core.EntityMap.from_coco(json.loads(found["result"][0])) == entities.maps[0]
    assert len([*tmp_path.rglob("*.json")]) == 4


def test_masks_become_entities_by_size(nodes: Nodes, core: Any) -> None:
    masks = torch.zeros(3, 4, 6)
    masks[0, 0, :2], masks[1, 2:], masks[1, 0] = 1, 0.6, 0.4
    (found,) = nodes("MasksToEntities").convert(masks, 0.5, False)
    assert found.maps[0].labels.tolist() == [[2, 2, 0, 0, 0, 0], [0] * 6, [1] * 6, [1] * 6]


def test_masks_of_another_size_and_pieces_of_a_painted_one(nodes: Nodes, image: torch.Tensor) -> None:
    painted = torch.zeros(1, 20, 30)
    painted[0, :5, :5] = painted[0, 10:, 20:] = 1
    (whole,) = nodes("MasksToEntities").convert(painted, 0.5, False, image)
    assert whole.maps[0].labels.shape == (40, 60)
    assert len(whole.maps[0]) == 1
    (pieces,) = nodes("MasksToEntities").convert(painted, 0.5, True, image)
    assert len(pieces.maps[0]) == 2
    assert np.array_equal(pieces.maps[0].labels > 0, whole.maps[0].labels > 0)


def test_pieces_of_masks_that_overlap_are_laid_as_masks_of_their_own_are(nodes: Nodes, core: Any) -> None:
    noise = torch.rand(3, 24, 32, generator=torch.Generator().manual_seed(0)) > 0.6
    (found,) = nodes("MasksToEntities").convert(noise.float(), 0.5, True)
    pieces = []
    for mask in noise.numpy():
        labels, count = ndimage.label(mask, np.ones((3, 3)))
        pieces += [labels == k for k in range(1, count + 1)]
    assert len(pieces) > 20
    assert found.maps[0] == core.EntityMap.from_masks(pieces)


def test_an_empty_mask_is_no_entity(nodes: Nodes) -> None:
    (found,) = nodes("MasksToEntities").convert(torch.zeros(1, 4, 6), 0.5, True)
    assert len(found.maps[0]) == 0


def test_boxes_of_entities_can_be_picked_again(nodes: Nodes, entities: Any, core: Any) -> None:
    phrases = (core.Phrase("dog", (0, 3), (2,), (0.9,)),)
    grounded = type(entities).of(entities.maps, [core.Grounding("dog", phrases), None])
    (boxes,) = nodes("EntitiesToBoxes").convert(grounded)
    assert [len(of_picture) for of_picture in boxes] == [4, 0]
    second = boxes[0][1]
    assert (second["x"], second["y"], second["width"], second["height"]) == (30, 0, 30, 20)
    assert (second["label"], boxes[0][0]["label"]) == ("dog", "1")
    assert second["score"] == pytest.approx(0.6)
    for k, box in enumerate(boxes[0], start=1):
        assert core.choose(entities.maps[0], [box]) == [k]


def test_a_cut_out_is_transparent_around_what_is_kept(nodes: Nodes, core: Any) -> None:
    image = torch.rand(1, 20, 30, 3)
    masks = torch.zeros(3, 20, 30)
    masks[0, 5:9, 10:16] = 0.5
    masks[2, :, :2] = 1
    cut, alphas = nodes("CutOut").cut_out(image, masks, True, 2)
    assert [one.shape for one in cut] == [(1, 8, 10, 4), (1, 20, 4, 4)]  # an empty mask is left out
    assert torch.equal(cut[0][..., :3], image[:, 3:11, 8:18])
    assert torch.equal(cut[0][..., 3], masks[:1, 3:11, 8:18])
    assert torch.equal(alphas[1], masks[2:, :, :4])
    whole, _ = nodes("CutOut").cut_out(image, masks[:1], False, 2)
    assert torch.equal(whole[0], torch.cat([image, masks[:1, ..., None]], dim=-1))
    with pytest.raises(core.InputError, match="The mask is empty"):
        nodes("CutOut").cut_out(image, torch.zeros(1, 20, 30), True, 0)
    with pytest.raises(core.InputError, match="3 masks do not fit 2 pictures"):
        nodes("CutOut").cut_out(image.repeat(2, 1, 1, 1), masks, True, 0)


def test_masks_of_a_list_of_pictures_keep_to_their_pictures(nodes: Nodes, core: Any, entities: Any) -> None:
    few = core.EntityMap.from_labels(np.pad(np.ones((6, 8), np.int32), ((4, 20), (10, 32))))
    two = [type(entities).of([one]) for one in (entities.maps[0], few)]
    images = [torch.rand(1, *one.maps[0].labels.shape, 3) for one in two]
    batches, masks = nodes("EntitiesToMasks").convert_lists(entities=two)
    assert [len(batch) for batch in batches] == [4, 1]
    cuts, _ = nodes("CutOut").cut_out_lists(image=images, mask=masks, crop=[False], margin=[0])
    assert [cut.shape[1:3] for cut in cuts] == [(40, 60)] * 4 + [(30, 50)]
    assert torch.equal(cuts[4][0, ..., 3], torch.from_numpy(few.labels > 0).float())
    (soft,) = nodes("RefineEdges").refine_lists(image=images, mask=masks, width=[0], contrast=[0.03])
    assert [mask.shape[1:] for mask in soft] == [(40, 60)] * 4 + [(30, 50)]
    for node in map(nodes, ("CutOut", "RefineEdges", "InpaintOpenCV")):
        given = {name: [options.get("default")] for name, (_, options) in node.INPUT_TYPES()["required"].items()}
        given |= {"image": images, "mask": [mask * 1 for mask in masks]}
        with pytest.raises(core.InputError, match="list of 5 masks does not fit a list of 2 pictures"):
            getattr(node, node.FUNCTION)(**given)
