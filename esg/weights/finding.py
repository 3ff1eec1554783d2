"""Weights on this machine: finds them, and checks that they are what was downloaded.

Nothing here uses the network; `download` does. `statedict` reads weight files.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from ..support.errors import WeightsError
from ..support.files import at_home
from ..support.weight_files import read_state_dict
from .catalogue import CHECKPOINTS, HUB_REPOSITORY, SUFFIXES, Checkpoint, checkpoint_named

ASSETS = Path(__file__).parents[1] / "assets"


def locate(name_or_path: str | Path, *, task: str | None = None) -> Path:
    """Finds the file that holds the weights, without using the network.

    Args:
        name_or_path: the path of a file, or of a folder with a single weight file, or the name of a model. A model's
            weights are looked up in the package's assets or in $ESG_WEIGHTS, the folder `esg` in HF_HOME, and
            huggingface_hub's cache, in this order.
        task: the model's task, as in `catalogue.Checkpoint`: if the name is unknown, the message suggests models for
            this task.

    Raises:
        WeightsError: there is no such file; the message names the places searched.

    >>> locate("cropformer-nano").name
    'cropformer-nano.safetensors'
    """
    if not isinstance(name_or_path, (str, Path)) or not name_or_path:
        raise WeightsError(
            f"Give the name of a model (see `esg weights list`) or the path of a file, not {name_or_path!r}."
        )
    path = at_home(name_or_path)
    if isinstance(name_or_path, Path) or len(path.parts) > 1 or path.suffix.lower() in SUFFIXES or os.path.isfile(path):
        return _file_at(path)
    try:
        checkpoint = checkpoint_named(str(name_or_path), task)
    except WeightsError:
        if os.path.isdir(path):
            return _file_at(path)
        raise
    folders = folders_of(checkpoint)
    found = find_in(folders, checkpoint)
    if found is not None:
        return found
    tried = ", ".join(str(folder) for folder in folders)
    if checkpoint.shipped:
        raise WeightsError(f"The weights of {checkpoint.name} are missing from {tried}; reinstall ESG.")
    raise WeightsError(
        f"The weights of {checkpoint.name} are not on this machine (looked in {tried}); get them with "
        f"`esg weights download {checkpoint.name}`, or give the path of a file instead of the name."
    )


def list_checkpoints() -> list[tuple[Checkpoint, Path | None]]:
    """Every named checkpoint, with its file on this machine or None.

    >>> sorted(checkpoint.name for checkpoint, path in list_checkpoints() if path and checkpoint.shipped)
    ['cropformer-nano', 'gella-nano']
    """
    return [(checkpoint, find_in(folders_of(checkpoint), checkpoint)) for checkpoint in CHECKPOINTS.values()]


def task_of(path: str | Path) -> str | None:
    """The task of a weight file, "entity" or "grounding", by its header; None if the header does not tell.

    Every file that does not ground words counts as "entity"; loading it shows whether it can be used.

    >>> task_of(locate("gella-nano"))
    'grounding'
    """
    from safetensors import SafetensorError, safe_open

    from ..models.gella.file_kind import is_gella

    if Path(path).suffix.lower() != ".safetensors":
        return None
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            return "grounding" if is_gella(set(file.keys()), file.metadata() or {}) else "entity"
    except (SafetensorError, OSError, ValueError):
        return None


def _file_at(path: Path) -> Path:
    if os.path.isfile(path):  # unlike Path.is_file, this never raises
        return path
    try:
        inside = sorted(path.iterdir())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        raise WeightsError(f"The file {path} does not exist.") from None
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({error.strerror}).") from error
    for suffix in SUFFIXES:
        files = [file for file in inside if file.suffix.lower() == suffix and os.path.isfile(file)]
        if len(files) > 1:
            names = ", ".join(file.name for file in files)
            raise WeightsError(f"The folder {path} contains several weight files ({names}); give the path of one.")
        if files:
            return files[0]
    raise WeightsError(f"The folder {path} does not contain a weight file ({', '.join(SUFFIXES)}).")


def folders_of(checkpoint: Checkpoint) -> list[Path]:
    """The folders that may contain the checkpoint: downloads go to the first; the last is huggingface_hub's cache."""
    if checkpoint.shipped:
        return [ASSETS]
    from huggingface_hub import constants

    own = os.environ.get("ESG_WEIGHTS")
    cache = Path(constants.HF_HUB_CACHE) / f"datasets--{HUB_REPOSITORY.replace('/', '--')}" / "snapshots"
    return [*([at_home(own)] if own else []), Path(constants.HF_HOME) / "esg", cache]


def find_in(folders: list[Path], checkpoint: Checkpoint) -> Path | None:
    """The checkpoint's file in the first of the folders that has one.

    If one folder has several, the file with exactly the checkpoint's name, as written by `download` and `esg weights
    convert`, takes precedence, or else the newest: the cache may hold several snapshots.
    """
    for folder in folders:
        files = (Path(place, name) for place, _, names in os.walk(folder) for name in names)
        found = [
            path for path in files if checkpoint.matches(path.relative_to(folder).as_posix()) and os.path.isfile(path)
        ]
        if found:
            return max(
                found, key=lambda path: (path.stem.lower() == checkpoint.name, path.stat().st_mtime_ns, path.name)
            )
    return None


# ------------------------------------------------------------------------------------------------------------- checks


@dataclass(frozen=True)
class Verified:
    """A weight file that was read in full.

    Attributes:
        path: path of the file.
        sha256: digest of its content, hexadecimal.
        recorded: whether the digest was compared with the one recorded when the file was downloaded.
        parameters: number of values in all its tensors.
        metadata: metadata of a safetensors file.
        names: names of its tensors.
    """

    path: Path
    sha256: str
    recorded: bool
    parameters: int
    metadata: dict[str, str] = field(default_factory=dict)
    names: frozenset[str] = frozenset()


def verify(name_or_path: str | Path) -> Verified:
    """Reads a weight file and compares its SHA-256 with the one that was recorded when it was downloaded, if any.

    Raises:
        WeightsError: the file is missing, its digest differs, or it cannot be read as weights.
    """
    path = locate(name_or_path)
    recorded = _recorded_sha256(path)
    try:
        actual = sha256(path)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({error.strerror}).") from error
    if recorded and actual != recorded:
        raise WeightsError(
            f"{path} has changed since it was downloaded (its SHA-256 differs); delete and download it again."
        )
    tensors, metadata = read_state_dict(path)
    parameters = sum(tensor.numel() for tensor in tensors.values())
    return Verified(path, actual, recorded is not None, parameters, metadata, frozenset(tensors))


def sha256(path: Path) -> str:
    """Digest of a file's content, hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def record_sha256(path: Path, digest: str) -> None:
    """Writes the digest of a weight file to a file beside it, in the format of `sha256sum --check`."""
    _record(path).write_text(f"{digest}  {path.name}\n", encoding="ascii")


def _record(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")


def _recorded_sha256(path: Path) -> str | None:
    """The digest from the file beside it, or from huggingface_hub's cache, where a blob's name is its digest."""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        words = _record(path).read_text(encoding="ascii").split()
        if words and _is_sha256(words[0]):
            return words[0]
    blob = path.resolve().name
    return blob if _is_sha256(blob) else None


def _is_sha256(text: str) -> bool:
    return re.fullmatch(r"[0-9a-f]{64}", text) is not None
