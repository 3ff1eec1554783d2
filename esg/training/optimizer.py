"""Optimizers: AdamW for all parameters, or Muon for matrices and AdamW for the rest."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from .config import RunConfig
from .muon import Muon

# Parameters of two dimensions that are lists of vectors, not matrices.
_LISTS_OF_VECTORS = {"bias_table", "level_embed", "query_features", "query_positions"}
_TABLES_OF_WORDS = ("embed_tokens.weight", "lm_head.weight")  # have weight decay, but are not suitable for Muon


def parameter_groups(model: nn.Module, config: RunConfig) -> list[dict[str, Any]]:
    """Parameter groups: with and without weight decay, and the backbone at its own rate (`scale`).

    AdamW always has the same four groups, so that a run can be resumed with other settings. Groups marked as `matrices`
    are for Muon.
    """
    groups: dict[tuple[bool, bool, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        plain = parameter.ndim < 2 or name.rpartition(".")[2] in _LISTS_OF_VECTORS
        table = plain or name.endswith(_TABLES_OF_WORDS)
        matrix = config.optimizer == "muon" and parameter.ndim == 2 and not table and not _maps_to_few(parameter)
        groups.setdefault((name.startswith("backbone."), plain, matrix), []).append(parameter)
    return [
        {
            "params": group,
            "weight_decay": 0.0 if plain else config.weight_decay,
            "scale": config.backbone_lr if backbone else 1.0,
            "matrices": matrix,
        }
        for (backbone, plain, matrix), group in groups.items()
    ]


def _maps_to_few(parameter: nn.Parameter) -> bool:
    """Whether the parameter is a classifier's head, for which Muon is unsuitable."""
    return len(parameter) <= 2


def optimizers(model: nn.Module, config: RunConfig) -> list[torch.optim.Optimizer]:
    """One or two optimizers that together update all parameters."""
    groups = parameter_groups(model, config)
    rest = [group for group in groups if not group["matrices"]]
    found: list[torch.optim.Optimizer] = [torch.optim.AdamW(rest, lr=config.lr)]
    if matrices := [group for group in groups if group["matrices"]]:
        found.append(Muon(matrices, lr=config.lr))
    return found
