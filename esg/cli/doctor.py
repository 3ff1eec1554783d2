"""`esg doctor`: what is installed, which devices there are, which attention runs where, and what can be compiled."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import platform
import shutil
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from ..version import __version__
from .console import Console, counted

_NEEDED = ("torch", "transformers", "numpy", "scipy", "pillow", "safetensors", "huggingface_hub")
_OPTIONAL: dict[str, tuple[str, str | None]] = {  # package: what it is for, and an extra that brings it
    "gradio": ("the page", "demo"),
    "opencv-python-headless": ("removing things with OpenCV", "demo"),
    "diffusers": ("repainting with a diffusion model", "diffusion"),
    "xformers": ("memory-efficient attention on NVIDIA GPUs", "xformers"),
    "bitsandbytes": ("language models in 8 or 4 bits", None),
    "pycocotools": ("average precision", "eval"),
    "pysodmetrics": ("`esg eval foreground`", "eval"),
    "matplotlib": ("plots", "eval"),
    "accelerate": ("training on several GPUs, diffusion models, and language models in 8 or 4 bits", "train"),
    "peft": ("LoRA", "train"),
    "ray": ("`esg batch`", "batch"),
    "pyarrow": ("the tables of `esg batch`", "batch"),
    "pillow-heif": ("HEIC photos", "heif"),
    "pillow-avif-plugin": ("AVIF photos, if Pillow is older than 11.3", "avif"),
    "pillow-jxl-plugin": ("JPEG XL photos", "jxl"),
    "av": ("videos", "video"),
}
_MODULES = {  # those whose names differ from the packages'
    "opencv-python-headless": "cv2",
    "pysodmetrics": "py_sod_metrics",
    "pillow-heif": "pillow_heif",
    "pillow-avif-plugin": "pillow_avif",
    "pillow-jxl-plugin": "pillow_jxl",
}


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
            bringing = f", or the extra esg[{extra}]" if extra else ""
            lines.append(f"  {package} is not installed; it is for {purpose} (pip install {package}{bringing})")
    return lines


def _devices() -> list[str]:
    """The devices, what `auto` stands for, and the attention of each model there."""
    import torch

    from ..support.device import choose_device

    cores, threads = counted(os.cpu_count() or 1, "core"), counted(torch.get_num_threads(), "thread")
    lines = [f"Devices: cpu ({cores}, PyTorch uses {threads})"]
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
        lines.append(f"  attention auto on {device}: {_attention(device)}")
        lines.append(f"  --compile on {device}: {_compiler(device)}")
    if reason := _unused_xformers():
        lines.append(f"  xformers is installed but not used: {reason}")
    return lines


def _attention(device: str) -> str:
    """The attention that `auto` stands for on a device, and the models that use it."""
    from ..models.layers.transformers_attention import backend_in_transformers
    from ..support.attention import chosen

    names = {"sdpa": "PyTorch's own (sdpa)", "xformers": "xformers"}
    ours, theirs = chosen("auto", device), backend_in_transformers("auto", device)
    if ours == theirs:
        return f"{names[ours]} for CropFormer and GELLA, and for CLIP, language and diffusion models that support it"
    return (
        f"{names[ours]} for CropFormer and GELLA, and for diffusion models that support it; {names[theirs]} for CLIP "
        f"and language models, also GELLA's, because transformers {_version('transformers')} cannot use {names[ours]}"
    )


def _unused_xformers() -> str | None:
    """Why xformers is not used although it is installed; None if it is used or not installed."""
    import torch

    if importlib.util.find_spec("xformers") is None:
        return None
    try:
        importlib.import_module("xformers.ops")
    except Exception as error:  # whatever a library that does not fit raises
        first = next(iter(str(error).splitlines()), "")
        return f"it cannot be imported ({type(error).__name__}: {first})"
    return None if torch.cuda.is_available() else "it needs CUDA, which this PyTorch cannot use here"


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
