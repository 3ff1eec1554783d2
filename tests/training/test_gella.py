"""Training GELLA: its losses, and whole runs of a tiny model."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from transformers import MobileNetV2Config, MobileNetV2ForImageClassification

from esg.entities.entity_map import EntityMap
from esg.models.gella.association import QueryMatching
from esg.models.gella.checkpoint import read_gella
from esg.models.gella.config import PRESETS
from esg.models.gella.inference import GellaInference
from esg.models.gella.language import Language, our_key
from esg.models.gella.model import Reconstruction, TrainingOutput
from esg.models.gella.tokenizer import train_tokenizer
from esg.models.layers.mask_decoder import Prediction
from esg.models.layers.swin import Swin
from esg.support.errors import InputError, WeightsError
from esg.training.checkpoint import export, load_checkpoint
from esg.training.gella import GellaTask, GellaTrainConfig, association_loss, match_queries
from esg.training.loop import train
from esg.training.losses import LossConfig
from esg.training.narratives import NarrativeConfig
from esg.training.recall import FIGURES
from esg.training.run_folder import CHECKPOINT
from esg.training.run_log import read_log
from esg.training.run_tokenizer import run_tokenizer
from esg.training.settings import read_config

RUN = GellaTrainConfig(
    preset="tiny",
    steps=3,
    samples=NarrativeConfig(batch=2, texts=2, sides=(48, 64)),
    loss=LossConfig(points=64),
    warmup=1,
    precision="fp32",
    device="cpu",
    workers=0,
    measure_steps=0,
)
ONE_BY_ONE = NarrativeConfig(batch=1, sides=(48, 64), seed=36)  # of three steps the second one is grounded


@pytest.fixture
def tiny_task(speaker: Any, monkeypatch: pytest.MonkeyPatch) -> GellaTask:
    monkeypatch.setitem(PRESETS, "tiny", speaker[0])
    return GellaTask(RUN, speaker[1])


def test_a_run_learns_and_its_weights_are_a_file(tiny_task: GellaTask, tmp_path: Path) -> None:
    before = tiny_task.model(new=True).state_dict()
    rows = read_log(train(tiny_task, tmp_path / "run"))
    terms = {"answer", "association", "words", "seen", "anchor_bce", "anchor_dice", "mask_ce", "mask_bce", "mask_dice"}
    assert terms <= {name for row in rows for name in row}
    out = export(tmp_path / "run", tiny_task, tmp_path / "out.safetensors")
    after = read_gella(out)[0].state_dict()
    own = {name.removeprefix("gella."): value.half().float() for name, value in before.items()}
    changed = {name.split(".")[0] for name in after if not torch.equal(own[name], after[name])}
    assert {"language", "colormap", "blend", "pixel_decoder", "decoder", "association"} <= changed


@pytest.mark.parametrize(
    ("samples", "grounded"),
    [(RUN.samples, [True, True, True]), (ONE_BY_ONE, [False, True, False])],
    ids=["several texts", "one text"],
)
def test_an_interrupted_run_ends_like_an_uninterrupted_one(
    tiny_task: GellaTask, tmp_path: Path, samples: NarrativeConfig, grounded: list[bool]
) -> None:
    config = dataclasses.replace(RUN, cooldown=0.0, samples=samples)
    first = GellaTask(dataclasses.replace(config, steps=1), tiny_task.tokenizer)
    rest = GellaTask(config, tiny_task.tokenizer)
    train(rest, tmp_path / "steady")
    assert ["mask_ce" in row for row in read_log(tmp_path / "steady")] == grounded
    train(first, tmp_path / "parts")
    train(rest, tmp_path / "parts")
    a, b = (load_checkpoint(tmp_path / name) for name in ("steady", "parts"))
    assert a is not None
    assert b is not None
    assert all(torch.equal(a["model"][name], b["model"][name]) for name in a["model"])


def test_lora_is_trained_resumed_and_merged_in_the_file(tiny_task: GellaTask, tmp_path: Path) -> None:
    pytest.importorskip("peft")
    config = dataclasses.replace(RUN, lora=2, gradient_checkpointing=True, cooldown=0.0, lr=1e-2)
    task = GellaTask(config, tiny_task.tokenizer)
    before = task.model(new=True).state_dict()
    train(GellaTask(dataclasses.replace(config, steps=2), tiny_task.tokenizer), tmp_path / "parts")
    state = load_checkpoint(train(task, tmp_path / "parts"))
    whole = load_checkpoint(train(task, tmp_path / "whole"))
    assert state is not None
    assert whole is not None
    assert all(torch.equal(state["model"][name], whole["model"][name]) for name in whole["model"])
    torch.manual_seed(RUN.samples.seed)
    start = task.model(new=True).state_dict()
    assert start.keys() == before.keys()
    kept = [name for name in start if name.endswith("base_layer.weight")]
    assert kept
    assert all(torch.equal(state["model"][name], start[name]) for name in kept)
    model = read_gella(export(tmp_path / "parts", task, tmp_path / "out.safetensors"))[0].language
    trained = task.model(new=False)
    trained.load_state_dict(state["ema"])
    text, pixels = torch.tensor([1, 3, 7, 4, 2]), torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        ours, theirs = (
            one.read(one.see(pixels).tokens, [text]).hidden for one in (model, trained.eval().gella.language)
        )
    torch.testing.assert_close(ours, theirs, atol=2e-2, rtol=2e-2)  # fp16 in the file


def test_a_run_resumes_only_with_its_own_lora(tiny_task: GellaTask, tmp_path: Path) -> None:
    pytest.importorskip("peft")

    def run(folder: str, steps: int, lora: int) -> Path:
        config = dataclasses.replace(RUN, steps=steps, lora=lora)
        return train(GellaTask(config, tiny_task.tokenizer), tmp_path / folder) / CHECKPOINT

    path, _ = run("thin", 1, lora=2), run("full", 1, lora=0)
    for folder, lora in (("thin", 0), ("thin", 4), ("full", 2)):
        with pytest.raises(WeightsError, match=r"of tiny with other model settings \(lora\); use another fold"):
            run(folder, 2, lora)
    state = torch.load(path, weights_only=True)
    del state["changes"]["lora"]  # a run of an earlier version, which did not name it
    torch.save(state, path)
    with pytest.raises(WeightsError, match=r"\(lora\)"):
        run("thin", 2, lora=0)
    assert torch.load(run("thin", 2, lora=2), weights_only=True)["step"] == 2


@pytest.mark.parametrize("lora", [0, 2])
def test_a_run_resumes_under_another_version_of_transformers(tiny_task: GellaTask, tmp_path: Path, lora: int) -> None:
    if lora:
        pytest.importorskip("peft")
    of_4_50 = {
        "vision.": "vision_tower.vision_model.",
        "projector.": "multi_modal_projector.",
        "decoder.": "language_model.model.",
        "head.": "language_model.lm_head.",
    }

    def other(name: str) -> str:
        before, of_llava, key = name.partition("language.llava.")
        ours, dot, rest = our_key(key).partition(".") if of_llava else ("", "", "")
        return before + of_llava + of_4_50[ours + dot] + rest if of_llava else name

    config = dataclasses.replace(RUN, steps=2, lora=lora, cooldown=0.0)
    tasks = [GellaTask(dataclasses.replace(config, steps=steps), tiny_task.tokenizer) for steps in (1, 2)]
    train(tasks[0], tmp_path / "own")
    shutil.copytree(tmp_path / "own", tmp_path / "other")
    state = torch.load(tmp_path / "other" / CHECKPOINT, weights_only=True)
    for kind in ("model", "ema"):
        state[kind] = {other(name): value for name, value in state[kind].items()}
    assert any("llava.language_model.model.layers.0" in name for name in state["model"])
    torch.save(state, tmp_path / "other" / CHECKPOINT)
    one, two = (load_checkpoint(train(tasks[1], tmp_path / name)) for name in ("own", "other"))
    assert one is not None
    assert two is not None
    for kind in ("model", "ema"):
        assert one[kind].keys() == two[kind].keys()
        assert all(torch.equal(one[kind][name], two[kind][name]) for name in one[kind])


@pytest.mark.parametrize("lora", [0, 2])
@pytest.mark.usefixtures("curves")
def test_a_run_is_measured_and_plotted_and_learns_the_same(tiny_task: GellaTask, tmp_path: Path, lora: int) -> None:
    if lora:
        pytest.importorskip("peft")
    plain = dataclasses.replace(RUN, steps=2, lora=lora)
    measured = dataclasses.replace(plain, measure_steps=1, measure_scenes=1)
    one, other = (
        train(GellaTask(config, tiny_task.tokenizer), tmp_path / name)
        for config, name in ((measured, "measured"), (plain, "plain"))
    )
    figures = [row for row in read_log(one) if "AR" in row]
    assert [row["step"] for row in figures] == [1, 2]
    assert all(0 <= row[name] <= 1 for row in figures for name in row.keys() - {"step"})
    assert {"AR", "noun_recall"} <= figures[0].keys() <= {"step", *FIGURES}
    assert not any("AR" in row for row in read_log(other))
    a, b = load_checkpoint(one), load_checkpoint(other)
    assert a is not None
    assert b is not None
    for kind in ("model", "ema"):
        assert all(torch.equal(a[kind][name], b[kind][name]) for name in b[kind])
    pytest.importorskip("matplotlib")
    assert all((run / "plot.png").read_bytes().startswith(b"\x89PNG") for run in (one, other))


def test_gradient_checkpointing_changes_nothing(tiny_task: GellaTask, tmp_path: Path) -> None:
    task = GellaTask(dataclasses.replace(RUN, steps=2, gradient_checkpointing=True), tiny_task.tokenizer)
    plain = GellaTask(dataclasses.replace(RUN, steps=2), tiny_task.tokenizer)
    inner = task.model(new=True).gella.language.llava
    assert sum(getattr(module, "gradient_checkpointing", False) for module in inner.modules()) >= 2  # both towers
    one, other = (read_log(train(own, tmp_path / name)) for own, name in ((task, "one"), (plain, "other")))
    assert [row["loss"] for row in one] == [row["loss"] for row in other]


def test_a_new_run_starts_from_published_weights_and_resumes_without(tiny_task: GellaTask, tmp_path: Path) -> None:
    config = tiny_task.architecture
    llava, mobilenet = tmp_path / "llava", tmp_path / "mobilenet"
    smaller = train_tokenizer(["There is a red disc."], dataclasses.replace(config.language, vocabulary=280))
    without_seg = Tokenizer.from_str(smaller.to_str().replace("<SEG>", "<unused>"))
    free = dataclasses.replace(config.language, seg_token=smaller.get_vocab_size())
    assert free.seg_token < free.vocabulary
    published = Language(config)
    published.llava.save_pretrained(llava, max_shard_size="60KB", safe_serialization=True)
    without_seg.save(str(llava / "tokenizer.json"))
    imagenet = MobileNetV2ForImageClassification(MobileNetV2Config(depth_multiplier=config.encoder_scale))
    imagenet.save_pretrained(mobilenet, safe_serialization=True)
    run = dataclasses.replace(RUN, steps=1, lr=1e-9, init=str(llava), encoder_init=str(mobilenet), ema=0.0)
    run = dataclasses.replace(run, model={"language": {"seg_token": free.seg_token}})
    task = GellaTask(run, run_tokenizer(run, tmp_path / "run"))
    state = load_checkpoint(train(task, tmp_path / "run"))
    assert state is not None
    for prefix, own in (("gella.language.", published), ("gella.colormap.net.", imagenet.mobilenet_v2)):
        for name, value in own.named_parameters():
            torch.testing.assert_close(state["model"][prefix + name], value, atol=1e-6, rtol=1e-6)
    shutil.rmtree(llava)
    shutil.rmtree(mobilenet)
    more = dataclasses.replace(run, steps=2)
    task = GellaTask(more, run_tokenizer(more, tmp_path / "run"))
    train(task, tmp_path / "run")
    model, kept = read_gella(export(tmp_path / "run", task, tmp_path / "out.safetensors"))
    assert model.config.language.seg_token == free.seg_token
    assert kept.to_str() == without_seg.to_str()
    grounder = GellaInference(model, kept)
    entities = EntityMap.from_labels(np.repeat(np.int32([1, 2]), 32)[None].repeat(64, 0))
    scores = grounder.scores(grounder.see(np.zeros((64, 64, 3), np.uint8)), entities, "a <SEG> of red discs", [(2, 7)])
    assert scores.shape == (1, 2)


def test_weights_that_do_not_fit_are_refused(tiny_task: GellaTask, tmp_path: Path) -> None:
    for changes, error, words in (
        ({"init": str(tmp_path)}, WeightsError, "has no config.json"),
        ({"init": str(tmp_path / "none.safetensors")}, WeightsError, r"none\.safetensors does not exist"),
        ({"encoder_init": str(tmp_path / "none")}, WeightsError, r"none does not exist; get the folder"),
    ):
        task = GellaTask(dataclasses.replace(RUN, **changes), tiny_task.tokenizer)  # type: ignore[arg-type]
        with pytest.raises(error, match=words):
            train(task, tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


OTHER = {  # options of the paper: Tables XV a and b, XVI and XVII
    "colours": "location",
    "encoder": "swin-tiny",
    "encoder_scale": 1 / 16,
    "colormap_side": 96,
    "blend": {"skip": False},
    "vision": {"side": 24},
}


def test_another_architecture_is_trained_kept_and_written(tiny_task: GellaTask, tmp_path: Path) -> None:
    config = dataclasses.replace(RUN, steps=1, model=OTHER)
    task = GellaTask(config, tiny_task.tokenizer)
    train(task, tmp_path / "run")
    model, _ = read_gella(export(tmp_path / "run", task, tmp_path / "out.safetensors"))
    tiny, blend = tiny_task.architecture, dataclasses.replace(tiny_task.architecture.blend, skip=False)
    vision = dataclasses.replace(tiny.vision, side=24)
    assert model.config == dataclasses.replace(tiny, **{**OTHER, "blend": blend, "vision": vision})
    assert isinstance(model.colormap, Swin)
    assert read_config(tmp_path / "run" / "config.json", GellaTrainConfig()) == config


def test_a_run_resumes_only_with_its_own_architecture(tiny_task: GellaTask, tmp_path: Path) -> None:
    def run(steps: int, **model: Any) -> None:
        train(GellaTask(dataclasses.replace(RUN, steps=steps, model=model), tiny_task.tokenizer), tmp_path)

    run(1, colours="location")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    for other in ({}, {"colours": "random"}):  # weights would fit
        with pytest.raises(WeightsError, match=r"of tiny with other model settings \(colours\); use another fol"):
            run(2, **other)
    with pytest.raises(WeightsError, match=r"\(blend, colormap_side\)"):
        run(2, colours="location", colormap_side=96, blend={"residual": False})
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    run(2, colours="location", blend={"skip": True})  # as in the preset
    state = torch.load(tmp_path / CHECKPOINT, weights_only=True)
    assert state["step"] == 2
    del state["changes"]  # a run of an earlier version, which had none
    torch.save(state, tmp_path / CHECKPOINT)
    with pytest.raises(WeightsError, match="colours"):
        run(3, colours="location")
    run(3)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ({"colour": "location"}, "The setting model has an unknown setting 'colour'; use one of vision, language"),
        ({"blend": {"skip": 0}}, "The setting model: blend: skip is 0, but must be like true"),
        ({"encoder": "vgg"}, "encoder 'vgg'; choose one of mobilenet-v2, swin-tiny, swin-large"),
        (
            {"encoder": "swin-tiny", "encoder_scale": 0.1},
            "The width of a Swin must be a multiple of its 3 heads, not 10",
        ),
        ({"colormap_side": 100}, "multiple of 16 and at least 32, not 100"),
        ({"vision": {"side": 3}}, "side of vision is 3, but must be at least its patch, 4"),
        ({"vision": {"side": 400}}, "An image takes 10000 tokens, but the context of language has only 1500"),
    ],
)
def test_an_architecture_that_cannot_be_is_one_sentence(tiny_task: GellaTask, model: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        GellaTask(dataclasses.replace(RUN, model=model), tiny_task.tokenizer).model(new=True)


def test_swin_does_not_start_from_mobilenet(tiny_task: GellaTask, tmp_path: Path) -> None:
    MobileNetV2ForImageClassification(MobileNetV2Config(depth_multiplier=0.1)).save_pretrained(tmp_path)
    task = GellaTask(dataclasses.replace(RUN, encoder_init=str(tmp_path), model=OTHER), tiny_task.tokenizer)
    with pytest.raises(WeightsError, match="of type 'mobilenet_v2' instead of 'swin'"):
        task.model(new=True)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"encoder_norms": "frozen"}, "Frozen encoder_norms need statistics to keep; give encoder_init, or use syn"),
        ({"preset": "gella-nano", "vision_init": "clip"}, "vision_init is for a CLIP, which gella-nano does not have"),
    ],
)
def test_settings_for_parts_that_are_not_there(tiny_task: GellaTask, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        GellaTask(dataclasses.replace(RUN, **changes), tiny_task.tokenizer).model(new=True)


def test_frozen_norms_keep_the_statistics_of_published_weights(tiny_task: GellaTask, tmp_path: Path) -> None:
    imagenet = MobileNetV2ForImageClassification(
        MobileNetV2Config(depth_multiplier=tiny_task.architecture.encoder_scale)
    )
    for name, value in imagenet.state_dict().items():
        if name.endswith(("running_mean", "running_var")):
            value.uniform_(0.5, 1.5)
    imagenet.save_pretrained(tmp_path / "mobilenet", safe_serialization=True)
    run = dataclasses.replace(RUN, steps=2, encoder_init=str(tmp_path / "mobilenet"), encoder_norms="frozen")
    task = GellaTask(run, tiny_task.tokenizer)
    state = load_checkpoint(train(task, tmp_path / "run"))
    assert state is not None
    found = state["model"]
    norms = [name for name in found if name.startswith("gella.colormap.") and ".normalization." in name]
    theirs = imagenet.mobilenet_v2.state_dict()
    assert norms
    for name in norms:
        assert torch.equal(found[name], theirs[name.removeprefix("gella.colormap.net.")]), name
    read_gella(export(tmp_path / "run", task, tmp_path / "out.safetensors"))  # the names are the same


def test_language_alone_asks_for_no_masks(tiny_task: GellaTask) -> None:
    config = dataclasses.replace(RUN, samples=dataclasses.replace(RUN.samples, tasks=(0.5, 0.5, 0.0)))
    task = GellaTask(config, tiny_task.tokenizer)
    batch = next(task.batches(0, 1, 0))
    terms = task.losses(task.model(new=True), batch, torch.device("cpu"), torch.autocast("cpu", enabled=False))
    assert set(terms) == {"answer"}
    assert terms["answer"].item() > 1


@pytest.mark.parametrize(
    ("tasks", "partial"), [((0.5, 0.5, 0.0), True), ((0.2, 0.2, 0.6), True), ((0.0, 0.0, 1.0), False)]
)
def test_a_step_may_leave_out_parts_unless_all_is_grounded(tiny_task: GellaTask, tasks: Any, partial: bool) -> None:
    samples = dataclasses.replace(RUN.samples, tasks=tasks)
    assert GellaTask(dataclasses.replace(RUN, samples=samples), tiny_task.tokenizer).partial == partial


def test_without_grounding_the_model_gives_nothing_that_is_not_learnt_from(tiny_task: GellaTask) -> None:
    samples = dataclasses.replace(RUN.samples, tasks=(1.0, 0.0, 0.0))
    batch = next(GellaTask(dataclasses.replace(RUN, samples=samples), tiny_task.tokenizer).batches(0, 1, 0))
    model = tiny_task.model(new=True)
    pictures, colours = torch.rand(2, 3, 16, 16), torch.rand(2, 3, 64, 64)
    heard, told = model(pictures, colours, batch.texts, batch.pictures, [])
    assert told is None
    given = {name for name, value in vars(heard).items() if isinstance(value, torch.Tensor) and value.requires_grad}
    assert given == {"answers"}  # several devices would wait for gradients of the rest


def test_association_loss_uses_only_queries_that_reconstruct_an_entity() -> None:
    labels = torch.ones(1, 8, 8, dtype=torch.int32)
    labels[..., 4:] = 2  # entity 1 on the left, entity 2 on the right
    features = torch.tensor([[1.0, -1.0], [1.0, -1.0]]).expand(1, 1, 2, 2)
    shown = [Prediction(torch.zeros(1, 3, 2), torch.tensor([[[1.0], [-1.0], [0.0]]]))]  # the last one shows nothing
    masks = Reconstruction(features, shown, None, torch.zeros(1, 3, 32))
    answers, grid = torch.zeros(1, 300), torch.zeros(1, 4, 2, 2)
    heard = TrainingOutput(answers, torch.zeros(1).long(), grid, masks, [0], [torch.tensor([[9.0, -9.0, 123.0]])])
    ties = match_queries(masks, labels)
    right, wrong = (
        float(association_loss(heard, ties, [torch.tensor([truth])])) for truth in ([True, False], [False, True])
    )
    assert right == pytest.approx(0, abs=1e-3)
    assert wrong == pytest.approx(9, abs=1e-3)


def test_association_loss_may_count_every_query() -> None:
    """G^A of Eq. 16: a query that stands for no entity is not meant by any noun."""
    truth = torch.tensor([[True, False]])
    ties = [QueryMatching(torch.tensor([2, 0]), torch.tensor([True, False]))]  # entity 2 has a query by guess

    def loss(*scores: float) -> float:
        heard = TrainingOutput(*torch.zeros(3, 1), None, [0], [torch.tensor([scores])])
        return float(association_loss(heard, ties, [truth], all_queries=True))

    assert loss(-50.0, -50.0, 50.0) == pytest.approx(0, abs=1e-6)
    assert loss(-50.0, 30.0, 50.0) == pytest.approx(10)  # the mean over three queries
    assert loss(30.0, -50.0, 50.0) == pytest.approx(10)
    assert loss(-50.0, -50.0, -30.0) == pytest.approx(10)


def test_an_unknown_preset_is_refused(speaker: Any) -> None:
    with pytest.raises(InputError, match=r"no preset 'gella-1b'.*gella-nano"):
        GellaTask(dataclasses.replace(RUN, preset="gella-1b"), speaker[1])
