"""`esg batch` with Ray: workers in processes of their own, some of which are killed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from patience import PATIENCE
from PIL import Image

from esg.batch import cluster
from esg.batch.cluster import Workers, choose_room
from esg.batch.inputs import list_sources
from esg.batch.running import Run
from esg.batch.settings import Settings
from esg.batch.worker import Worker
from esg.support.errors import InputError

PHOTOS = 20


@pytest.mark.parametrize(
    ("workers", "cpus", "gpus", "device", "room"),
    [
        (Workers(), 2, 0, "auto", (1, 2, 0)),
        (Workers(), 64, 0, "auto", (16, 4, 0)),
        (Workers(number=2), 2, 0, "cpu", (2, 1, 0)),
        (Workers(threads=1), 8, 0, "auto", (8, 1, 0)),
        (Workers(), 64, 8, "auto", (8, 4, 1)),
        (Workers(), 64, 8, "cpu", (16, 4, 0)),
        (Workers(gpus=0.25), 16, 2, "cuda", (8, 2, 0.25)),
        (Workers(number=3, gpus=0.5), 16, 2, "cuda", (3, 4, 0.5)),
        (Workers(number=1000, threads=2, gpus=1, address="auto"), 8, 1, "cuda", (1000, 2, 1)),
    ],
)
def test_room(workers: Workers, cpus: int, gpus: float, device: str, room: tuple[int, int, float]) -> None:
    assert choose_room(workers, cpus, gpus, device) == room


@pytest.mark.parametrize(
    ("workers", "words"),
    [
        (Workers(gpus=1), "A worker needs 1 GPU, but there are 0; use --gpus 0"),
        (Workers(number=5, threads=1), r"5 workers with 1 CPU thread each would need .* \(4 CPUs, 0 GPUs\)"),
        (Workers(threads=5, address="auto"), "1 worker with 5 CPU threads would .* lower --workers, --threads or"),
    ],
)
def test_no_room(workers: Workers, words: str) -> None:
    with pytest.raises(InputError, match=words):
        choose_room(workers, 4, 0, "auto")


@pytest.mark.parametrize(
    ("workers", "words"),
    [
        (Workers(gpus=2), "A worker needs 2 GPUs, but there is 1; use --gpus 0"),
        (Workers(number=5, gpus=0.25), "5 workers with 1 CPU thread and 0.25 GPU each would need"),
    ],
)
def test_too_few_gpus(workers: Workers, words: str) -> None:
    with pytest.raises(InputError, match=words):
        choose_room(workers, 8, 1, "auto")


def test_without_ray(esg: Callable[..., Any], pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    esg("batch", pictures, tmp_path / "out").refused("needs Ray Data", "pip install 'ray[data]'", "esg[batch]")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1"])
def test_an_address_where_nothing_answers(address: str) -> None:
    with pytest.raises(InputError, match=rf"There is no Ray cluster at {address} \(connection refused\)"):
        cluster._check_reachable(address)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Photos of noise, large enough that a run can be killed while it works, and one that is damaged."""
    folder = tmp_path / "photos"
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(PHOTOS):
        small = random.integers(0, 256, (10, 15, 3), np.uint8)
        Image.fromarray(small).resize((750, 500), Image.Resampling.BICUBIC).save(folder / f"{number:02d}.png")
    (folder / "bad.png").write_bytes(b"not a picture")
    return folder


def start(photos: Path, out: Path, model: Path, root: Path) -> subprocess.Popen[str]:
    """`esg batch` with two workers, in a process of its own."""
    options = f"--model {model} --size 400 --max-size 600 --min-score 0 --device cpu --format parquet,png"
    machine = "--workers 2 --threads 1 --shard-photos 2"
    command = [sys.executable, "-m", "esg", "batch", str(photos), str(out), *options.split(), *machine.split()]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def until_done(out: Path, number: int, running: subprocess.Popen[str]) -> None:
    """Waits until so many shards are done."""
    end = time.monotonic() + PATIENCE
    while len(list(out.glob("_esg/done/*.json"))) < number:
        assert running.poll() is None, running.stderr and running.stderr.read()
        assert time.monotonic() < end
        time.sleep(0.01)


def workers_in(processes: list[Any]) -> list[Any]:
    """The processes that compute shards."""
    return [process for process in processes if "RayWorker" in " ".join(process.cmdline())]


def test_killed_workers_and_drivers_lose_and_repeat_nothing(
    photos: Path, tiny_model: Path, tmp_path: Path, root: Path, table: Callable[..., Any]
) -> None:
    pytest.importorskip("ray", reason="workers in other processes need Ray Data, `pip install esg[batch]`")
    psutil = pytest.importorskip("psutil", reason="finding the workers needs psutil")
    whole, out = tmp_path / "whole", tmp_path / "out"
    settings = Settings(
        model=str(tiny_model), device="cpu", size=400, max_size=600, min_score=0, formats=("parquet", "png")
    )
    undisturbed = Run(list_sources([str(photos)]), settings, str(whole), photos_each=2)
    assert len(list(undisturbed.work(lambda shards: map(Worker(settings, str(whole)), shards)))) == 11

    running = start(photos, out, tiny_model, root)
    until_done(out, 1, running)
    family = psutil.Process(running.pid).children(recursive=True)
    workers = workers_in(family)
    assert len(workers) == 2
    addresses = {
        connection.laddr.ip
        for process in family
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }
    running.kill()  # the driver
    running.communicate()
    psutil.wait_procs(workers, timeout=PATIENCE)  # the rest of Ray takes a minute to notice
    assert addresses
    assert all(ip_address(one.removeprefix("::ffff:")).is_loopback for one in addresses)
    done = len(list(out.glob("_esg/done/*.json")))
    assert 1 <= done < 11

    running = start(photos, out, tiny_model, root)
    until_done(out, done + 1, running)
    workers_in(psutil.Process(running.pid).children(recursive=True))[0].kill()
    _, err = running.communicate(timeout=PATIENCE)
    assert running.returncode == 2  # because of the damaged photo
    assert "Some photos could not be used" in err
    assert f"{done} of 11 shards are already done" in err

    assert len(table(whole)) == PHOTOS
    assert table(out) == table(whole)
    assert table(out, "errors") == table(whole, "errors")
    for path in (whole / "labels").iterdir():
        assert (out / "labels" / path.name).read_bytes() == path.read_bytes()
    left = [path for path in out.rglob("*") if path.name.startswith(".esg-") or "started" in path.parts[-2]]
    assert left == []
