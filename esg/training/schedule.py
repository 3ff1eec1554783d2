"""The learning rate over a run."""

from __future__ import annotations

import math

from .config import RunConfig


def learning_rate(step: int, config: RunConfig) -> float:
    """The learning rate of `step` (from 0): warm-up, constant except for the milestones, cosine to 0."""
    rise = min(1.0, (step + 1) / max(1, config.warmup))
    begin = config.steps * (1 - config.cooldown)
    passed = max(0.0, step - begin) / max(1.0, config.steps - begin)
    tenths = sum(step >= round(config.steps * milestone) for milestone in config.milestones)
    return config.lr * rise * 0.1**tenths * (1 + math.cos(math.pi * min(1.0, passed))) / 2
