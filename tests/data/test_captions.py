"""Captions from every kind of JSON, attached to photos."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from text_sets import write_wild

from esg.data.captions import Captions, WithCaptions, WrittenCaption
from esg.data.wild import WildSets
from esg.support.errors import InputError


def read(folder: Path, content: Any) -> Captions:
    path = folder / "captions.json"
    path.write_text(json.dumps(content))
    return Captions(path)


def texts(captions: Captions) -> dict[str, list[str]]:
    return {photo: [one.text for one in own] for photo, own in captions.items()}


def test_captions_of_coco(tmp_path: Path) -> None:
    content = {
        "images": [{"id": 9, "file_name": "COCO_val2014_000000000009.jpg"}],
        "annotations": [
            {"image_id": 9, "id": 1, "caption": "A  dog.\n"},
            {"image_id": 9, "id": 2, "caption": "A pet."},
            {"image_id": "000000000139", "id": 3, "caption": "A cat."},
            {"image_id": 9, "id": 4, "caption": ""},
            {"id": 5, "caption": "Of nobody."},
        ],
    }
    captions = read(tmp_path, content)
    assert texts(captions) == {"COCO_val2014_000000000009": ["A dog.", "A pet."], "139": ["A cat."]}
    assert list(captions.problems) == [
        "photos without a caption (1): COCO_val2014_000000000009.jpg",
        "captions without a photo (1): number 4",
    ]


def test_conversations_of_llava(tmp_path: Path) -> None:
    caption = "A dog near the door."
    turns = [
        {"from": "human", "value": "<image>\nPlease help me describe the image."},
        {"from": "gpt", "value": caption},
        {"from": "human", "value": f"Please extract each semantic noun. The sentence is {caption}"},
        {"from": "gpt", "value": "There are three semantic nouns, including dog <SEG>, door <SEG> and moon <SEG>."},
        {"from": "human", "value": "What colour is it?"},
        {"from": "gpt", "value": "Brown."},
    ]
    only_nouns = [
        {"from": "human", "value": "<image>\nList the nouns. The sentence is <Two Cats.>"},
        {"from": "gpt", "value": "There is one semantic noun, including two cats <SEG>."},
    ]
    captions = read(
        tmp_path,
        [
            {"id": "1", "image": "coco/train2017/000000000033.jpg", "conversations": turns},
            {"id": "2", "image": "b.jpg", "conversations": only_nouns},
            {"id": "3", "conversations": turns},
            {"id": "4", "image": "c.jpg", "conversations": []},
        ],
    )
    assert dict(captions) == {
        "33": (WrittenCaption(caption, ((2, 5), (15, 19))),),
        "b": (WrittenCaption("Two Cats.", ((0, 8),)),),
    }
    assert list(captions.problems) == [
        "conversations of which only the first answer is used (1): coco/train2017/000000000033.jpg",
        "nouns that do not occur in their caption (1): 'moon' of coco/train2017/000000000033.jpg",
        "entries without an image (1): number 2",
        "photos without a caption (1): c.jpg",
    ]


@pytest.mark.parametrize(
    "content",
    [
        {"in/a.jpg": "A dog."},
        {"a.jpg": ["A dog."]},
        {"a.jpg": {"captions": ["A dog."]}},
        [{"image": "a.jpg", "caption": "A dog."}],
        [{"file_name": "a.png", "captions": ["A dog."]}],
    ],
)
def test_plain_lists(tmp_path: Path, content: Any) -> None:
    assert dict(read(tmp_path, content)) == {"a": (WrittenCaption("A dog."),)}


def test_json_lines_with_nouns(tmp_path: Path) -> None:
    lines = [
        {"image": f"{name}.jpg", "caption": "A dog.", "nouns": nouns} for name, nouns in (("a", ["dog"]), ("b", []))
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, lines)))
    found = Captions(tmp_path / "a.jsonl")
    assert [one.nouns for own in found.values() for one in own] == [((2, 5),), ()]


@pytest.mark.parametrize("content", [{}, [], 3, {"a.jpg": 5}, {"annotations": []}, [{"image": "a.jpg"}]])
def test_files_without_captions_are_one_sentence(tmp_path: Path, content: Any) -> None:
    with pytest.raises(InputError, match=r"captions\.json does not contain captions of photos"):
        read(tmp_path, content)


def test_they_can_be_attached_to_any_photos(tmp_path: Path) -> None:
    photos = WildSets(write_wild(tmp_path, "Hand", ["Hand"], [])).open("Hand")
    attached = WithCaptions(photos, read(tmp_path, {"000.jpg": [{"caption": "A hand.", "nouns": ["hand"]}]}))
    assert attached[0].captions == ("A hand.",)
    assert attached.texts(0) == (WrittenCaption("A hand.", ((2, 6),)),)
    assert attached.written == ("A hand.",)
    assert [one.name for one in attached.categories] == ["Hand"]
    assert pickle.loads(pickle.dumps(attached))[0].captions == ("A hand.",)  # noqa: S301 - for worker processes
    other = WithCaptions(photos, read(tmp_path, {"b.jpg": "A cat."}))
    assert other[0].captions == other.texts(0) == ()
