"""Default settings: those of a preset's size, on any number of devices, and for fine-tuning."""

from __future__ import annotations

import dataclasses

import pytest

from esg.models.cropformer.config import PRESETS
from esg.training.cropformer import SMALL_LOSS, TrainConfig
from esg.training.defaults import fine_tuning, settings_for
from esg.training.losses import LossConfig


def test_published_presets_do_not_get_the_small_models_settings() -> None:
    assert settings_for("cropformer-nano") == TrainConfig()
    assert settings_for("cropformer-nano").loss == SMALL_LOSS
    for preset in PRESETS.keys() - {"cropformer-nano"}:
        config = settings_for(preset)
        assert (config.preset, config.loss, config.steps) == (preset, LossConfig(), 103_125), preset


def test_a_mask2former_learns_from_full_views() -> None:
    crops = {preset: settings_for(preset).samples.crops for preset in ("cropformer-swin-tiny", "mask2former-swin-tiny")}
    assert crops == {"cropformer-swin-tiny": "fixed-4", "mask2former-swin-tiny": "none"}


def test_large_backbones_drop_more_paths() -> None:
    backbones = {"cropformer-swin-tiny": 0.3, "cropformer-swin-large": 0.3, "cropformer-hornet-large": 0.6}
    assert {preset: settings_for(preset).drop_path for preset in backbones} == backbones


@pytest.mark.parametrize(("devices", "batch"), [(1, 16), (2, 8), (8, 2), (16, 1), (64, 1)])
def test_all_devices_together_have_16_pictures(monkeypatch: pytest.MonkeyPatch, devices: int, batch: int) -> None:
    monkeypatch.setenv("WORLD_SIZE", str(devices))
    assert settings_for("cropformer-swin-tiny").samples.batch == batch


@pytest.mark.parametrize(
    ("preset", "frozen", "figure", "short"),
    [
        ("cropformer-nano", 5, "AP_io", (192, 320)),
        ("cropformer-swin-tiny", 2, "AP_boc", (480, 800)),
        ("mask2former-swin-tiny", 2, "AP_io", (480, 800)),
    ],
)
def test_fine_tuning_measures_what_the_model_is_used_with(
    preset: str, frozen: int, figure: str, short: tuple[int, int]
) -> None:
    before = settings_for(preset)
    config = fine_tuning(before, 10)
    assert (config.frozen_stages, config.keep_best, config.loss) == (frozen, figure, before.loss)
    assert config.batch_level == (figure == "AP_boc")
    assert config.measure.fusions == (figure.removeprefix("AP_"),)
    assert (config.samples.short[0], config.samples.short[-1]) == short
    assert config.lr < before.lr
    assert config.steps % config.measure_steps == 0


def test_more_photos_take_more_steps_up_to_a_limit() -> None:
    config = settings_for("cropformer-nano")
    assert [fine_tuning(config, count).steps for count in (2, 10, 50, 1500)] == [60, 100, 500, 3000]
    assert [fine_tuning(config, count).samples.held_out for count in (2, 250, 1000)] == [0.2, 0.2, 0.05]
    assert fine_tuning(dataclasses.replace(config, weight_decay=0.1), 9).weight_decay == 0.1  # a setting of one's own
