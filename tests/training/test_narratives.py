from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from text_sets import CAPTION, NOUNS, reference, save_photo, shape, write_png, write_reason, write_refcoco

from esg.data.narrated import tell_scene, tell_written
from esg.data.panoptic_narratives import PanopticNarratives
from esg.entities import rle
from esg.entities.entity_map import EntityMap
from esg.language.captions import DESCRIBE, EXTRACT, WORDINGS
from esg.models.gella.conversation import Conversation
from esg.segmenter import EntitySegmenter
from esg.support.errors import ImageError, InputError, WeightsError
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


# ------------------------------------------------------------------------------------------- expressions and questions


def _expressions(*folders: Path, **others: Any) -> NarrativeConfig:
    settings = dataclasses.replace(CONFIG, batch=1, texts=1, tasks=(0.0, 0.0, 1.0), expression_share=1.0)
    return dataclasses.replace(settings, expressions=tuple(map(str, folders)), **others)


def test_expressions_refer_to_their_object(speaker: Any, tmp_path: Path) -> None:
    config, tokenizer = speaker
    said = [reference(1, 1, "train", "left dog"), reference(2, 2, "train", "the dog at the right")]
    folder = write_refcoco(tmp_path / "refcoco", [*said, reference(3, 1, "val", "another dog")])
    narratives = Narratives(_expressions(folder), config, tokenizer)
    conversation = Conversation(tokenizer, config.language)
    sides = {}
    for step in range(12):
        batch = narratives[step]
        ((truth,), (text,), labels) = batch.truths, batch.texts, batch.labels[0]
        assert truth is not None
        assert truth.shape == (1, 2)
        (meant,) = truth[0].nonzero()[:, 0].tolist()
        for one in ("left dog", "the dog at the right"):
            if text.ids.tolist() == conversation.extract(one, [(0, len(one))], question=EXTRACT).ids.tolist():
                sides[one] = float((labels == meant + 1).nonzero()[:, 1].float().mean())
    assert set(sides) == {"left dog", "the dog at the right"}  # the expression for "val" is not used
    assert sides["left dog"] < 32 < sides["the dog at the right"]


def _questions(folder: Path, masks: list[tuple[slice, slice]]) -> tuple[Path, Path]:
    """ReasonSeg with one training photo whose answer is its left half, and a label map of other masks."""
    shapes = [shape("target", 0, 0, 19, 29), shape("ignore", 30, 0, 39, 9)]
    (folder / "reason/train").mkdir(parents=True)
    write_reason(folder / "reason/train", "a", ["What holds water?"], shapes)
    labels = np.zeros((30, 40), np.uint8)
    for number, place in enumerate(masks, start=1):
        labels[place] = number
    (folder / "masks").mkdir()
    Image.fromarray(labels).save(folder / "masks/a.png")
    return folder / "reason", folder / "masks"


def test_answers_are_the_given_masks_inside_of_them(speaker: Any, tmp_path: Path) -> None:
    ignored, right, left = (slice(0, 10), slice(30, 40)), (slice(12, 30), slice(18, 40)), (slice(0, 12), slice(2, 20))
    folder, masks = _questions(tmp_path, [ignored, right, left])
    batch = Narratives(_expressions(folder, masks=str(masks)), *speaker)[0]
    (truth,) = batch.truths
    assert truth is not None
    assert truth.tolist() == [[False, True]]  # the mask in the ignored area is no entity
    assert batch.labels[0, 10, 20] == 2  # of 64x64 pixels: the left one
    assert batch.labels[0, 5, 60] == 0


def test_questions_need_masks_and_an_entity_that_is_meant(speaker: Any, tmp_path: Path) -> None:
    folder, masks = _questions(tmp_path, [(slice(0, 30), slice(25, 40))])
    with pytest.raises(InputError, match=r"train outlines only the answers, .* give --segmenter or --masks"):
        Narratives(_expressions(folder), *speaker)
    with pytest.raises(ImageError, match="100 photos in a row cannot be used: nothing in them is labelled"):
        Narratives(_expressions(folder, masks=str(masks)), *speaker)[0]
    with pytest.raises(InputError, match="Give a segmenter or files of masks, not both"):
        Narratives(_expressions(folder, masks=str(masks), segmenter="cropformer-nano"), *speaker)


def test_some_questions_are_answered_in_words(speaker: Any, tmp_path: Path) -> None:
    config, tokenizer = speaker
    folder, masks = _questions(tmp_path, [(slice(0, 30), slice(0, 20))])
    (folder / "explanatory").mkdir()
    entries = [{"image": "a.jpg", "query": "What holds water?", "outputs": "The cup, because it is hollow."}]
    (folder / "explanatory/train.json").write_text(json.dumps(entries))
    settings = _expressions(folder, masks=str(masks), tasks=(1.0, 0.0, 0.0))
    batch = Narratives(settings, config, tokenizer)[0]
    expected = Conversation(tokenizer, config.language).ask("What holds water?", "The cup, because it is hollow.")
    assert batch.texts[0].ids.tolist() == expected.ids.tolist()
    assert batch.texts[0].start == expected.start < len(expected.ids)
    assert batch.truths == [None]


# --------------------------------------------------------------------------------------------------- masks from files


def _halves_file(folder: Path) -> Path:
    """COCO results for write_png's photo: its left and right half, which touch."""
    halves = [np.arange(6)[None].repeat(4, 0) < 3, np.arange(6)[None].repeat(4, 0) >= 3]
    packed = [rle.encode_mask(one) for one in halves]
    results = [{"image_id": 139, "segmentation": one, "score": 0.5 + place} for place, one in enumerate(packed)]
    (folder / "results.json").write_text(json.dumps(results))
    return folder / "results.json"


def _halves_folder(folder: Path) -> Path:
    (folder / "maps").mkdir()
    Image.fromarray(np.repeat([[2, 2, 2, 1, 1, 1]], 4, axis=0).astype(np.uint8)).save(folder / "maps/000000000139.png")
    return folder / "maps"


@pytest.mark.parametrize("write", [_halves_file, _halves_folder])
def test_masks_from_files_replace_the_true_ones(speaker: Any, tmp_path: Path, write: Any) -> None:
    file = write_png(tmp_path)
    settings = dataclasses.replace(
        CONFIG, batch=1, texts=1, tasks=(0.0, 0.0, 1.0), narratives=(str(file),), narrative_share=1.0, mask_noise=1.0
    )
    batch = Narratives(dataclasses.replace(settings, masks=str(write(tmp_path))), *speaker)[0]
    # The photo fills the 64 columns and 43 rows of the square; the right half comes first: it has the higher score.
    assert torch.equal(batch.labels[0, :42].unique(dim=0), torch.tensor([[2] * 32 + [1] * 32], dtype=torch.int32))
    true = Narratives(settings, *speaker)[0]
    assert not torch.equal(true.labels, batch.labels)


def test_photos_without_masks_are_named(speaker: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file, masks = write_png(tmp_path), _halves_folder(tmp_path)
    (masks / "000000000139.png").rename(masks / "other.png")
    settings = dataclasses.replace(CONFIG, batch=1, narratives=(str(file),), narrative_share=1.0, mask_noise=1.0)
    with pytest.raises(ImageError, match=r"100 photos in a row cannot be used: .*maps does not have masks of 0000"):
        Narratives(dataclasses.replace(settings, masks=str(masks)), *speaker)[0]
    assert len(caplog.records) == 1  # not a hundred
    with pytest.raises(InputError, match="nowhere does not exist"):
        Narratives(dataclasses.replace(settings, masks=str(tmp_path / "nowhere")), *speaker)


def test_what_is_left_out_of_texts_and_masks_is_said_once(
    speaker: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = write_png(tmp_path, [{"image_id": "139", "caption": CAPTION, "segments": NOUNS}, {}])
    results = json.loads(_halves_file(tmp_path).read_text())
    (tmp_path / "results.json").write_text(json.dumps([*results, {**results[0], "score": math.nan}]))
    settings = dataclasses.replace(CONFIG, batch=1, narratives=(str(file),), narrative_share=1.0, mask_noise=1.0)
    narratives = Narratives(dataclasses.replace(settings, masks=str(tmp_path / "results.json")), *speaker)
    for step in range(3):
        assert narratives[step].labels.any()
    assert [record.getMessage().removeprefix(f"{tmp_path}/") for record in caplog.records] == [
        f"{file.relative_to(tmp_path)} has narratives of photos that are not listed, such as number 1 of photo None.",
        "results.json has predictions whose score is not a number, such as number 2 of 000000000139.jpg.",
    ]


def test_a_broken_photo_is_left_out_and_named(speaker: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("a", "b"):
        save_photo(tmp_path / f"set/{name}.jpg", (8, 8))
        Image.fromarray(np.repeat([[1, 2]], 8, axis=0).repeat(4, axis=1).astype(np.uint8)).save(
            tmp_path / f"set/{name}.png"
        )
    settings = dataclasses.replace(CONFIG, batch=1, photos=(str(tmp_path / "set"),), photo_share=1.0)
    narratives = Narratives(settings, *speaker)
    (tmp_path / "set/a.jpg").write_bytes(b"not a photo")
    for step in range(6):
        assert narratives[step].labels.any()
    assert ["a.jpg" in record.message for record in caplog.records] == [True]


def test_names_of_any_data_set_are_learnt_by_a_model_that_may_know_them(speaker: Any, tmp_path: Path) -> None:
    config, tokenizer = speaker
    save_photo(tmp_path / "a.jpg", (8, 8))
    content = {
        "images": [{"id": 1, "file_name": "a.jpg", "height": 8, "width": 8}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "segmentation": [[0, 0, 4, 0, 4, 8, 0, 8]]},
            {"id": 2, "image_id": 1, "category_id": 2, "segmentation": [[4, 0, 8, 0, 8, 8, 4, 8]]},
        ],
        "categories": [{"id": 1, "name": "teapot"}, {"id": 2, "name": "tea_cup"}, {"id": 3, "name": "samovar"}],
    }
    (tmp_path / "lvis.json").write_text(json.dumps(content))
    settings = dataclasses.replace(
        CONFIG, batch=1, texts=8, photos=(str(tmp_path / "lvis.json"),), photo_share=1.0, referring=0.0, augment=False
    )
    batch = Narratives(dataclasses.replace(settings, tasks=(0.0, 0.0, 1.0)), config, tokenizer)[0]
    lists = 0
    for text, truth in zip(batch.texts, batch.truths):
        told = tokenizer.decode(text.ids[: text.start].tolist())
        if "teapot" in told:
            lists += 1
            assert "tea cup" in told
            assert truth is not None
            # One noun means the left half, one the right half, and the samovar nothing.
            assert sorted(truth.long().tolist()) == [[0, 0], [0, 1], [1, 0]]
    assert 1 <= lists < 8
    small = dataclasses.replace(config, names=("person",))
    plain = Narratives(dataclasses.replace(settings, tasks=(0.0, 0.0, 1.0)), small, tokenizer)[0]
    assert not any("teapot" in tokenizer.decode(text.ids.tolist()) for text in plain.texts)
