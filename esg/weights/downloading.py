"""Downloads published checkpoints from their authors' page on the Hugging Face hub; nothing else uses the network."""

from __future__ import annotations

import contextlib
import errno
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..support.errors import WeightsError
from ..support.files import at_home
from .catalogue import HUB_FOLDER, HUB_PAGE, HUB_REPOSITORY, SUFFIXES, Checkpoint, checkpoint_named
from .finding import find_in, folders_of, locate, record_sha256, sha256, verify

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoFile

logger = logging.getLogger(__name__)


def download(
    name: str,
    *,
    folder: str | Path | None = None,
    token: str | None = None,
    say: Callable[[str], None] = logger.info,
) -> Path:
    """Downloads a published checkpoint from its authors' page, and checks its size and SHA-256 against the hub's.

    A file that is already there is only checked, offline; an interrupted download resumes. The progress bar is
    huggingface_hub's own. `say` gets the licence as one line before the transfer begins.

    Args:
        name: name of a checkpoint.
        folder: destination; by default $ESG_WEIGHTS, or else the folder `esg` in HF_HOME.
        token: token of a Hugging Face account that has accepted the authors' terms; by default the one logged in.
        say: function called with the lines that the user should see.

    Returns:
        The path of the file; `locate(name)` finds it from now on if it is in one of the default places.

    Raises:
        WeightsError: the download failed; the message says what to do (terms, login, network, disk, a wrong file).
    """
    checkpoint = checkpoint_named(name)
    if checkpoint.shipped:
        return locate(checkpoint.name)
    places = [at_home(folder)] if folder else folders_of(checkpoint)
    found = find_in(places, checkpoint)
    if found is not None:
        return verify(found).path
    from huggingface_hub import HfApi

    api = HfApi(token=token)
    with _hub_quiet(), _hub_errors(checkpoint, places[0]):
        remote = _published_file(api, checkpoint)
        say(f"{checkpoint.name} is licensed under {checkpoint.licence}: {checkpoint.credit}")
        say(f"Downloading {remote.path} ({remote.size / 2**20:.0f} MiB) to {places[0]}")
        return _fetch(api, remote, places[0] / (checkpoint.name + Path(remote.path).suffix))


def download_public(names: Sequence[str], *, say: Callable[[str], None] = logger.info) -> None:
    """Downloads public models from the Hugging Face hub into huggingface_hub's cache, where `Grounder` finds them.

    Models that are already there are skipped. Only configuration, tokenizers and weights are downloaded, and pickled
    weights only if a model does not have others.

    Args:
        names: names such as "openai/clip-vit-large-patch14-336".
        say: function called with the lines that the user should see.

    Raises:
        WeightsError: the download failed; the message says what to do.
    """
    from huggingface_hub import HfApi, snapshot_download

    from ..models.zeroshot.folders import find_model

    for name in names:
        if find_model(name) is not None:
            continue
        try:
            with _hub_quiet():
                files = HfApi().list_repo_files(name)
                weights = "*.safetensors" if any(file.endswith(".safetensors") for file in files) else "*.bin"
                say(f"Downloading {name}; see its licence on https://huggingface.co/{name}")
                snapshot_download(name, allow_patterns=["*.json", "*.txt", "*.model", "*.jinja", weights])
        except Exception as error:  # huggingface_hub's, requests', httpx's or xet's
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:160]
            raise WeightsError(
                f"{name} cannot be downloaded ({reason}): check the network and HF_HUB_OFFLINE and try again, or get "
                f"it with `hf download {name}`."
            ) from error


def _published_file(api: HfApi, checkpoint: Checkpoint) -> RepoFile:
    """The file in the hub's listing that is this checkpoint."""
    tree = api.list_repo_tree(HUB_REPOSITORY, HUB_FOLDER, recursive=True, repo_type="dataset")
    files: list[Any] = [entry for entry in tree if hasattr(entry, "size")]  # folders do not have a size
    found = [file for file in files if checkpoint.matches(file.path.removeprefix(f"{HUB_FOLDER}/"))]
    if len(found) == 1:
        return found[0]
    candidates = ", ".join(file.path for file in found or files if Path(file.path).suffix in SUFFIXES)
    raise WeightsError(
        f"The authors' page lists {len(found)} files that could be {checkpoint.name} (candidates: "
        f"{candidates or 'none'}); download the right one from {HUB_PAGE} and give its path."
    )


def _fetch(api: HfApi, remote: RepoFile, path: Path) -> Path:
    """Downloads to `path`.part, which a later call resumes, and renames it once its hash matches the hub's.

    `hf_hub_download` would be less code, but since huggingface_hub 2 it restarts broken downloads from the beginning.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers

    url = hf_hub_url(HUB_REPOSITORY, remote.path, repo_type="dataset", endpoint=api.endpoint)
    location = get_hf_file_metadata(url, token=api.token).location
    headers = build_hf_headers(token=api.token)
    if urlsplit(location).netloc != urlsplit(url).netloc:
        headers.pop("authorization", None)  # the storage server must not see the hub's token
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
    digest = sha256(part)
    if part.stat().st_size != remote.size or (remote.lfs and remote.lfs.sha256 != digest):
        part.unlink()
        raise WeightsError(
            f"{path.name} arrived damaged (its SHA-256 differs from the hub's) and was deleted; download it again."
        )
    record_sha256(path, digest)
    part.replace(path)
    return path


@contextlib.contextmanager
def _hub_quiet() -> Iterator[None]:
    """Keeps huggingface_hub from logging every failed attempt; ESG reports the outcome."""
    from huggingface_hub.utils import logging as hub_logging  # sets its level when first imported

    level = logging.getLogger("huggingface_hub").level
    hub_logging.set_verbosity_error()
    try:
        yield
    finally:
        hub_logging.set_verbosity(level)


@contextlib.contextmanager
def _hub_errors(checkpoint: Checkpoint, folder: Path) -> Iterator[None]:
    """Turns any exception from huggingface_hub into one sentence.

    They may be its own, requests', httpx's or xet's, depending on its version, hence the broad `except`.
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
            f"The authors' page refuses to send you {checkpoint.name} (status {status}): accept the terms on "
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
