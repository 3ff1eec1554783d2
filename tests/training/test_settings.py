"""Files of settings: a round trip, and one sentence for every error."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from esg.models.gella.config import DecoderConfig
from esg.support.errors import InputError
from esg.training.cropformer import TrainConfig
from esg.training.defaults import fine_tuning, settings_for
from esg.training.gella import GellaTrainConfig
from esg.training.settings import filled, read_config


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"stepz": 3}', "unknown setting 'stepz'; use one of .*steps, .*samples, "),
        ('{"samples": {"size": 3}}', "samples has an unknown setting 'size'; use one of batch, sizes"),
        ('{"steps": "many"}', "steps is 'many', but must be like 20000"),
        ('{"steps": 2.5}', "steps is 2.5"),
        ('{"steps": true}', "steps is True"),
        ('{"samples": {"sizes": 64}}', "samples: sizes is 64"),
        ('{"samples": 64}', "samples must be a JSON object"),
        ('{"init": 3}', "init is 3"),
        ('{"lr": NaN}', "lr is nan, but must be above 0"),
        ('{"milestones": ["late"]}', "milestones is 'late', but must be like 0.0"),
        ('{"milestones": 0.9}', r"milestones is 0.9, but must be like \[\]"),
        ("[]", "must be a JSON object"),
        ('{"measure": {"scenes": null}}', "measure: scenes is None"),
        ("{", "is not a JSON file"),
    ],
)
def test_settings_are_checked(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "settings.json"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_config(path, TrainConfig())


@pytest.mark.parametrize(
    "config",
    [
        TrainConfig(steps=3, init="weights.safetensors", lr=1),
        TrainConfig(milestones=(0.5, 1)),
        GellaTrainConfig(lora=4, gradient_checkpointing=True, encoder_init="mobilenet"),
        GellaTrainConfig(model={"colours": "location", "blend": {"skip": False}}),
    ],
)
def test_settings_are_read_as_they_were_written(tmp_path: Path, config: Any) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(dataclasses.asdict(config)))
    assert read_config(path, type(config)()) == config


def test_a_run_is_read_as_it_was_written_whatever_its_presets_defaults_are(tmp_path: Path) -> None:
    """The settings of a published preset have lists that those of a fine-tuning run, for example, leave empty."""
    published = settings_for("cropformer-swin-tiny")
    path = tmp_path / "config.json"
    for config in (published, fine_tuning(published, 9), TrainConfig(preset=published.preset)):
        path.write_text(json.dumps(dataclasses.asdict(config)))
        assert read_config(path, published) == config


def test_none_and_the_other_allowed_type_replace_each_other() -> None:
    decoder = DecoderConfig()
    assert decoder.anchors is None
    anchored = filled(decoder, {"anchors": 16}, "decoder")
    assert anchored == DecoderConfig(anchors=16)
    assert filled(anchored, {"anchors": None}, "decoder") == decoder
    for wrong in ("16", 1.5, True):
        with pytest.raises(InputError, match=f"decoder: anchors is {wrong!r}, but must be like 0"):
            filled(decoder, {"anchors": wrong}, "decoder")
    with pytest.raises(InputError, match="decoder: width is None"):
        filled(decoder, {"width": None}, "decoder")


def test_what_a_file_does_not_set_stays(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text('{"samples": {"texts": 3}}')
    default = GellaTrainConfig(steps=7)
    read = read_config(path, default)
    assert (read.steps, read.samples.texts, read.samples.batch) == (7, 3, default.samples.batch)
