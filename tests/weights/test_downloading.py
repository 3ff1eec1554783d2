"""Downloads from a local stand-in for the hub."""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import huggingface_hub
import pytest
import torch
from huggingface_hub import constants, utils
from safetensors.torch import save

from esg import WeightsError
from esg.weights.catalogue import HUB_FOLDER
from esg.weights.downloading import download
from esg.weights.finding import locate, verify

pytestmark = pytest.mark.usefixtures("hf_home")

HORNET = f"{HUB_FOLDER}/Entity_Segmentation/CropFormer_hornet_3x/CropFormer_hornet_3x_03823a.pth"
CONTENT = save({"w": torch.arange(5000.0)})


class Hub(ThreadingHTTPServer):
    """What of the Hugging Face hub a download needs: the listing of a folder, and files with checksum and ranges."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), HubHandler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.files = {HORNET: CONTENT}
        self.served: dict[str, bytes] = {}  # where it differs from what the listing states
        self.listing_status = self.file_status = 200
        self.breaks_off = False  # the next transfer ends half way, and nothing more is handed out then
        self.transfers: list[str] = []  # the Range header of each
        self.tokens: set[str] = set()
        self.storage = ""  # where the files really lie, if not here
        self.storage_tokens: set[str] = set()


class HubHandler(BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        tokens = self.server.storage_tokens if path == "/storage" else self.server.tokens
        tokens.add(self.headers.get("Authorization", ""))
        repository = "datasets/qqlu1992/Adobe_EntitySeg"
        if path.startswith(f"/api/{repository}/tree/main/{HUB_FOLDER}"):
            listing = json.dumps(self.listing() if self.server.listing_status == 200 else {})
            self.answer(self.server.listing_status, listing.encode())
        elif path.startswith(f"/{repository}/resolve/main/"):
            self.file(path.removeprefix(f"/{repository}/resolve/main/"))
        elif path == "/storage":
            self.file(HORNET)
        else:
            self.answer(404)

    def listing(self) -> list[dict]:
        rows: list[dict] = [{"type": "directory", "path": f"{HUB_FOLDER}/Entity_Segmentation", "oid": "0" * 40}]
        for path, content in self.server.files.items():
            lfs = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}
            rows.append({"type": "file", "path": path, "oid": "1" * 40, "size": len(content), "lfs": lfs})
        return rows

    def file(self, path: str) -> None:
        if self.server.file_status != 200 or path not in self.server.files:
            self.answer(self.server.file_status if path in self.server.files else 404)
            return
        content = self.server.served.get(path, self.server.files[path])
        digest = hashlib.sha256(self.server.files[path]).hexdigest()
        headers = {"ETag": f'"{digest}"', "X-Repo-Commit": "2" * 40, "X-Linked-Size": str(len(content))}
        if self.command == "HEAD":
            elsewhere = {"Location": self.server.storage} if self.server.storage else {}
            self.answer(302 if elsewhere else 200, content, {**headers, **elsewhere})
            return
        wanted = self.headers.get("Range", "")
        self.server.transfers.append(wanted)
        start = int(wanted.removeprefix("bytes=").split("-")[0] or 0)
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self.answer(206 if start else 200, content[start:], headers, broken=self.server.breaks_off)
        if self.server.breaks_off:
            self.server.breaks_off, self.server.file_status = False, 500

    def answer(self, status: int, body: bytes = b"{}", headers: dict | None = None, broken: bool = False) -> None:
        self.send_response(status)
        for key, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[: len(body) // 2] if broken else body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A running stand-in, to which huggingface_hub's real code talks."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    # Before version 1.0 a session that has begun offline stays so.
    forget_sessions = getattr(utils, "reset_sessions", lambda: None)
    forget_sessions()
    with Hub() as server:
        monkeypatch.setattr(huggingface_hub, "HfApi", partial(huggingface_hub.HfApi, endpoint=server.url))
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()
    forget_sessions()


def test_download(hub: Hub, hf_home: Path) -> None:
    said: list[str] = []
    path = download("cropformer-hornet-l", token="hf_secret", say=said.append)
    assert path == hf_home / "esg" / "cropformer-hornet-large.pth" == locate("cropformer-hornet-large")
    assert path.read_bytes() == CONTENT
    assert hub.tokens == {"Bearer hf_secret"}
    assert [line for line in said if "CC BY-NC 4.0" in line and "Lu Qi" in line] == said[:1]
    checked = verify("cropformer-hornet-large")
    assert (checked.path, checked.recorded, checked.parameters) == (path, True, 5000)
    assert checked.sha256 == hashlib.sha256(CONTENT).hexdigest()


@pytest.mark.parametrize("where", ["argument", "variable"])
def test_download_into_a_folder(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    folder = tmp_path / "own"
    monkeypatch.setenv("ESG_WEIGHTS", str(folder))
    path = download("cropformer-hornet-large", folder=folder if where == "argument" else None)
    assert path == folder / "cropformer-hornet-large.pth" == locate("cropformer-hornet-large")
    assert {file.name for file in folder.iterdir()} == {path.name, path.name + ".sha256"}


def test_what_is_there_is_not_fetched_again(hub: Hub) -> None:
    path = download("cropformer-hornet-large")
    hub.listing_status = hub.file_status = 500
    assert download("cropformer-hornet-large") == path
    path.write_bytes(CONTENT[:-1] + b"!")
    with pytest.raises(WeightsError, match="has changed since it was downloaded"):
        download("cropformer-hornet-large")


def test_token_stays_with_the_hub(hub: Hub, tmp_path: Path) -> None:
    """The hub sends large files to a storage with an address of its own; the token is not for it."""
    hub.storage = f"http://localhost:{hub.server_port}/storage"
    download("cropformer-hornet-large", token="hf_secret")
    assert hub.storage_tokens == {""}
    assert hub.tokens == {"Bearer hf_secret"}


def test_shipped_weights_need_no_download(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.listing_status = 404
    monkeypatch.setattr("esg.weights.finding.ASSETS", tmp_path)
    with pytest.raises(WeightsError, match="reinstall ESG"):
        download("cropformer-nano")
    asset = tmp_path / "cropformer-nano.safetensors"
    asset.touch()
    assert download("cropformer-nano", folder=tmp_path / "own") == locate("cropformer-nano") == asset


def test_interrupted_download_is_resumed(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1000)  # bytes that are written at a time
    hub.breaks_off = True
    with pytest.raises(WeightsError):
        download("cropformer-hornet-large", folder=tmp_path)
    hub.file_status = 200
    assert download("cropformer-hornet-large", folder=tmp_path).read_bytes() == CONTENT
    first, second = hub.transfers
    assert first == ""
    assert 0 < int(second.removeprefix("bytes=").removesuffix("-")) <= len(CONTENT) // 2


def test_file_that_is_not_what_the_hub_states_is_deleted(hub: Hub, hf_home: Path) -> None:
    hub.served[HORNET] = CONTENT[:-1] + b"!"
    with pytest.raises(WeightsError, match=r"damaged .* was deleted"):
        download("cropformer-hornet-large")
    assert not list((hf_home / "esg").iterdir())
    hub.served.clear()
    assert download("cropformer-hornet-large").read_bytes() == CONTENT


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("refuses", ["listing_status", "file_status"])
def test_refusal_is_explained(hub: Hub, tmp_path: Path, refuses: str, status: int) -> None:
    setattr(hub, refuses, status)
    with pytest.raises(WeightsError, match=r"accept the terms on https://.*hf auth login.*token.*browser") as caught:
        download("cropformer-hornet-large", folder=tmp_path)
    assert f"status {status}" in str(caught.value)
    assert not list(tmp_path.glob("*.pth*"))


def test_gone_folder_is_explained(hub: Hub) -> None:
    hub.listing_status = 404
    with pytest.raises(WeightsError, match="status 404"):
        download("cropformer-hornet-large")


@pytest.mark.parametrize("extra", [[], ["Entity_Segmentation/CropFormer_hornet_1x/a.pth"]])
def test_listing_without_exactly_one_match_names_candidates(hub: Hub, extra: list[str]) -> None:
    hub.files = {
        f"{HUB_FOLDER}/Entity_Segmentation/CropFormer_swin_tiny_3x/b.pth": b"",
        **({HORNET: b""} if extra else {}),
    }
    hub.files |= {f"{HUB_FOLDER}/{path}": b"" for path in extra}
    with pytest.raises(WeightsError, match="lists 2 files.*_3x_03823a.pth" if extra else "lists 0 files.*b.pth"):
        download("cropformer-hornet-large")


@pytest.mark.parametrize("offline", [True, False], ids=["HF_HUB_OFFLINE", "nobody listens"])
def test_no_network_is_explained(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, offline: bool
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # between huggingface_hub's own further tries
    monkeypatch.setattr(huggingface_hub, "HfApi", partial(huggingface_hub.HfApi, endpoint="http://127.0.0.1:9"))
    level = logging.getLogger("huggingface_hub").level
    with pytest.raises(WeightsError, match=r"hub cannot be reached.*browser"):
        download("cropformer-hornet-large")
    assert caplog.records == []  # nothing of every single try
    assert logging.getLogger("huggingface_hub").level == level


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "no disk space"),
        (PermissionError(errno.EACCES, "Permission denied", "x"), "cannot be written to .*choose another folder"),
    ],
)
def test_disk_errors_are_explained(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, says: str
) -> None:
    def failing(*args: object, **kwargs: object) -> None:
        raise error

    monkeypatch.setattr("huggingface_hub.file_download.http_get", failing)
    with pytest.raises(WeightsError, match=says):
        download("cropformer-hornet-large", folder=tmp_path)


def test_folder_that_is_a_file_is_explained(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(WeightsError, match="cannot be written"):
        download("cropformer-hornet-large", folder=tmp_path / "taken")
