"""The recipes of the weights that ship are settings that the command line takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from esg.commands.train import read_config

RECIPES = sorted((Path(__file__).parents[2] / "docs" / "recipes").glob("*.json"))


def test_there_are_recipes() -> None:
    assert RECIPES


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_is_read(recipe: Path) -> None:
    config = read_config(recipe)
    assert config.preset == "cropformer-nano"
    assert not Path(str(config.samples.photos)).is_absolute()
