"""A GELLA that is small enough for tests, with random weights that are always the same."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from esg.models.gella.config import DecoderConfig, GellaConfig, LanguageConfig, VisionConfig
from esg.models.gella.language import Language
from esg.models.gella.model import Gella

CONFIG = GellaConfig(
    vision=VisionConfig(width=32, ffn=48, layers=3, heads=2, side=16, patch=4),  # 4 × 4 features
    language=LanguageConfig(
        vocabulary=24, width=48, ffn=40, layers=2, heads=3, context=40, image_token=3, pad_token=0, seg_token=4
    ),
    decoder=DecoderConfig(
        width=32, heads=2, queries=5, layers=3, ffn=32, encoder_layers=1, encoder_ffn=32, points=1, anchors=None
    ),
    encoder_scale=0.1,
    colormap_side=64,
    association=16,
)


def _lively(model: torch.nn.Module) -> None:
    """Norms and biases that do something, and weights with which signals do not fade on their way."""
    with torch.no_grad():
        for parameter in model.parameters():
            size = math.sqrt(2 / parameter[0].numel()) if parameter.dim() > 1 else 0.15
            parameter.add_(torch.randn_like(parameter), alpha=size)


@pytest.fixture(scope="session")
def tiny_config() -> GellaConfig:
    return CONFIG


@pytest.fixture(scope="session")
def new_language() -> Callable[[int], Language]:
    """Makes the language side of the tiny model from a seed."""

    def make(seed: int) -> Language:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            language = Language(CONFIG)
            _lively(language)
        return language.eval()

    return make


@pytest.fixture(scope="session")
def language(new_language: Callable[[int], Language]) -> Language:
    return new_language(0)


@pytest.fixture
def gella() -> Gella:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Gella(CONFIG)
        _lively(model)
    return model.eval()
