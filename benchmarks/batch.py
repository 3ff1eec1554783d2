"""Measures how `esg batch` scales with its workers, and the cost of a photo and of a shard besides the model.

    python -m benchmarks.batch

Runs the same photos with one and with two workers of one CPU thread each, alternately, and compares the rates from the
moment when every worker has loaded its model and done a shard. Then it compares plain loops in one and two processes:
their ratio is what the machine allows. It also measures the rate at which Ray hands out shards, and the sizes of the
results and of the plan.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Iterable
from pathlib import Path

from PIL import Image

from esg.batch.cluster import Workers, import_ray
from esg.batch.cluster import run as run_on_ray
from esg.batch.inputs import list_sources
from esg.batch.ledger import Ledger, Summary
from esg.batch.places import Place
from esg.batch.running import Run
from esg.batch.settings import Settings
from esg.batch.shards import Shard, Source
from esg.batch.worker import Worker
from esg.support.errors import InputError

from .records import add_out, save

EXAMPLES = sorted((Path(__file__).parent.parent / "web_demo/examples").glob("*.jpg"))
SETTINGS = Settings(device="cpu", formats=("parquet", "png"), threads=1)


def rate(summaries: Iterable[Summary], warm: int) -> float:
    """Photos per second after the first `warm` shards."""
    photos, began = 0, time.perf_counter()
    for number, summary in enumerate(summaries, start=1):
        if number <= warm:
            began = time.perf_counter()
        else:
            photos += summary.photos
    return photos / (time.perf_counter() - began)


def with_workers(folder: Path, number: int, each: int) -> float:
    """Photos per second with so many workers."""
    with tempfile.TemporaryDirectory() as out:
        run = Run(list_sources([str(folder)]), SETTINGS, out, photos_each=each)
        workers = Workers(number=number, threads=1)
        return rate(run.work(lambda shards: run_on_ray(shards, SETTINGS, out, workers)), number)


def without_ray(folder: Path, each: int) -> tuple[float, dict[str, float]]:
    """Photos per second in this process, and the bytes per photo of each kind of result."""
    with tempfile.TemporaryDirectory() as out:
        run = Run(list_sources([str(folder)]), SETTINGS, out, photos_each=each)
        worker = Worker(SETTINGS, out)
        found = rate(run.work(lambda shards: map(worker, shards)), 1)
        photos = len(list(folder.iterdir()))
        sizes = {
            name: sum(path.stat().st_size for path in Path(out, name).iterdir()) / photos
            for name in ("entities", "labels")
        }
        sizes["photo"] = sum(path.stat().st_size for path in folder.iterdir()) / photos
    return found, sizes


def loops(folder: Path, number: int, each: int) -> float:
    """Photos per second of so many plain loops in processes of their own: the most that workers can reach here."""
    command = [sys.executable, "-m", "benchmarks.batch", "--loop", str(folder), "--each", str(each)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(number)]
    return sum(float(process.communicate()[0].splitlines()[-1]) for process in running)


def hand_out(number: int) -> float:
    """Shards per second that two workers get, find done, and report."""
    with tempfile.TemporaryDirectory() as out:
        ledger = Ledger(Place(out))
        shards = [Shard(one, (Source(f"/{one}.jpg", str(one)),)) for one in range(number)]
        for shard in shards:
            ledger.finish(shard, Summary(shard.number, photos=1))
        return rate(run_on_ray(shards, SETTINGS, out, Workers(number=2, threads=1)), 10)


def plan_cost(number: int) -> dict[str, float]:
    """The cost of a plan of this many tars: bytes on disk and in memory, and seconds to write and to read it."""
    sources = [Source(f"s3://bucket/photos/{one:06d}.tar", f"photos/{one:06d}", "tar") for one in range(number)]
    with tempfile.TemporaryDirectory() as out:
        began = time.perf_counter()
        Run(sources, SETTINGS, out)
        written = time.perf_counter()
        tracemalloc.start()
        plan = Ledger(Place(out)).plan()
        memory = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        disk = sum(path.stat().st_size for path in Path(out).rglob("plan-*"))
        return {
            "shards": len(plan),
            "bytes": disk / number,
            "memory": memory / number,
            "seconds": (written - began) / number,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=64)
    parser.add_argument("--each", type=int, default=4, help="photos in a shard")
    parser.add_argument("--height", type=int, default=800)
    parser.add_argument("--width", type=int, default=1200)
    parser.add_argument("--pairs", type=int, default=2, help="alternating runs with one and two workers")
    add_out(parser)
    parser.add_argument("--loop", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.loop is not None:
        print(without_ray(arguments.loop, arguments.each)[0])
        return
    try:
        import_ray(Workers())
    except InputError as error:
        print(f"skipped: {error}")
        return
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for number in range(arguments.photos):
            picture = Image.open(EXAMPLES[number % len(EXAMPLES)]).convert("RGB")
            box = (number, number, picture.width, picture.height)  # no two photos are the same
            picture.resize((arguments.width, arguments.height), box=box).save(folder / f"{number}.jpg", quality=92)
        alone, sizes = without_ray(folder, arguments.each)
        print(f"a plain loop: {alone:.2f} photos/s; load of the machine {os.getloadavg()[0]:.1f}", flush=True)
        ratios, most = [], []
        for pair in range(arguments.pairs):
            one, two = (with_workers(folder, number, arguments.each) for number in (1, 2))
            loop, both = (loops(folder, number, arguments.each) for number in (1, 2))
            ratios.append(two / one)
            most.append(both / loop)
            print(
                f"pair {pair + 1}: 1 worker {one:.2f} photos/s, 2 workers {two:.2f}, ratio {two / one:.2f}; loops "
                f"{loop:.2f} and {both:.2f}, ratio {both / loop:.2f}; load of the machine {os.getloadavg()[0]:.1f}",
                flush=True,
            )
    shards, plan = hand_out(400), plan_cost(20_000)
    figures = {
        "photos_per_second_alone": alone,
        "two_workers_to_one": statistics.median(ratios),
        "two_loops_to_one": statistics.median(most),
        "shards_per_second": shards,
        "bytes_per_photo": sizes,
        "plan_per_shard": plan,
        "load": os.getloadavg()[0],
    }
    print(f"two workers: {statistics.median(ratios):.2f} x as fast as one, median of {arguments.pairs} pairs")
    print(f"two loops without Ray: {statistics.median(most):.2f} x as fast as one, which is the most to expect here")
    print(f"Ray hands out {shards:.0f} shards per second")
    print("bytes per photo: " + ", ".join(f"{name} {size:,.0f}" for name, size in sizes.items()))
    print(
        f"a shard takes {plan['bytes']:.0f} bytes in the plan, {plan['memory']:.0f} in the driver's memory, and "
        f"{plan['seconds'] * 1e6:.0f} µs to plan"
    )
    bars = {"2 workers": statistics.median(ratios), "2 plain loops": statistics.median(most)}
    save(arguments.out, "batch", figures, bars, "photos per second: x as many as one")


if __name__ == "__main__":
    main()
