"""Loads the model that a name or a weight file stands for."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import torch

from ..models.cropformer.checkpoints import convert, is_official, load_strict, preset_of
from ..models.cropformer.config import PRESETS, TASKS, CropFormerConfig, Preset, class_aware
from ..models.cropformer.model import CropFormer
from ..models.cropformer.views import check_ratio
from ..models.gella.file_kind import is_gella
from ..models.gella.inference import GellaInference
from ..models.grounding_model import GroundingModel
from ..models.meta_init import Unfilled
from ..models.zeroshot.zero_shot import ZeroShot
from ..support.errors import InputError, WeightsError
from ..support.files import at_home
from ..support.weight_files import read_state_dict
from .catalogue import checkpoint_named
from .finding import locate


def load_segmenter(name_or_path: str | Path) -> tuple[CropFormer, Preset, str]:
    """Loads a CropFormer or Mask2Former; returns it with its preset and a readable name.

    Raises:
        WeightsError: the weights are missing, do not fit, or are refused.
    """
    path = locate(name_or_path, task="entity")
    state, metadata = read_state_dict(path)
    if is_official(state):
        state = convert(state, str(path))
    preset, name = _preset_of(state, metadata, name_or_path, path)
    try:
        with Unfilled():
            model = CropFormer(preset.config)
    except (ArithmeticError, IndexError, RuntimeError, TypeError, ValueError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise WeightsError(f"{path} describes an impossible model ({reason}); convert the file again.") from error
    load_strict(model, state, str(path))
    return model, preset, name


def _preset_of(
    state: dict[str, torch.Tensor], metadata: dict[str, str], asked: str | Path, path: Path
) -> tuple[Preset, str]:
    """The preset of weights: given by their name, or by the metadata or the tensor shapes of the file."""
    if is_gella(state, metadata):
        raise WeightsError(
            f"{asked} grounds words in entities but does not find entities; choose a segmenter such as cropformer-nano."
        )
    if not os.path.exists(at_home(asked)):
        name = checkpoint_named(str(asked)).name
        return PRESETS[name], name
    named = metadata.get("preset", "")
    preset = PRESETS.get(named)
    if "config" in metadata:
        try:
            config = CropFormerConfig.from_json(metadata["config"])
        except InputError as error:
            reason = str(error).rstrip(".").removesuffix("; convert the file again")
            raise WeightsError(f"{path} describes an impossible model ({reason}); convert the file again.") from None
        own = dataclasses.replace(preset, config=config) if preset else None
        return _with_own_defaults(own, config, metadata, path), named if preset else path.stem
    if preset:
        return preset, named
    name = preset_of(state, str(path))
    return PRESETS[name], name


def _with_own_defaults(preset: Preset | None, config: CropFormerConfig, metadata: dict[str, str], path: Path) -> Preset:
    """The preset of a file with its own configuration; its metadata may also have the task and the crop ratio."""
    task = metadata.get("task", "entity" if config.classes == 1 else "panoptic")
    if preset is None or (preset.task == "entity") != (task == "entity"):
        preset = Preset(config) if task == "entity" else class_aware(task, config)
    elif "task" in metadata:
        preset = dataclasses.replace(preset, task=task)
    try:
        ratio = float(metadata.get("crop_ratio", preset.crop_ratio))
        check_ratio(ratio)
    except (ValueError, InputError):
        ratio = 0.0
    if not ratio or task not in TASKS or (task == "entity" and config.classes > 1):
        raise WeightsError(f"{path} describes an impossible model (its task or crop ratio); convert the file again.")
    return dataclasses.replace(preset, crop_ratio=ratio)


def load_grounding_model(name_or_path: str | Path, device: torch.device, precision: torch.dtype) -> GroundingModel:
    """Loads a GELLA, or the public models of a name such as "zero-shot".

    Raises:
        WeightsError: the weights are missing, do not fit, or are refused.
    """
    if is_zero_shot(name_or_path):
        return ZeroShot.from_name(str(name_or_path), device, precision)
    return GellaInference.from_file(locate(name_or_path, task="grounding"), device, precision)


def is_zero_shot(name_or_path: str | Path) -> bool:
    """Whether a name stands for public models; a path or a file of that name does not."""
    return isinstance(name_or_path, str) and name_or_path.startswith("zero-shot") and not os.path.isfile(name_or_path)
