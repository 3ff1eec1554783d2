"""How long people wait for the first result: imports, the first photo, and the first words (Linux).

    python -m benchmarks.start --rounds 5

Every figure comes from fresh processes, which run alternately, and is the median over the rounds:

- `import esg`, which does not import torch, and `import torch`, which all that follows needs
- `esg segment`: one photo with the bundled weights, from the start of the process to the finished files
- words, in a process that has imported torch: loading gella-nano, with all other imports that it needs; then finding a
  phrase in the photo's entities twice, or describing the photo twice. Only the first time, the photo is encoded.

Seconds are those of the clock; CPU seconds depend less on what else is running. The ratios compare CPU seconds with
those of `import torch` in the same round.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import esg

from .end_to_end import launched
from .records import add_out, save

PHOTO = Path(__file__).resolve().parent.parent / "web_demo" / "examples" / "astronaut.jpg"
PHRASE = "the woman"
TORCH = "import torch"
IMPORTS = {
    "import esg": "import sys, esg; assert 'torch' not in sys.modules, 'import esg must not import torch'",
    TORCH: TORCH,
}
WORDS = ("ground", "describe")

Times = dict[str, dict[str, float]]
"""Seconds by the clock and of the CPU, `seconds` and `cpu`, by what they were spent on."""


def whole(name: str, command: list[str]) -> Times:
    """The times of a whole process."""
    found = launched(command)
    if found["status"]:
        raise SystemExit(f"{name} failed: `{' '.join(command)}` ended with exit status {found['status']}.")
    return {name: {"seconds": found["seconds"], "cpu": found["cpu"]}}


def segment(folder: Path) -> Times:
    """The times of `esg segment` for the photo; its files are in the folder afterwards."""
    found = whole("esg segment", [sys.executable, "-m", "esg", "segment", str(PHOTO), "--out", str(folder)])
    if not labels_in(folder).is_file():
        raise SystemExit("esg segment did not write a label map.")
    return found


def labels_in(folder: Path) -> Path:
    """The label map that `esg segment` writes."""
    return folder / f"{PHOTO.stem}.labels.png"


def words(task: str, labels: Path) -> Times:
    """The times of loading gella-nano in this process, and of doing one of `WORDS` with the photo twice."""
    found: Times = {}

    def timed(name: str, work: Callable[[], Any]) -> Any:
        cpu, start = time.process_time(), time.perf_counter()
        result = work()
        found[name] = {"seconds": time.perf_counter() - start, "cpu": time.process_time() - cpu}
        return result

    # `esg` imports the parts that this needs only now.
    grounder = timed("load gella-nano", lambda: esg.Grounder.from_pretrained("gella-nano", device="cpu"))
    entities = esg.EntityMap.from_labels_png(labels)
    tasks = {
        "ground": lambda: grounder(PHOTO, entities, phrases=[PHRASE]),
        "describe": lambda: grounder.best_caption(PHOTO, entities),
    }
    for turn in ("first", "second"):
        timed(f"{turn} {task}", tasks[task])
    return found


def words_in_a_process(task: str, labels: Path) -> Times:
    """The times of `words`, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.start", "--task", task, "--labels", str(labels)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def one_round(folder: Path) -> Times:
    """The times of everything, each in a fresh process."""
    found: Times = {}
    for name, program in IMPORTS.items():
        found |= whole(name, [sys.executable, "-c", program])
    found |= segment(folder)
    for task in WORDS:
        found |= words_in_a_process(task, labels_in(folder))
    return found


def summary(rounds: list[Times]) -> Times:
    """Medians of both times, and as `ratio` the median of the CPU seconds divided by those of `import torch`."""
    return {
        name: {
            "seconds": statistics.median(one[name]["seconds"] for one in rounds),
            "cpu": statistics.median(one[name]["cpu"] for one in rounds),
            "ratio": statistics.median(one[name]["cpu"] / one[TORCH]["cpu"] for one in rounds),
        }
        for name in rounds[0]
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="how often everything runs, in turn")
    parser.add_argument("--task", choices=WORDS, help=argparse.SUPPRESS)
    parser.add_argument("--labels", type=Path, help=argparse.SUPPRESS)
    add_out(parser)
    arguments = parser.parse_args()
    if arguments.task:
        print(json.dumps(words(arguments.task, arguments.labels)))
        return
    with tempfile.TemporaryDirectory() as folder:
        figures = summary([one_round(Path(folder)) for _ in range(arguments.rounds)])
    print(f"{'':16} {'seconds':>8} {'CPU':>8} {'CPU: x import torch':>20}")
    for name, own in figures.items():
        print(f"{name:16} {own['seconds']:8.2f} {own['cpu']:8.2f} {own['ratio']:20.2f}")
    save(arguments.out, "start", figures, {name: own["seconds"] for name, own in figures.items()}, "seconds")


if __name__ == "__main__":
    main()
