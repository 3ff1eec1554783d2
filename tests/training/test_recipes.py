"""The recipes are settings that the command line accepts."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from esg.training.cropformer import TrainConfig
from esg.training.faithful import faithful
from esg.training.gella import GellaTrainConfig
from esg.training.loop import learning_rate
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


@pytest.mark.parametrize("name", ["gella-7b", "gella-13b"])
def test_the_papers_recipe_is_what_the_switch_sets(root: Path, name: str) -> None:
    recipe = read_config(root / "docs" / "recipes" / f"{name}.json", GellaTrainConfig())
    assert faithful(recipe) == recipe
    assert faithful(GellaTrainConfig(preset=name)) == recipe
