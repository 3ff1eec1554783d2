"""`esg doctor`: what is installed, which devices there are, which attention runs where, and what can be compiled."""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
import shutil
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from ..version import __version__
from .console import Console

_NEEDED = ("torch", "transformers", "numpy", "scipy", "pillow", "safetensors", "huggingface_hub")
_OPTIONAL = {  # package: what it is for, and the extra that brings it
    "gradio": ("the page", "demo"),
    "opencv-python-headless": ("removing things with OpenCV", "demo"),
    "diffusers": ("repainting with a diffusion model", "diffusion"),
    "xformers": ("memory-efficient attention on NVIDIA GPUs", "xformers"),
    "pycocotools": ("average precision", "train"),
    "accelerate": ("training on several GPUs", "train"),
    "peft": ("LoRA", "train"),
    "matplotlib": ("plots", "train"),
    "ray": ("esg batch", "batch"),
    "pillow-heif": ("HEIC photos", "heif"),
    "av": ("videos", "video"),
}
_MODULES = {"opencv-python-headless": "cv2", "pillow-heif": "pillow_heif"}  # their names differ from the packages'


def add(commands: Any) -> None:
    """Adds the command to the parser."""
    parser = commands.add_parser(
        "doctor",
        help="say what is installed, which devices there are, and what is missing",
        description="Prints versions, devices, the attention backend that each model uses there, and what is missing "
        "for which task. Attach the output to a bug report.",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace, console: Console) -> int:
    """Prints the report; returns 0."""
    console.answer(f"ESG {__version__}, Python {platform.python_version()}, {platform.platform()}")
    console.answer("Libraries: " + ", ".join(f"{name} {_version(name) or 'MISSING'}" for name in _NEEDED))
    for line in (*_optional(), "", *_devices(), "", *_weights()):
        console.answer(line)
    return 0


def _version(package: str) -> str | None:
    """The version of a package; None if it is not installed. Another package may provide its module."""
    try:
        return version(package)
    except PackageNotFoundError:
        found = importlib.util.find_spec(_MODULES.get(package, package)) is not None
        return "(another build)" if found else None


def _optional() -> list[str]:
    found = {package: _version(package) for package in _OPTIONAL}
    there = ", ".join(f"{package} {one}" for package, one in found.items() if one)
    lines = [f"Optional: {there or 'none'}"]
    for package, (purpose, extra) in _OPTIONAL.items():
        if not found[package]:
            lines.append(f"  without {package}: {purpose} (pip install '{package}', or the extra esg[{extra}])")
    return lines


def _devices() -> list[str]:
    """The devices, what `auto` stands for, and the attention of each model there."""
    import torch

    from ..support.attention import chosen, has_xformers
    from ..support.device import choose_device

    lines = [f"Devices: cpu ({os.cpu_count()} cores, PyTorch uses {torch.get_num_threads()} threads)"]
    devices = ["cpu"]
    for number in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        properties = torch.cuda.get_device_properties(number)
        lines.append(f"  cuda:{number}: {properties.name}, {properties.total_memory / 2**30:.0f} GiB")
        devices.append(f"cuda:{number}")
    if torch.backends.mps.is_available():
        lines.append("  mps: an Apple GPU")
        devices.append("mps")
    if len(devices) == 1:
        lines.append(f"  no GPU that this PyTorch can use (it was built for {_built_for()})")
    lines.append(f"  device auto is {choose_device('auto')}")
    for device in devices:
        backend = chosen("auto", device)
        meaning = "xformers" if backend == "xformers" else "PyTorch's own (sdpa)"
        lines.append(
            f"  attention auto on {device}: {meaning}, for CropFormer, GELLA, CLIP, language and diffusion models"
        )
        lines.append(f"  --compile on {device}: {_compiler(device)}")
    if len(devices) > 1 and not has_xformers() and any(device.startswith("cuda") for device in devices):
        lines.append("  with xformers (pip install xformers), attention on CUDA would use it")
    return lines


def _compiler(device: str) -> str:
    """The compiler that torch.compile uses for a device, or what is missing."""
    if device.startswith("cuda"):
        return (
            "Triton"
            if importlib.util.find_spec("triton")
            else "needs Triton (pip install triton; on Windows triton-windows)"
        )
    if device == "cpu":
        found = os.environ.get("CXX") or next(filter(None, map(shutil.which, ("g++", "clang++", "cl"))), None)
        return found or "needs a C++ compiler"
    return "not tested"


def _built_for() -> str:
    import torch

    if torch.version.cuda:
        return f"CUDA {torch.version.cuda}"
    return f"ROCm {torch.version.hip}" if torch.version.hip else "the CPU only"


def _weights() -> list[str]:
    from ..weights.finding import list_checkpoints

    found = [checkpoint.name for checkpoint, path in list_checkpoints() if path is not None]
    return [f"Weights on this machine: {', '.join(found)} (`esg weights list` says how to get others)"]
