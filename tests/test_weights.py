"""Names, places, downloads from a stand-in for the hub on the loopback interface, and checks of files."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import huggingface_hub
import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import save, save_file

from esg import WeightsError
from esg.cropformer.config import PRESETS
from esg.weights import CHECKPOINTS, HUB_FOLDER, checkpoint_named, download, list_checkpoints, locate, verify

# Paths as the authors name them (the first three are known from the wild), each with the checkpoint that it is.
PUBLISHED = {
    "Entity_Segmentation/CropFormer_hornet_3x/CropFormer_hornet_3x_03823a.pth": "cropformer-hornet-large",
    "Entity_Segmentation/Mask2Former_hornet_3x/Mask2Former_hornet_3x_576d0b.pth": "mask2former-hornet-large",
    "Entity_Segmentation/CropFormer_swin_tiny_3x/CropFormer_swin_tiny_3x_5cea5e.pth": "cropformer-swin-tiny",
    "Entity_Segmentation/CropFormer_swin_large_w7_3x/CropFormer_swin_large_w7_3x_6843ef.pth": "cropformer-swin-large",
    "Entity_Segmentation/Mask2Former_swin_tiny_3x/Mask2Former_swin_tiny_3x_aw12b7.pth": "mask2former-swin-tiny",
    "Entity_Segmentation/Mask2Former_swin_large_w7_3x/model_final.pth": "mask2former-swin-large",
    "Instance_Segmentation/Mask2Former_R50/Mask2Former_R50_0.pth": "mask2former-instance-r50",
    "Instance_Segmentation/Mask2Former_swin_tiny/a.pth": "mask2former-instance-swin-tiny",
    "Instance_Segmentation/Mask2Former_swin_large_w12/a.pth": "mask2former-instance-swin-large-w12",
    "Panoptic_Segmentation/panoptic_mask2former_R_50/a.pth": "mask2former-panoptic-r50",
    "Panoptic_Segmentation/panoptic_mask2former_swin_tiny/a.pth": "mask2former-panoptic-swin-tiny",
    "Panoptic_Segmentation/panoptic_mask2former_swin_large_w7/a.pth": "mask2former-panoptic-swin-large-w7",
    "Panoptic_Segmentation/panoptic_mask2former_swin_large_w12/a.pth": "mask2former-panoptic-swin-large-w12",
    "Semantic_Segmentation/semantic_r50_0f.pth": "mask2former-semantic-r50",
    "Semantic_Segmentation/semantic_swin_t_0f.pth": "mask2former-semantic-swin-tiny",
    "Semantic_Segmentation/semantic_swin_l_win7_0f.pth": "mask2former-semantic-swin-large-w7",
    "Semantic_Segmentation/semantic_swin_l_win12_0f.pth": "mask2former-semantic-swin-large-w12",
}
HORNET = f"{HUB_FOLDER}/Entity_Segmentation/CropFormer_hornet_3x/CropFormer_hornet_3x_03823a.pth"
CONTENT = save({"w": torch.arange(5000.0)})


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty HF_HOME, and no $ESG_WEIGHTS."""
    monkeypatch.setattr(constants, "HF_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "home" / "hub"))
    monkeypatch.delenv("ESG_WEIGHTS", raising=False)
    return tmp_path / "home"


# Names


def test_every_preset_has_weights_and_the_same_task() -> None:
    assert {name: checkpoint.task for name, checkpoint in CHECKPOINTS.items()} == {
        name: preset.task for name, preset in PRESETS.items()
    }


def test_every_published_path_is_one_checkpoint() -> None:
    assert {path: [c.name for c in CHECKPOINTS.values() if c.matches(path)] for path in PUBLISHED} == {
        path: [name] for path, name in PUBLISHED.items()
    }
    assert {*PUBLISHED.values(), "cropformer-nano"} == set(CHECKPOINTS)


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("cropformer-hornet-l", "cropformer-hornet-large"),
        ("CropFormer_Swin_T", "cropformer-swin-tiny"),
        ("mask2former-semantic-swin-l-w12", "mask2former-semantic-swin-large-w12"),
        ("mask2former-instance-R_50", "mask2former-instance-r50"),
        ("cropformer-nano", "cropformer-nano"),
    ],
)
def test_spellings(spelling: str, name: str) -> None:
    assert checkpoint_named(spelling).name == name


def test_unknown_name_suggests_near_ones() -> None:
    with pytest.raises(WeightsError, match=r"'cropformer-hornett'.*cropformer-hornet-large"):
        locate("cropformer-hornett")


# Places


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(CONTENT)
    return path


def test_order_of_places(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From last to first: each new file goes before those that were there."""
    name = "cropformer-hornet-large"
    snapshots = home / "hub" / "datasets--qqlu1992--Adobe_EntitySeg" / "snapshots"
    monkeypatch.setenv("ESG_WEIGHTS", str(tmp_path / "own"))
    for place in (
        snapshots / ("0" * 40) / HORNET,
        home / "esg" / f"{name}.pth",
        tmp_path / "own" / "CropFormer_hornet_3x_03823a.pth",
        tmp_path / "own" / f"{name}.safetensors",
    ):
        touch(place)
        assert locate(name) == place
    found = {checkpoint.name: path for checkpoint, path in list_checkpoints() if path and not checkpoint.shipped}
    assert found == {name: place}


def test_newest_of_several_snapshots(home: Path) -> None:
    snapshots = home / "hub" / "datasets--qqlu1992--Adobe_EntitySeg" / "snapshots"
    for revision, age in ("a", 50), ("b", 0), ("c", 100):
        path = touch(snapshots / revision / HORNET)
        os.utime(path, (time.time() - age,) * 2)
    assert locate("cropformer-hornet-large") == snapshots / "b" / HORNET


def test_missing_weights_say_where_was_looked_and_how_to_get_them(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ESG_WEIGHTS", str(tmp_path / "own"))
    with pytest.raises(WeightsError) as caught:
        locate("cropformer-swin-l")
    for part in (
        str(tmp_path / "own"),
        str(home / "esg"),
        str(home / "hub"),
        "esg weights download cropformer-swin-large",
    ):
        assert part in str(caught.value)


def test_paths(tmp_path: Path) -> None:
    file = touch(tmp_path / "a" / "mine.safetensors")
    touch(tmp_path / "a" / "mine.pth")
    assert locate(file) == locate(str(file)) == locate(tmp_path / "a") == locate(str(tmp_path / "a")) == file
    touch(tmp_path / "a" / "other.safetensors")
    with pytest.raises(WeightsError, match="several weight files"):
        locate(tmp_path / "a")
    with pytest.raises(WeightsError, match="holds no weight file"):
        locate(tmp_path)
    for missing in tmp_path / "nothing", str(tmp_path / "nothing"), "nothing.pth":
        with pytest.raises(WeightsError, match="There is no file"):
            locate(missing)


# Downloads


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
    with Hub() as server:
        monkeypatch.setattr(huggingface_hub, "HfApi", partial(huggingface_hub.HfApi, endpoint=server.url))
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_download(hub: Hub, home: Path) -> None:
    said: list[str] = []
    path = download("cropformer-hornet-l", token="hf_secret", say=said.append)
    assert path == home / "esg" / "cropformer-hornet-large.pth" == locate("cropformer-hornet-large")
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
    monkeypatch.setattr("esg.weights.ASSETS", tmp_path)
    with pytest.raises(WeightsError, match="install ESG again"):
        download("cropformer-nano")
    asset = touch(tmp_path / "cropformer-nano.safetensors")
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


def test_file_that_is_not_what_the_hub_states_is_deleted(hub: Hub, home: Path) -> None:
    hub.served[HORNET] = CONTENT[:-1] + b"!"
    with pytest.raises(WeightsError, match=r"damaged .* was deleted"):
        download("cropformer-hornet-large")
    assert not list((home / "esg").iterdir())
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
    with pytest.raises(WeightsError, match="lists 2 files.*_3x_03823a.pth" if extra else "lists no files.*b.pth"):
        download("cropformer-hornet-large")


@pytest.mark.parametrize("offline", [True, False], ids=["HF_HUB_OFFLINE", "nobody listens"])
def test_no_network_is_explained(hub: Hub, monkeypatch: pytest.MonkeyPatch, offline: bool) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # between huggingface_hub's own further tries
    monkeypatch.setattr(huggingface_hub, "HfApi", partial(huggingface_hub.HfApi, endpoint="http://127.0.0.1:9"))
    with pytest.raises(WeightsError, match=r"hub cannot be reached.*browser"):
        download("cropformer-hornet-large")


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


# Checks


def test_verify_without_record_reads_the_file(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(2, 3)}, tmp_path / "a.safetensors")
    checked = verify(tmp_path / "a.safetensors")
    assert (checked.recorded, checked.parameters) == (False, 6)


def test_verify_notices_a_change(hub: Hub, tmp_path: Path) -> None:
    path = download("cropformer-hornet-large", folder=tmp_path)
    path.write_bytes(CONTENT[:-1] + b"!")
    with pytest.raises(WeightsError, match="has changed since it was downloaded"):
        verify(path)


def test_verify_refuses_what_is_no_weights(tmp_path: Path) -> None:
    (tmp_path / "a.pth").write_text("<html>")
    with pytest.raises(WeightsError, match="web page"):
        verify(tmp_path / "a.pth")
