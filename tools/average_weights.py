"""Averages weight files of the same model, for example those of several last stages of training.

    python tools/average_weights.py runs/a.safetensors runs/b.safetensors --out mean.safetensors

Weights that were trained on from the same start can be averaged, and the mean is often better than each of them
(Wortsman et al., "Model soups", ICML 2022). The metadata are those of the first file.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file


def average(files: Sequence[Path], out: Path, weights: Sequence[float] | None = None) -> None:
    """Writes the weighted mean of all tensors; by default, all files have the same weight.

    Raises:
        ValueError: the files do not have the same tensors.
    """
    weights = weights or [1.0] * len(files)
    shares = [weight / sum(weights) for weight in weights]
    total: dict[str, torch.Tensor] = {}
    for file, share in zip(files, shares, strict=True):
        with safe_open(file, "pt") as tensors:
            found = {name: tensors.get_tensor(name) for name in tensors.keys()}  # noqa: SIM118, not a dict
        if total and {name: one.shape for name, one in found.items()} != {n: one.shape for n, one in total.items()}:
            raise ValueError(f"{file} does not have the same tensors as {files[0]}.")
        for name, tensor in found.items():
            total[name] = total.get(name, torch.zeros(tensor.shape, dtype=torch.float64)) + share * tensor.double()
    with safe_open(files[0], "pt") as first:
        kinds = {name: first.get_tensor(name).dtype for name in total}
        save_file({name: total[name].to(kind) for name, kind in kinds.items()}, out, first.metadata())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--weights", nargs="+", type=float, help="of the files, in their order [all the same]")
    parser.add_argument("--out", required=True, type=Path)
    arguments = parser.parse_args()
    average(arguments.files, arguments.out, arguments.weights)


if __name__ == "__main__":
    main()
