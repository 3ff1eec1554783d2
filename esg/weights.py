"""What can be loaded, from where and under which licence; finding, downloading and checking weights.

Nothing here touches the network but `download`. How a weight file is read is in `statedict`.
"""

from __future__ import annotations

import contextlib
import difflib
import errno
import hashlib
import logging
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from .errors import WeightsError
from .statedict import read_state_dict

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoFile

logger = logging.getLogger(__name__)

HUB_REPOSITORY = "qqlu1992/Adobe_EntitySeg"  # a *dataset* repository of the Hugging Face hub
HUB_FOLDER = "CropFormer_model"
HUB_PAGE = f"https://huggingface.co/datasets/{HUB_REPOSITORY}"
ASSETS = Path(__file__).parent / "assets"
SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".pkl")  # in the order of preference


@dataclass(frozen=True)
class Checkpoint:
    """Weights that have a name.

    Attributes:
        name: as in `esg.cropformer.config.PRESETS`.
        task: "entity", "instance", "semantic" or "panoptic".
        pattern: regular expression that the path of the published file matches within its task, in lower case; empty
            for the weights that ship with the package. The file names carry a hash, so they are found and not stated.
        licence: the licence's name.
        credit: whose work it is, and where the licence stands.
    """

    name: str
    task: str = "entity"
    pattern: str = ""
    licence: str = "CC BY-NC 4.0"
    credit: str = (
        f"Lu Qi et al., High-Quality Entity Segmentation, ICCV 2023; {HUB_PAGE}; "
        "https://creativecommons.org/licenses/by-nc/4.0/ (no commercial use)"
    )

    @property
    def shipped(self) -> bool:
        """Whether the weights come with the package."""
        return not self.pattern

    def matches(self, path: str) -> bool:
        """Whether `path`, relative to a folder of weights, is the published file or one named after the checkpoint."""
        path = path.lower()
        if Path(path).suffix not in SUFFIXES:
            return False
        if Path(path).stem == self.name:
            return True
        # The task is a folder of its own on the hub; a file that names no task is an entity model.
        task = next((task for task in ("instance", "semantic", "panoptic") if task in path), "entity")
        return not self.shipped and task == self.task and re.search(self.pattern, path) is not None


# Parts of the patterns. The [^/]* between them keeps them within one folder's or one file's name.
_R50 = r"r[_-]?50"
_TINY = r"swin[_-]?t(iny)?(?![a-z])"
_LARGE = r"swin[_-]?l(arge)?(?![a-z])"
_HORNET = r"hornet"
_W7 = r"[^/]*w(in)?7(?!\d)"
_W12 = r"[^/]*w(in)?12(?!\d)"
_NOT_W7 = r"(?!.*[_-]w(in)?7(?!\d))"

CHECKPOINTS: dict[str, Checkpoint] = {
    checkpoint.name: checkpoint
    for checkpoint in (
        Checkpoint(
            "cropformer-nano",
            licence="Apache-2.0",
            credit="ships with ESG; trained in part on BSDS500 photos, which are for research (see its model card)",
        ),
        Checkpoint("cropformer-swin-tiny", pattern=f"cropformer[^/]*{_TINY}"),
        Checkpoint("cropformer-swin-large", pattern=f"cropformer[^/]*{_LARGE}"),
        Checkpoint("cropformer-hornet-large", pattern=f"cropformer[^/]*{_HORNET}"),
        Checkpoint("mask2former-swin-tiny", pattern=f"mask2former[^/]*{_TINY}"),
        Checkpoint("mask2former-swin-large", pattern=f"mask2former[^/]*{_LARGE}"),
        Checkpoint("mask2former-hornet-large", pattern=f"mask2former[^/]*{_HORNET}"),
        Checkpoint("mask2former-instance-r50", "instance", _R50),
        Checkpoint("mask2former-instance-swin-tiny", "instance", _TINY),
        Checkpoint("mask2former-instance-swin-large-w12", "instance", _LARGE + _NOT_W7),
        Checkpoint("mask2former-panoptic-r50", "panoptic", _R50),
        Checkpoint("mask2former-panoptic-swin-tiny", "panoptic", _TINY),
        Checkpoint("mask2former-panoptic-swin-large-w7", "panoptic", _LARGE + _W7),
        Checkpoint("mask2former-panoptic-swin-large-w12", "panoptic", _LARGE + _W12),
        Checkpoint("mask2former-semantic-r50", "semantic", _R50),
        Checkpoint("mask2former-semantic-swin-tiny", "semantic", _TINY),
        Checkpoint("mask2former-semantic-swin-large-w7", "semantic", _LARGE + _W7),
        Checkpoint("mask2former-semantic-swin-large-w12", "semantic", _LARGE + _W12),
    )
}


def checkpoint_named(name: str) -> Checkpoint:
    """The checkpoint of that name; "cropformer-hornet-l", "Mask2Former_swin_T" and the like are understood.

    Raises:
        WeightsError: there is none; the message suggests the nearest names.
    """
    canonical = name.lower().replace("_", "-")
    canonical = re.sub(r"(swin|hornet)-l(?=-|$)", r"\1-large", canonical)
    canonical = re.sub(r"swin-t(?=-|$)", "swin-tiny", canonical)
    canonical = re.sub(r"(resnet|r)-?50", "r50", canonical)
    if canonical in CHECKPOINTS:
        return CHECKPOINTS[canonical]
    near = difflib.get_close_matches(canonical, CHECKPOINTS) or list(CHECKPOINTS)[:4]
    raise WeightsError(
        f"There is no model or file called {name!r}; did you mean {', '.join(near)}? "
        "`esg weights list` names all models."
    )


def locate(name_or_path: str | Path) -> Path:
    """The file that holds the weights, without any use of the network.

    Args:
        name_or_path: the path of a file, of a folder that holds one weight file, or the name of a model. A model's
            weights are looked up in the package's own assets or in $ESG_WEIGHTS, the folder `esg` in HF_HOME, and
            huggingface_hub's cache, in this order.

    Raises:
        WeightsError: there is no such file; the message names the places that were looked at.
    """
    path = Path(name_or_path).expanduser()
    if isinstance(name_or_path, Path) or len(path.parts) > 1 or path.suffix.lower() in SUFFIXES or path.is_file():
        return _file_at(path)
    try:
        checkpoint = checkpoint_named(str(name_or_path))
    except WeightsError:
        if path.is_dir():
            return _file_at(path)
        raise
    folders = _folders(checkpoint)
    found = _find(checkpoint, folders)
    if found is not None:
        return found
    tried = ", ".join(str(folder) for folder in folders)
    if checkpoint.shipped:
        raise WeightsError(f"The weights of {checkpoint.name} are missing from {tried}; install ESG again.")
    raise WeightsError(
        f"The weights of {checkpoint.name} are not on this machine (looked in {tried}); get them with "
        f"`esg weights download {checkpoint.name}`, or give the path of the file instead of the name."
    )


def list_checkpoints() -> list[tuple[Checkpoint, Path | None]]:
    """Every checkpoint that has a name, with its file on this machine or None."""
    return [(checkpoint, _find(checkpoint, _folders(checkpoint))) for checkpoint in CHECKPOINTS.values()]


def _file_at(path: Path) -> Path:
    if path.is_file():
        return path
    if not path.is_dir():
        raise WeightsError(f"There is no file {path}.")
    for suffix in SUFFIXES:
        files = sorted(file for file in path.iterdir() if file.suffix.lower() == suffix and file.is_file())
        if len(files) > 1:
            names = ", ".join(file.name for file in files)
            raise WeightsError(f"The folder {path} holds several weight files ({names}); give the path of one.")
        if files:
            return files[0]
    raise WeightsError(f"The folder {path} holds no weight file ({', '.join(SUFFIXES)}).")


def _folders(checkpoint: Checkpoint) -> list[Path]:
    """Where the checkpoint may lie: the first is where a download goes, the last is huggingface_hub's own cache."""
    if checkpoint.shipped:
        return [ASSETS]
    from huggingface_hub import constants

    own = os.environ.get("ESG_WEIGHTS")
    cache = Path(constants.HF_HUB_CACHE) / f"datasets--{HUB_REPOSITORY.replace('/', '--')}" / "snapshots"
    return [*([Path(own).expanduser()] if own else []), Path(constants.HF_HOME) / "esg", cache]


def _find(checkpoint: Checkpoint, folders: list[Path]) -> Path | None:
    """The checkpoint's file in the first of the folders that has one.

    Of several in one folder it is the one with exactly the checkpoint's name, as `download` and `esg weights convert`
    call it, or else the newest: the cache may hold several snapshots.
    """
    for folder in folders:
        found = [
            path
            for path in folder.rglob("*")
            if checkpoint.matches(path.relative_to(folder).as_posix()) and path.is_file()
        ]
        if found:
            return max(
                found, key=lambda path: (path.stem.lower() == checkpoint.name, path.stat().st_mtime_ns, path.name)
            )
    return None


# ---------------------------------------------------------------------------------------------------------- download


def download(
    name: str,
    *,
    folder: str | Path | None = None,
    token: str | None = None,
    say: Callable[[str], None] = logger.info,
) -> Path:
    """Fetches a published checkpoint from its authors' page, and checks size and SHA-256 as the hub states them.

    What is already there is only checked, without the network; an interrupted download goes on where it ended. The
    progress bar is huggingface_hub's own. `say` gets the licence as one line before the transfer begins.

    Args:
        name: of a checkpoint.
        folder: where to put it; by default $ESG_WEIGHTS, or else the folder `esg` in HF_HOME.
        token: of a Hugging Face account that has accepted the authors' terms; by default the one logged in.
        say: takes the lines that the user should see.

    Returns:
        The path of the file; `locate(name)` finds it from now on if it is in one of the default places.

    Raises:
        WeightsError: with what to do about it (terms, login, network, disk, a file that is not what the hub states).
    """
    checkpoint = checkpoint_named(name)
    if checkpoint.shipped:
        return locate(checkpoint.name)
    places = [Path(folder).expanduser()] if folder else _folders(checkpoint)
    found = _find(checkpoint, places)
    if found is not None:
        return verify(found).path
    from huggingface_hub import HfApi

    api = HfApi(token=token)
    with _hub_errors(checkpoint, places[0]):
        remote = _published_file(api, checkpoint)
        say(f"{checkpoint.name} is licensed {checkpoint.licence}: {checkpoint.credit}")
        say(f"Downloading {remote.path} ({remote.size / 2**20:.0f} MiB) to {places[0]}")
        return _fetch(api, remote, places[0] / (checkpoint.name + Path(remote.path).suffix))


def _published_file(api: HfApi, checkpoint: Checkpoint) -> RepoFile:
    """The one file of the hub's listing that is this checkpoint."""
    tree = api.list_repo_tree(HUB_REPOSITORY, HUB_FOLDER, recursive=True, repo_type="dataset")
    files: list[Any] = [entry for entry in tree if hasattr(entry, "size")]  # folders have none
    found = [file for file in files if checkpoint.matches(file.path.removeprefix(f"{HUB_FOLDER}/"))]
    if len(found) == 1:
        return found[0]
    candidates = ", ".join(file.path for file in found or files if Path(file.path).suffix in SUFFIXES)
    raise WeightsError(
        f"The authors' page lists {len(found) or 'no'} files that could be {checkpoint.name}, among these: "
        f"{candidates or 'none'}; download the right one from {HUB_PAGE} and give its path."
    )


def _fetch(api: HfApi, remote: RepoFile, path: Path) -> Path:
    """Downloads to `path`.part, which a later call continues, and renames it when it is what the hub states.

    `hf_hub_download` would be less code, but since huggingface_hub 2 it starts a broken download from the beginning.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers

    url = hf_hub_url(HUB_REPOSITORY, remote.path, repo_type="dataset", endpoint=api.endpoint)
    location = get_hf_file_metadata(url, token=api.token).location
    headers = build_hf_headers(token=api.token)
    if urlsplit(location).netloc != urlsplit(url).netloc:
        headers.pop("authorization", None)  # the hub's token is none of the storage's business
    part = path.with_name(path.name + ".part")
    part.parent.mkdir(parents=True, exist_ok=True)
    with part.open("ab") as file:
        if file.tell() < remote.size:
            http_get(
                location,
                file,
                resume_size=file.tell(),
                headers=headers,
                expected_size=remote.size,
                displayed_filename=path.name,
            )
    digest = _sha256(part)
    if part.stat().st_size != remote.size or (remote.lfs and remote.lfs.sha256 != digest):
        part.unlink()
        raise WeightsError(f"{path.name} arrived damaged (its SHA-256 is not the hub's) and was deleted; start again.")
    _sidecar(path).write_text(f"{digest}  {path.name}\n", encoding="ascii")
    part.replace(path)
    return path


@contextlib.contextmanager
def _hub_errors(checkpoint: Checkpoint, folder: Path) -> Iterator[None]:
    """Turns whatever huggingface_hub raises into one sentence.

    Its errors are its own, requests', httpx's or xet's, depending on its version, hence the broad `except`.
    """
    try:
        yield
    except WeightsError:
        raise
    except Exception as error:
        raise WeightsError(_explain(error, checkpoint, folder)) from error


def _explain(error: Exception, checkpoint: Checkpoint, folder: Path) -> str:
    chain: list[Any] = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) and cause not in chain:
        chain.append(cause)
    status = next((link.response.status_code for link in chain if getattr(link, "response", None) is not None), None)
    system = [link for link in chain if isinstance(link, OSError)]
    by_hand = f"or download the file of {checkpoint.name} from {HUB_PAGE} in a browser and give its path"
    if status in (401, 403):
        return (
            f"The authors' page does not hand out {checkpoint.name} to you (status {status}): accept the terms on "
            f"{HUB_PAGE}, then log in with `hf auth login` or pass a token, {by_hand}."
        )
    if status is not None:
        return f"The hub answered with status {status} for {checkpoint.name}: try again later, {by_hand}."
    if any(link.errno in (errno.ENOSPC, errno.EDQUOT) for link in system):
        return (
            f"There is no disk space left for {checkpoint.name}: free some or choose another folder, and start again."
        )
    if any(
        isinstance(link, PermissionError | FileExistsError | NotADirectoryError) and link.filename for link in system
    ):
        return f"The weights cannot be written to {folder} ({error}); choose another folder."
    reason = " ".join(f"{type(error).__name__}: {error}".split())[:160]
    return (
        f"The hub cannot be reached ({reason}): check the network and HF_HUB_OFFLINE and start again "
        f"(what has arrived is kept), {by_hand}."
    )


# ------------------------------------------------------------------------------------------------------------- checks


@dataclass(frozen=True)
class Verified:
    """A weight file that was read in full.

    Attributes:
        path: of the file.
        sha256: digest of its content, hexadecimal.
        recorded: whether the digest was compared with the one kept when the file was downloaded.
        parameters: numbers in all its tensors.
    """

    path: Path
    sha256: str
    recorded: bool
    parameters: int


def verify(name_or_path: str | Path) -> Verified:
    """Reads a weight file and compares its SHA-256 with the one that was recorded when it was downloaded, if any.

    Raises:
        WeightsError: it is not there, its digest differs, or it is not readable as weights.
    """
    path = locate(name_or_path)
    recorded = _recorded_sha256(path)
    try:
        actual = _sha256(path)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({error.strerror}).") from error
    if recorded and actual != recorded:
        raise WeightsError(
            f"{path} has changed since it was downloaded (its SHA-256 differs); delete and download it again."
        )
    tensors, _ = read_state_dict(path)
    return Verified(path, actual, recorded is not None, sum(tensor.numel() for tensor in tensors.values()))


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _sidecar(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")


def _recorded_sha256(path: Path) -> str | None:
    """From the file beside it, or from huggingface_hub's cache, where a blob's name is its digest."""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        words = _sidecar(path).read_text(encoding="ascii").split()
        if words and _is_sha256(words[0]):
            return words[0]
    blob = path.resolve().name
    return blob if _is_sha256(blob) else None


def _is_sha256(text: str) -> bool:
    return re.fullmatch(r"[0-9a-f]{64}", text) is not None
