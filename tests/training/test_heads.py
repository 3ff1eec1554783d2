"""The last stage: only the layers after a model's features learn."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from esg.language.coco_names import NAMES
from esg.models.gella.association import QueryMatching
from esg.models.gella.config import PRESETS, VisionConfig
from esg.models.gella.conversation import Conversation
from esg.support.errors import InputError
from esg.training import heads
from esg.training.auxiliary import WORDS, GellaInTraining
from esg.training.checkpoint import load_checkpoint
from esg.training.gella import GellaTrainConfig
from esg.training.heads import Features, HeadsTask, features_of, head_losses, name_lists
from esg.training.loop import train
from esg.training.narratives import NarrativeConfig, Narratives
from esg.training.run_log import read_log

RUN = GellaTrainConfig(
    preset="seeing",
    steps=30,
    samples=NarrativeConfig(batch=4, texts=1, tasks=(0.0, 0.0, 1.0), sides=(48, 64)),
    heads_pictures=8,
    lr=3e-3,
    warmup=1,
    ema=0.0,
    precision="fp32",
    device="cpu",
    workers=0,
    measure_steps=0,
)


@pytest.fixture
def task(speaker: Any, monkeypatch: pytest.MonkeyPatch) -> HeadsTask:
    vision = VisionConfig(width=32, ffn=32, layers=1, heads=2, side=96, patch=24, tower="efficientnet-lite0", pool=2)
    monkeypatch.setitem(PRESETS, "seeing", dataclasses.replace(speaker[0], vision=vision))
    return HeadsTask(RUN, speaker[1])


def as_if_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    """A random model gives no mask back; here each entity has the query of its number, as far as there are queries."""

    def ties(masks: Any, labels: torch.Tensor) -> list[QueryMatching]:
        counts = [int(own.max()) for own in labels]
        queries = masks.embeddings.shape[1]
        return [QueryMatching(torch.arange(n) % queries, torch.arange(n) < queries) for n in counts]

    monkeypatch.setattr(heads, "match_queries", ties)


def test_only_the_heads_learn(task: HeadsTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    as_if_trained(monkeypatch)
    torch.manual_seed(task.seed)
    before = task.model(new=True).state_dict()
    rows = read_log(train(task, tmp_path / "run"))
    state = load_checkpoint(tmp_path / "run")
    assert state is not None
    changed = {name for name, value in state["model"].items() if not torch.equal(value, before[name])}
    assert changed
    assert all(name.startswith(("gella.association.", "gella.appearance.", "of_entities.")) for name in changed)
    assert any(name.startswith("gella.appearance.project") for name in changed)
    losses = [row["loss"] for row in rows]
    assert sum(losses[-5:]) < sum(losses[:5])


def test_features_are_computed_once(task: HeadsTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    as_if_trained(monkeypatch)
    seen: list[int] = []
    see = type(task.model(new=True).gella.language).see
    monkeypatch.setattr(
        "esg.models.gella.language.Language.see", lambda self, pixels: (seen.append(len(pixels)), see(self, pixels))[1]
    )
    train(task, tmp_path / "run")
    assert seen == [4, 4]


def test_the_losses_of_a_model_that_knows_nothing(task: HeadsTask) -> None:
    model: GellaInTraining = task.model(new=True)
    for layer in (model.gella.association.entity, model.of_entities):
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    words = torch.zeros(2, len(WORDS), dtype=torch.int8)
    words[0, WORDS.index("dog")] = 1
    words[0, WORDS.index("cat")] = -1  # one may argue about it
    truth = torch.zeros(6, 2, dtype=torch.bool)
    truth[3, 1] = True
    entity, noun = model.gella.config.decoder.width, model.gella.config.language.width
    features = Features(
        torch.randn(2, entity),
        [torch.randn(2, 112), torch.randn(2, 320)],
        words,
        [(torch.randn(6, noun), truth)],
        torch.randn(len(NAMES), noun),
    )
    losses = head_losses(model, features)
    assert losses["association"].tolist() == pytest.approx([math.log(2)] * 12)
    assert losses["list"].tolist() == pytest.approx([math.log(6)])  # of the one entity that a noun means
    assert losses["names"].tolist() == pytest.approx([math.log(len(NAMES) - 1)])
    assert losses["readout"].tolist() == pytest.approx([math.log(len(NAMES))])


def test_queries_are_hidden_in_training_alone(task: HeadsTask) -> None:
    model = task.model(new=True)
    entity, noun = model.gella.config.decoder.width, model.gella.config.language.width
    looks, words = [torch.randn(200, 112), torch.randn(200, 320)], torch.zeros(200, len(WORDS), dtype=torch.int8)
    truth = torch.zeros(1, 200, dtype=torch.bool)
    nouns = [(torch.randn(1, noun), truth)]
    features = Features(torch.randn(200, entity), looks, words, nouns, torch.randn(len(NAMES), noun))
    without = dataclasses.replace(features, content=torch.zeros(200, entity))
    seen, unseen = (head_losses(model.eval(), one)["association"] for one in (features, without))
    trained = head_losses(model.train(), features)["association"]  # a new appearance adds nothing
    hidden = torch.isclose(trained, unseen)
    assert torch.equal(torch.isclose(trained, seen), ~hidden)
    assert 10 < hidden.sum() < 60


def test_all_names_are_listed_once(task: HeadsTask) -> None:
    order = list(reversed(range(len(NAMES))))
    lists = name_lists(Conversation(task.tokenizer, task.architecture.language), order)
    assert [place for _, places in lists for place in places] == order
    assert [len(text.nouns) for text, _ in lists] == [len(places) for _, places in lists]
    assert task.tokenizer.decode(lists[0][0].nouns[0].tolist()).strip() == NAMES[-1]


def test_an_entity_without_a_query_is_learnt_by_its_looks(task: HeadsTask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        heads,
        "match_queries",
        lambda masks, labels: [
            QueryMatching(torch.full((n,), -1), torch.zeros(n, dtype=torch.bool))
            for n in labels.flatten(1).amax(1).tolist()
        ],
    )
    model = task.model(new=True).eval()
    samples = Narratives(task.config.samples, task.architecture, task.tokenizer)
    lists = name_lists(samples.conversation, range(len(NAMES)))
    features = features_of(model, next(samples.batches(0, 1, 0)), lists)
    assert features
    for one in features:
        assert not one.content.any()
        assert all(look.any(1).all() for look in one.looks)
        assert {len(one.content), len(one.words)} == {truth.shape[1] for _, truth in one.texts}
        assert one.names.any(1).all()


def test_a_model_without_appearance_is_refused(speaker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PRESETS, "blind", speaker[0])
    with pytest.raises(InputError, match="heads_pictures"):
        HeadsTask(dataclasses.replace(RUN, preset="blind"), speaker[1]).model(new=True)


def test_no_text_to_ground_is_one_sentence(task: HeadsTask, tmp_path: Path) -> None:
    config = dataclasses.replace(RUN, samples=dataclasses.replace(RUN.samples, tasks=(1.0, 0.0, 0.0)))
    with pytest.raises(InputError, match=r"samples\.tasks"):
        train(HeadsTask(config, task.tokenizer), tmp_path / "run")
