"""Many visitors of the page at the same time: checks that they do not get each other's data, and that memory is freed.

    python -m benchmarks.page_visitors --visitors 16 --photos 5

The page runs in its own process on this machine. Every visitor does what a browser does, each time with a photo of its
own size and content: uploads it, segments it, removes what the brush marks, downloads labels and photo. One visitor
comes and goes before the clock starts, so that models are loaded. Memory (Linux) is that of the server's process after
all have left.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image

from .end_to_end import photo
from .records import add_out, save

PATIENCE = httpx.Timeout(600)


class Visitor:
    """One browser tab, as seen by the server: a session with a heartbeat, events and files."""

    def __init__(self, address: str) -> None:
        self.session = uuid.uuid4().hex
        self._http = httpx.Client(base_url=f"{address}/gradio_api", timeout=PATIENCE)
        config = httpx.get(f"{address}/config", timeout=PATIENCE).json()
        self._map_number = 0
        self._ids = {one["props"].get("elem_id"): one["id"] for one in config["components"]}
        self._events = {(*target,): one for one in config["dependencies"] for target in one["targets"]}
        self._components = {one["id"]: one for one in config["components"]}
        # The server considers a tab open as long as this request is open; nobody reads its endless answer.
        place = httpx.URL(address)
        self._heart = socket.create_connection((place.host, place.port or 80))
        beat = f"GET /gradio_api/heartbeat/{self.session} HTTP/1.1\r\nHost: {place.netloc.decode()}\r\n\r\n"
        self._heart.sendall(beat.encode())
        self._fire(next(one for (_, name), one in self._events.items() if name == "load"), None)

    @property
    def chosen(self) -> dict[str, Any]:
        """The message about the selection, see `web_demo.message`: a stroke of the brush in the middle."""
        stroke = {"add": True, "radius": 0.1, "points": [[0.5, 0.5]]}
        return {"selected": [], "strokes": [stroke], "shown": 1, "map_number": self._map_number, "picture": 1}

    def _notice(self, outputs: list[Any]) -> None:
        """Remembers the number of the map if there is one among the outputs of an event."""
        for output in outputs:
            value = output.get("value", output) if isinstance(output, dict) else None
            if isinstance(value, dict) and "map_number" in value:
                self._map_number = int(value["map_number"])

    def leave(self) -> None:
        """Closes the tab."""
        self._heart.close()
        self._http.close()

    def upload(self, elem_id: str, name: str, content: bytes) -> None:
        """Chooses a file, and waits for everything that it triggers."""
        (path,) = self._http.post("/upload", files={"files": (name, content)}).raise_for_status().json()
        file = {"path": path, "orig_name": name, "meta": {"_type": "gradio.FileData"}}
        self.do(elem_id, "upload", {elem_id: file})

    def do(self, elem_id: str, event: str, values: dict[str, Any] | None = None, data: Any = None) -> Any:
        """Runs an event and those that follow it; returns the first one's output. `values`: inputs by elem_id."""
        begun = self._events[self._ids[elem_id], event]
        given = {self._ids[name]: value for name, value in (values or {}).items()}
        result = self._fire(begun, data, given)
        for one in self._events.values():
            if one["trigger_after"] == begun["id"] and one["backend_fn"]:
                self._fire(one, None, given)
        return result

    def fetch(self, file: dict[str, Any]) -> bytes:
        """The content of a file in an event's output."""
        return self._http.get(f"/file={file['path']}").raise_for_status().content

    def _fire(self, event: dict[str, Any], data: Any, given: dict[int, Any] | None = None) -> Any:
        values = [self._value(number, given or {}) for number in event["inputs"]]
        join = {"data": values, "event_data": data, "fn_index": event["id"], "session_hash": self.session}
        self._http.post("/queue/join", json=join).raise_for_status()
        with self._http.stream("GET", "/queue/data", params={"session_hash": self.session}) as lines:
            for line in lines.iter_lines():
                news = json.loads(line[5:]) if line.startswith("data:") else {}
                if news.get("msg") == "process_completed":
                    if not news["success"]:
                        raise RuntimeError(news["output"].get("error"))
                    self._notice(news["output"]["data"])
                    return news["output"]["data"]
        raise RuntimeError("The page closed the connection before it answered.")

    def _value(self, number: int, given: dict[int, Any]) -> Any:
        component = self._components[number]
        if component["type"] == "json":  # the selection, which the browser fills in
            return given.get(number, self.chosen)
        return given.get(number, component["props"].get("value"))


def visit(address: str, number: int, photos: int, crops: int) -> list[float]:
    """Simulates a visitor with several photos; returns seconds for each. RuntimeError if it gets another one's data."""
    visitor = Visitor(address)
    seconds = []
    for k in range(photos):
        pixels = photo(200 + 3 * number, 300 + 2 * k, seed=100 * number + k)
        content = BytesIO()
        Image.fromarray(pixels).save(content, "png")
        begin = time.perf_counter()
        visitor.upload("upload", f"{number}-{k}.png", content.getvalue())
        visitor.do("crops", "input", {"crops": crops})
        labels = _saved(visitor, "labels")
        before = _saved(visitor, "result")
        visitor.do("apply", "click")
        after = _saved(visitor, "result")
        seconds.append(time.perf_counter() - begin)
        if labels.shape != pixels.shape[:2] or not np.array_equal(before, pixels):
            raise RuntimeError(f"Visitor {number} got another visitor's photo or labels.")
        if after.shape != pixels.shape or np.array_equal(after, pixels):
            raise RuntimeError(f"Visitor {number}: nothing was removed, or the photo is another visitor's.")
    visitor.leave()
    return seconds


def _saved(visitor: Visitor, what: str) -> np.ndarray:
    request = {"what": what, "opacity": 0.5, "numbers": True, **visitor.chosen}
    (file,) = visitor.do("saving", "save", data=request)
    return np.asarray(Image.open(BytesIO(visitor.fetch(file))))


@contextmanager
def served(model: str) -> Iterator[tuple[str, int]]:
    """Address and process id of a running page."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "esg", "demo", "--port", str(port), "--no-browser", "--device", "cpu"]
    server = subprocess.Popen([*command, "--model", model], stderr=subprocess.PIPE, text=True)
    try:
        assert server.stderr is not None
        if "page is at" not in (line := server.stderr.readline()):
            raise RuntimeError(line)
        yield f"http://127.0.0.1:{port}", server.pid
    finally:
        server.terminate()
        server.wait()


def memory(process: int) -> float:
    """MiB that a process has in memory now."""
    for line in Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("This system does not tell the memory of a process.")


def computed(process: int) -> float:
    """Seconds of CPU time that a process has used so far, which depend less on the machine's other work."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--visitors", type=int, default=16)
    parser.add_argument("--photos", type=int, default=5, help="photos per visitor")
    parser.add_argument("--crops", type=int, default=0, choices=(0, 4, 8))
    parser.add_argument("--model", default="cropformer-nano")
    add_out(parser)
    arguments = parser.parse_args()
    with served(arguments.model) as (address, process):
        (alone,) = visit(address, 99, 1, arguments.crops)
        time.sleep(2)  # the server checks heartbeats once a second
        before, work_before = memory(process), computed(process)
        begin = time.perf_counter()
        with ThreadPoolExecutor(arguments.visitors) as pool:
            jobs = [
                pool.submit(visit, address, number, arguments.photos, arguments.crops)
                for number in range(arguments.visitors)
            ]
            seconds = np.array([job.result() for job in jobs])
        figures = {
            "seconds": time.perf_counter() - begin,
            "seconds_per_photo": float(np.median(seconds)),
            "slowest_photo": float(seconds.max()),
            "first_photo_of_one_visitor": alone,
            "server_cpu_seconds_per_photo": (computed(process) - work_before) / seconds.size,
        }
        time.sleep(2)
        after = memory(process)
    figures |= {"mib_before": before, "mib_after": after}
    print(
        f"{arguments.visitors} visitors x {arguments.photos} photos: no failure, nothing mixed up, "
        f"{figures['seconds']:.0f} s; {figures['seconds_per_photo']:.1f} s per photo (median), "
        f"{figures['slowest_photo']:.1f} s at most, one visitor alone {alone:.1f} s the first time; "
        f"{figures['server_cpu_seconds_per_photo']:.2f} s of the server's CPU time per photo; "
        f"memory {before:.0f} MiB before, {after:.0f} MiB after ({100 * (after / before - 1):+.0f} %)"
    )
    waiting = {
        "one visitor, first photo": alone,
        f"{arguments.visitors} visitors, median": figures["seconds_per_photo"],
        f"{arguments.visitors} visitors, slowest": figures["slowest_photo"],
    }
    save(arguments.out, "page_visitors", figures, waiting, "seconds per photo")


if __name__ == "__main__":
    main()
