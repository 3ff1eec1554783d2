"""Recognises GELLA's weight files by their metadata and weight names."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from ...support.errors import WeightsError

_OWN = "association.entity.weight"  # a weight that no other model has
_RUN = "gella."  # prefix of all names in the checkpoints of a training run


def is_gella(names: Collection[str], metadata: Mapping[str, str]) -> bool:
    """Whether a weight file with these names and metadata is one of GELLA, complete or not."""
    return "tokenizer" in metadata or _OWN in names or _RUN + _OWN in names


def check_no_run(names: Collection[str], path: str | Path) -> None:
    """Raises WeightsError if the weights are a checkpoint of a training run, which is not a complete weight file."""
    if _RUN + _OWN in names:
        raise WeightsError(
            f"{path} is a checkpoint of a training run; `esg train gella --out {Path(path).parent} --export "
            "FILE.safetensors` finishes the run and writes a weight file that you can use."
        )


def check_whole(names: Collection[str], metadata: Mapping[str, str], path: str | Path) -> None:
    """Checks that a GELLA file can be loaded.

    Raises:
        WeightsError: it is a checkpoint of a training run, or its metadata are missing.
    """
    check_no_run(names, path)
    if lacking := sorted({"config", "tokenizer"} - metadata.keys()):
        raise WeightsError(
            f"{path} holds weights of GELLA, but its metadata lack {' and '.join(lacking)}; get the file again."
        )
