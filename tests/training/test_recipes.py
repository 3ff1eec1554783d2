"""The recipes are settings that the command line accepts."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import pytest

from esg.data.augment import FLIPPED
from esg.training.cropformer import TrainConfig
from esg.training.defaults import settings_for
from esg.training.faithful import faithful
from esg.training.gella import GellaTrainConfig
from esg.training.losses import LossConfig
from esg.training.schedule import learning_rate
from esg.training.settings import read_config

RECIPES = sorted((Path(__file__).parents[2] / "docs" / "recipes").glob("*.json"))


def test_there_are_recipes() -> None:
    assert RECIPES


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_is_read(recipe: Path) -> None:
    preset = json.loads(recipe.read_text())["preset"]
    config = read_config(recipe, GellaTrainConfig() if preset.startswith("gella-") else TrainConfig())
    assert config.preset == preset
    assert not any(Path(folder).is_absolute() for folder in config.samples.photos)


@pytest.mark.parametrize("name", ["gella-7b", "gella-13b"])
def test_the_papers_schedule(root: Path, name: str) -> None:
    config = read_config(root / "docs" / "recipes" / f"{name}.json", GellaTrainConfig())
    pictures, devices, epochs = 10_813 + 31_000, 8, 50
    epoch = math.ceil(pictures / (config.samples.batch * devices))
    assert config.steps == epochs * epoch
    begins = {0: 1e-5, 45: 1e-5, 46: 1e-6, 47: 1e-6, 48: 1e-7, 49: 1e-7}
    assert {start: learning_rate(start * epoch, config) for start in begins} == pytest.approx(begins)
    assert learning_rate(46 * epoch - 1, config) == pytest.approx(1e-5)
    assert config.samples.tasks == (0.2, 0.2, 0.6)
    assert config.lora == 0


@pytest.mark.parametrize(
    ("name", "drop"), [("r50", 0.0), ("swin-tiny", 0.3), ("swin-large", 0.3), ("hornet-large", 0.6)]
)
def test_the_published_run_of_cropformer(root: Path, name: str, drop: float) -> None:
    """What the papers state, and what a preset has without a recipe."""
    defaults = settings_for("cropformer-swin-tiny")
    config = read_config(root / "docs" / "recipes" / f"cropformer-{name}.json", defaults)
    assert config == dataclasses.replace(defaults, preset=f"cropformer-{name}", drop_path=drop)
    assert (config.optimizer, config.backbone_lr, config.ema, config.mask_piloted) == ("adamw", 0.1, 0.0, False)
    assert config.loss == LossConfig()
    assert (config.loss.ce, config.loss.bce, config.loss.dice, config.loss.no_entity) == (2, 5, 5, 0.1)
    assert (config.loss.points, config.loss.balanced, config.loss.smallest) == (12544, 0, 1)
    assert (config.samples.crops, config.samples.crop_ratio, config.samples.augment) == ("fixed-4", 0.7, FLIPPED)
    assert (min(config.samples.short), max(config.samples.short), config.samples.longest) == (640, 800, 1333)
    for times in (1, 2, 3, 4):
        longer = dataclasses.replace(config, steps=times * 103_125)
        begins = {0: 2e-4, 91_575 * times: 2e-5, 99_414 * times: 2e-6, longer.steps - 1: 2e-6}
        assert {step: learning_rate(step, longer) for step in begins} == pytest.approx(begins)
        ends = {91_575 * times - 1: 2e-4, 99_414 * times - 1: 2e-5}
        assert {step: learning_rate(step, longer) for step in ends} == pytest.approx(ends)


@pytest.mark.parametrize("name", ["gella-7b", "gella-13b"])
def test_the_papers_recipe_is_what_the_switch_sets(root: Path, name: str) -> None:
    recipe = read_config(root / "docs" / "recipes" / f"{name}.json", GellaTrainConfig())
    assert faithful(recipe) == recipe
    assert faithful(GellaTrainConfig(preset=name)) == recipe
