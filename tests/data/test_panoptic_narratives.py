"""Files of Panoptic Narrative Grounding, with the oddities of the published ones."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from text_sets import CAPTION, NOUNS, write_png

from esg.data.panoptic_narratives import UNFIT, PanopticNarratives
from esg.support.errors import ImageError, InputError


def told(**other: Any) -> dict[str, Any]:
    return {"image_id": "139", "caption": CAPTION, "segments": NOUNS} | other


def test_nouns_have_their_place_in_the_caption_and_their_segments(tmp_path: Path) -> None:
    data = PanopticNarratives(write_png(tmp_path))
    assert (len(data), data.total, data.given) == (1, 1, 1)
    one = data[0]
    assert (one.photo.name, one.photo.size) == ("000000000139.jpg", (4, 6))
    assert one.photo.image().shape == (4, 6, 3)
    (narrative,) = one.narratives
    assert narrative.caption == "In this image, we can see two dogs. The dog's near the SKY."
    nouns = [(narrative.caption[slice(*noun.span)], noun) for noun in narrative.mentions]
    ids = [[one.photo.segments[number - 1].id for number in noun.entity_ids] for _, noun in nouns]
    assert one.labels.tolist() == [[1, 1, 1, 1, 0, 0], [2, 2, 3, 3, 0, 0]] * 2
    assert [text for text, _ in nouns] == ["two dogs", "The dog's", "SKY"]
    assert ids == [[70000, 5], [5], [300]]
    assert [(noun.kind, noun.plural) for _, noun in nouns] == [("thing", True), ("thing", False), ("stuff", False)]
    assert not data.problems
    assert not one.problems


def test_it_can_be_pickled_for_workers(tmp_path: Path) -> None:
    data = pickle.loads(pickle.dumps(PanopticNarratives(write_png(tmp_path))))  # noqa: S301 - for worker processes
    assert len(data[0].narratives[0].mentions) == 3


def test_the_kind_of_several_segments_is_that_of_the_last(tmp_path: Path) -> None:
    both = [{"utterance": "Dog and sky", "noun": True, "segment_ids": [5, 300], "plural": True}]
    file = write_png(tmp_path, [{"image_id": 139, "caption": "Dog and sky", "segments": both}])
    assert PanopticNarratives(file)[0].narratives[0].mentions[0].kind == "stuff"


def test_unusable_narratives_are_counted_and_named(tmp_path: Path) -> None:
    other_words = [{"utterance": "a cat", "noun": True, "segment_ids": [5], "plural": False}]
    lost = [{"utterance": CAPTION, "noun": True, "segment_ids": [5, 6], "plural": True}]
    file = write_png(
        tmp_path,
        [
            told(),
            told(image_id="140"),
            told(segments=other_words),
            told(caption=""),
            told(segments=NOUNS[:2]),
            told(segments=lost),
            "nonsense",
        ],
    )
    data = PanopticNarratives(file)
    assert (data.total, data.given) == (2, 7)
    assert list(data.problems) == [
        "narratives of photos that are not listed (2): number 1 of photo 140, number 6 of photo None",
        f"{UNFIT} (1): number 2 of photo 139",
        "narratives without a caption (1): number 3 of photo 139",
        "narratives without a noun that refers to a segment (1): number 4 of photo 139",
    ]
    one = data[0]
    assert len(one.narratives) == 1
    assert [problem.partition(" (")[0] for problem in one.problems] == [
        "nouns whose segments are missing",
        "narratives whose segments are missing",
    ]


def test_files_in_other_places_can_be_named(tmp_path: Path) -> None:
    file = write_png(tmp_path / "one")
    moved = tmp_path / "two" / "png_coco_val2017.json"
    moved.parent.mkdir()
    file.rename(moved)
    with pytest.raises(InputError, match=r"needs COCO's panoptic segments: panoptic_val2017\.json beside it"):
        PanopticNarratives(moved)
    panoptic = file.with_name("panoptic_val2017.json")
    data = PanopticNarratives(tmp_path / "two", panoptic, tmp_path / "one" / "val2017")
    assert data[0].photo.file == tmp_path / "one/val2017/000000000139.jpg"
    assert PanopticNarratives(moved, panoptic)[0].photo.file is not None


def test_the_folders_of_the_authors(tmp_path: Path) -> None:
    write_png(tmp_path, part="train2017")
    (tmp_path / "images").mkdir()
    (tmp_path / "train2017").rename(tmp_path / "images" / "train2017")
    data = PanopticNarratives(tmp_path)
    assert data[0].photo.file == tmp_path / "images/train2017/000000000139.jpg"
    assert data[0].photo.image().shape == (4, 6, 3)
    (tmp_path / "annotations/png_coco_train2017_dataloader.json").write_text("[]")  # made for the first baseline
    assert PanopticNarratives(tmp_path / "annotations").name == data.name
    write_png(tmp_path)
    assert Path(PanopticNarratives(tmp_path).name).name == "png_coco_val2017.json"


def test_wrong_files_are_one_sentence(tmp_path: Path) -> None:
    file = write_png(tmp_path / "one", [told(image_id=1)])
    with pytest.raises(
        InputError, match=r"narratives that can be used: narratives of photos that are not listed \(1\)"
    ):
        PanopticNarratives(file)
    file.write_text(json.dumps({"annotations": []}))
    with pytest.raises(InputError, match="is not a file of panoptic narratives"):
        PanopticNarratives(file)
    file.unlink()
    with pytest.raises(InputError, match=r"does not contain png_coco_val2017\.json"):
        PanopticNarratives(file.parent)
    with pytest.raises(InputError, match="cannot be read"):
        PanopticNarratives(file)


def test_a_segment_picture_of_another_size_names_itself(tmp_path: Path) -> None:
    data = PanopticNarratives(write_png(tmp_path))
    Image.fromarray(np.zeros((2, 2, 3), np.uint8)).save(
        tmp_path / "annotations/panoptic_segmentation/val2017/000000000139.png"
    )
    with pytest.raises(ImageError, match=r"000000000139\.png does not have the size of its photo"):
        data[0]
