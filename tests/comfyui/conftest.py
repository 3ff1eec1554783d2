"""One real ComfyUI for all tests of this folder, with this pack in it, and another one with the Impact Pack, too.

`COMFYUI_PATH` names its checkout and `COMFYUI_PYTHON` its Python (this one, if not set); without, they are skipped.
`IMPACT_PACK_PATH` names the checkout of the Impact Pack, whose requirements that Python must have; without, what needs
it is skipped.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

PACK = "esg"  # the folder in custom_nodes: the name that is the hardest, for the core is called the same
IMPACT_PACK = "comfyui-impact-pack"  # as ComfyUI's registry calls it
JUNK = shutil.ignore_patterns(".*", "__pycache__", "build", "dist", "runs", "out", "tests", "benchmarks")
PATIENCE = 600  # seconds, for a busy machine

# Nothing that greets or asks, and graphs that a test has not opened are not opened.
SETTINGS = {
    "Comfy.TutorialCompleted": True,
    "Comfy.Locale": "en",
    "Comfy.Notification.ShowVersionUpdates": False,
    "Comfy.Workflow.Persist": False,
}

Prompt = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Run:
    """How a run ended.

    Attributes:
        status: "success" or "error", which an interrupt is, too.
        messages: what was last told of each kind, such as "execution_error".
        outputs: by node, what it gave to be shown.
    """

    status: str
    messages: dict[str, dict[str, Any]]
    outputs: dict[str, dict[str, list[Any]]]

    @property
    def cached(self) -> set[str]:
        """The nodes that did not run, because they had before."""
        return set(self.messages.get("execution_cached", {}).get("nodes", []))


class ComfyUI:
    """A ComfyUI that answers: its folder, its HTTP interface, and what it tells over its websocket."""

    def __init__(self, base: Path, port: int, process: subprocess.Popen[bytes]) -> None:
        self.base = base
        self.url = f"http://127.0.0.1:{port}"
        self.pack = base / "custom_nodes" / PACK
        self.log = base / "comfyui.log"
        self.events: list[dict[str, Any]] = []
        self._port = port
        self._process = process
        self._client = uuid.uuid4().hex

    def until_it_answers(self) -> None:
        end = time.monotonic() + PATIENCE
        while True:
            try:
                self.get("/system_stats")
                return
            except OSError:
                self._check_alive(end)
                time.sleep(0.25)

    def _check_alive(self, end: float) -> None:
        ended = self._process.poll()
        if ended is not None or time.monotonic() > end:
            what = "does not answer" if ended is None else f"ended with status {ended}"
            pytest.fail(f"ComfyUI {what}; its last lines:\n" + self.log.read_text(errors="replace")[-3000:])

    def get(self, path: str) -> bytes:
        with urllib.request.urlopen(self.url + path, timeout=60) as answer:
            content: bytes = answer.read()
            return content

    def json(self, path: str) -> Any:
        return json.loads(self.get(path))

    def post(self, path: str, content: dict[str, Any]) -> Any:
        """The answer; of a refusal, too."""
        request = urllib.request.Request(
            self.url + path, json.dumps(content).encode(), {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as refusal:
            return json.loads(refusal.read() or b"null")

    @cached_property
    def nodes(self) -> dict[str, Any]:
        """What ComfyUI knows of every node, by its id."""
        found: dict[str, Any] = self.json("/object_info")
        return found

    def node(self, kind: str, **inputs: Any) -> dict[str, Any]:
        """A node for a prompt, with the defaults of the inputs that are not given."""
        for name, (values, *options) in self.nodes[kind]["input"]["required"].items():
            default = values[0] if isinstance(values, list) else None
            default = options[0].get("default", default) if options else default
            if default is not None:
                inputs.setdefault(name, default)
        return {"class_type": kind, "inputs": inputs}

    def start(self, prompt: Prompt) -> str:
        """Has a prompt run; returns its id."""
        answer = self.post("/prompt", {"prompt": prompt, "client_id": self._client})
        assert "prompt_id" in answer, f"refused: {json.dumps(answer, indent=1)[:2000]}"
        number: str = answer["prompt_id"]
        return number

    def ended(self, number: str) -> Run:
        """The run of a prompt, when it is over."""
        end = time.monotonic() + PATIENCE
        while not (history := self.json(f"/history/{number}")):
            self._check_alive(end)
            time.sleep(0.1)
        status = history[number]["status"]
        return Run(status["status_str"], dict(status["messages"]), history[number]["outputs"])

    def run(self, prompt: Prompt) -> Run:
        return self.ended(self.start(prompt))

    def file(self, shown: dict[str, str]) -> Path:
        """Where a file lies that a node showed."""
        return self.base / shown["type"] / shown["subfolder"] / shown["filename"]

    def progress(self, number: str) -> list[tuple[str, int, int]]:
        """(node, done, total) as told so far while this prompt ran."""
        told = [event["data"] for event in list(self.events) if event["type"] == "progress"]
        return [(each["node"], each["value"], each["max"]) for each in told if each["prompt_id"] == number]

    def listen(self) -> None:
        """Gathers what is told over the websocket in `events`, until the server ends."""
        connection = socket.create_connection(("127.0.0.1", self._port))
        key = base64.b64encode(os.urandom(16)).decode()
        connection.sendall(
            f"GET /ws?clientId={self._client} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        stream = connection.makefile("rb")
        assert b" 101 " in stream.readline()
        while stream.readline().strip():
            pass

        def gather() -> None:
            while len(head := stream.read(2)) == 2:  # servers send no masked frames, and this one none in pieces
                size = head[1] & 127
                if size > 125:
                    size = int.from_bytes(stream.read(2 if size == 126 else 8), "big")
                content = stream.read(size)
                if head[0] & 15 == 1:
                    self.events.append(json.loads(content))

        threading.Thread(target=gather, daemon=True).start()


def photo(width: int, height: int) -> Image.Image:
    """A red disc and a yellow box before sky and grass, which the nano weights tell apart."""
    at = (width / 320, height / 240) * 2
    picture = Image.new("RGB", (width, height), (175, 205, 238))
    draw = ImageDraw.Draw(picture)
    draw.rectangle([a * b for a, b in zip(at, (0, 160, 320, 240))], fill=(70, 130, 50))
    draw.ellipse([a * b for a, b in zip(at, (40, 90, 130, 180))], fill=(205, 40, 40))
    draw.rectangle([a * b for a, b in zip(at, (190, 60, 270, 190))], fill=(240, 200, 40))
    return picture


@pytest.fixture(scope="session")
def checkout() -> Path:
    """The folder of ComfyUI itself."""
    named = os.environ.get("COMFYUI_PATH")
    if not named:
        pytest.skip("needs a ComfyUI: COMFYUI_PATH names its checkout, COMFYUI_PYTHON its Python")
    folder = Path(named).resolve()
    assert (folder / "main.py").is_file(), f"COMFYUI_PATH is no checkout of ComfyUI: {folder}"
    return folder


@pytest.fixture(scope="session")
def python() -> str:
    """The Python that ComfyUI runs with."""
    return os.environ.get("COMFYUI_PYTHON", sys.executable)


@pytest.fixture(scope="session")
def environment() -> dict[str, str]:
    """Variables of processes that must not go out to the network, and leave cores to others."""
    offline = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "DO_NOT_TRACK": "1"}
    return {**os.environ, **offline, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}


@pytest.fixture(scope="session")
def comfy(boot: Callable[..., AbstractContextManager[ComfyUI]]) -> Iterator[ComfyUI]:
    """ComfyUI with nothing but this pack."""
    with boot() as comfy:
        yield comfy


@pytest.fixture(scope="session")
def comfy_with_impact_pack(boot: Callable[..., AbstractContextManager[ComfyUI]]) -> Iterator[ComfyUI]:
    """ComfyUI with this pack and the Impact Pack."""
    named = os.environ.get("IMPACT_PACK_PATH")
    if not named:
        pytest.skip("needs the Impact Pack: IMPACT_PACK_PATH names its checkout")
    folder = Path(named).resolve()
    assert (folder / "modules/impact").is_dir(), f"IMPACT_PACK_PATH is no checkout of the Impact Pack: {folder}"
    with boot({IMPACT_PACK: folder}) as comfy:
        yield comfy


@pytest.fixture(scope="session")
def boot(
    checkout: Path, python: str, environment: dict[str, str], root: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., AbstractContextManager[ComfyUI]]:
    """Starts a ComfyUI on the CPU, with copies of this pack and of others, by name.

    It writes into a folder of its own, where photo.png, other.png and its own example.png are, and nowhere else.
    """

    def boot(others: dict[str, Path] | None = None) -> AbstractContextManager[ComfyUI]:
        base = tmp_path_factory.mktemp("comfyui")
        own = {**environment, "YOLO_CONFIG_DIR": str(base / "user")}  # what Impact's subpack loads writes settings
        return _running(checkout, python, own, {PACK: root, **(others or {})}, base)

    return boot


@contextmanager
def _running(
    checkout: Path, python: str, environment: dict[str, str], packs: dict[str, Path], base: Path
) -> Iterator[ComfyUI]:
    for name in ("custom_nodes", "input", "output", "temp", "user/default", "models/checkpoints", "models/entityseg"):
        (base / name).mkdir(parents=True)
    (base / "user/default/comfy.settings.json").write_text(json.dumps(SETTINGS))
    for name, folder in packs.items():
        shutil.copytree(folder, base / "custom_nodes" / name, ignore=JUNK)
    shutil.copy(checkout / "input/example.png", base / "input")
    photo(320, 240).save(base / "input/photo.png")
    photo(200, 100).save(base / "input/other.png")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    command = [python, "main.py", "--cpu", "--listen", "127.0.0.1", "--port", str(port), "--disable-auto-launch"]
    command += ["--base-directory", str(base), "--database-url", f"sqlite:///{base}/user/comfyui.db"]
    command += ["--disable-api-nodes"]
    with (base / "comfyui.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=checkout, env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        comfy = ComfyUI(base, port, process)
        comfy.until_it_answers()
        comfy.listen()
        yield comfy
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        shutil.rmtree(base / "models")  # for pytest keeps the folders of the last runs, and these are gigabytes


@pytest.fixture(scope="session")
def checkpoint(checkout: Path, python: str, environment: dict[str, str]) -> Callable[..., None]:
    """Puts a checkpoint of random numbers under a name into a ComfyUI's folder; skips where nothing makes one."""
    made: dict[str, Path] = {}

    def provide(comfy: Any, name: str, shared: Path) -> None:
        maker = shared / "tools/random_sd_checkpoint.py"
        if not maker.is_file():
            pytest.skip(f"needs weights, and nothing makes random ones: there is no {maker}")
        kind = "sd15-inpainting" if "inpainting" in name else "sd15"
        place = comfy.base / "models/checkpoints" / name
        if kind not in made:
            command = [python, str(maker), "--comfy", str(checkout), "--out", str(place), "--kind", kind, "--small"]
            subprocess.run(command, env=environment, check=True, capture_output=True, timeout=600)
            made[kind] = place
        elif not place.exists():
            place.symlink_to(made[kind])

    return provide
