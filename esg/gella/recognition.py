"""Telling GELLA's weights from others by what a file says of itself, and by the names in it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from ..errors import WeightsError

_OWN = "association.entity.weight"  # which no other model has
_RUN = "gella."  # before all names in the checkpoints of a training run


def is_gella(names: Collection[str], metadata: Mapping[str, str]) -> bool:
    """Whether a weight file of these tensors and with this metadata is one of GELLA, whole or not."""
    return "tokenizer" in metadata or _OWN in names or _RUN + _OWN in names


def check_no_run(names: Collection[str], path: str | Path) -> None:
    """WeightsError where the weights are those of a training run, whose folder holds what else a model needs."""
    if _RUN + _OWN in names:
        raise WeightsError(
            f"{path} is a checkpoint of a training run; `esg train gella --out {Path(path).parent} --export "
            "FILE.safetensors` finishes the run and writes a weight file, which can be used."
        )


def check_whole(names: Collection[str], metadata: Mapping[str, str], path: str | Path) -> None:
    """Tells what keeps a file of GELLA's weights from being loaded without more.

    Raises:
        WeightsError: it is the checkpoint of a training run, or its metadata are gone.
    """
    check_no_run(names, path)
    if lacking := sorted({"config", "tokenizer"} - metadata.keys()):
        raise WeightsError(
            f"{path} holds weights of GELLA without its {' and '.join(lacking)} in the metadata; get the file again."
        )
