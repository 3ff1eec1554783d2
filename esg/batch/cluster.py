"""Runs the workers with Ray Data, on this machine or on a cluster.

Ray hands out shards, not photos: only the names of the inputs and a summary of each shard travel between processes, and
a worker gets its next shard when it has written the previous one. If a worker or a machine dies, Ray gives its shard to
another one.
"""

from __future__ import annotations

import json
import logging
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from ..support.errors import EsgError, InputError
from .ledger import Summary
from .places import is_url
from .settings import Settings
from .shards import Shard
from .worker import Worker

_BLOCKS = 2000  # most parts of the list of shards that Ray schedules one by one
_OBJECT_STORE = 80 << 20  # bytes; Ray's minimum, because no photos go through its object store
_SECONDS_TO_ANSWER = 10  # of a cluster
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_BACKEND_LOG_LEVEL": "fatal",  # its warnings are for programmers; failures arrive as exceptions
}
_ALONE = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # on every system: Ray's ports can only be reached from this machine
    "RAY_worker_niceness": "0",  # Ray's default of 15 would starve the workers beside other programs
}


@dataclass(frozen=True)
class Workers:
    """The workers of a run.

    Attributes:
        number: how many; None: one for each share of a GPU, or for each `threads` of the CPUs.
        threads: CPU threads of each; None: all up to 4.
        gpus: share of a GPU for each, such as 0.25; None: one, if there are any and the device is not the CPU.
        address: of a running Ray cluster; None: this machine alone.
    """

    number: int | None = None
    threads: int | None = None
    gpus: float | None = None
    address: str | None = None


def import_ray(workers: Workers) -> Any:
    """The package Ray; InputError with the command that installs it if it is missing.

    Ray reads its environment when it is imported, so it is set here, and must not be imported before.
    """
    wanted = _QUIET | (_ALONE if workers.address is None else {})
    os.environ.update({name: value for name, value in wanted.items() if name not in os.environ})
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise InputError(
            f"`esg batch` needs Ray Data ({str(error).rstrip('.')}); install it with `pip install 'ray[data]'`, or ESG "
            "with `pip install 'esg[batch]'`."
        ) from None
    return ray


def run(shards: Sequence[Shard], settings: Settings, out: str, workers: Workers) -> Iterator[Summary]:
    """Computes the shards, and yields the summary of each when it is done, in any order.

    Raises:
        InputError: Ray is missing, the cluster cannot be reached, or it does not have room for the workers.
        EsgError: a problem that every photo would have.
    """
    ray = import_ray(workers)
    out = out if is_url(out) else os.path.abspath(out)  # workers may be in another folder
    _start(ray, workers)
    try:
        number, threads, gpus = _room(ray, workers, settings.device)
        per_worker = {**asdict(settings), "threads": threads}
        if workers.gpus == 0 and settings.device == "auto":
            per_worker["device"] = "cpu"
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.print_on_execution_start = False
        logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # its errors arrive as exceptions
        rows = ray.data.from_items(
            [{"shard": shard.to_json()} for shard in shards], override_num_blocks=min(len(shards), _BLOCKS)
        )
        # A cluster may grow, so a run begins with the workers that there is room for.
        least = number if workers.address is None else 1
        pool = ray.data.ActorPoolStrategy(min_size=least, max_size=number, max_tasks_in_flight_per_actor=1)
        done = rows.map_batches(
            RayWorker,
            fn_constructor_args=(json.dumps(per_worker), out),
            batch_size=1,
            compute=pool,
            num_cpus=threads,
            num_gpus=gpus or None,
        )
        for row in done.iter_rows():
            summary = Summary(**json.loads(row["summary"]))
            if summary.stopped:
                raise EsgError(summary.stopped)
            yield summary
    except ray.exceptions.RayError as error:
        if f"No module named '{__package__.partition('.')[0]}'" not in str(error):
            raise
        raise InputError(
            "ESG is not installed on the machines of the Ray cluster; install the same version on all of them."
        ) from None
    finally:
        ray.shutdown()


class RayWorker:
    """A `Worker` in the form that Ray Data expects. It gets and returns text, which any versions of both can read."""

    def __init__(self, settings: str, out: str) -> None:
        self._worker = Worker(Settings.from_json(settings), out)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[str]]:
        """The summaries of the shards in a batch."""
        return {"summary": [self._worker(Shard.from_json(str(shard))).to_json() for shard in batch["shard"]]}


def _start(ray: Any, workers: Workers) -> None:
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    if workers.address is not None:
        _check_reachable(workers.address)
        try:
            with _without_stderr():
                ray.init(address=workers.address, **quiet)
        except Exception as error:  # Ray raises many kinds
            reason = str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
            raise InputError(f"The Ray cluster at {workers.address} cannot be joined: {reason}.") from None
        return
    cores = os.cpu_count() or 1
    wanted = (workers.number or 1) * (workers.threads or 1)
    with _without_stderr():
        ray.init(
            address="local",  # never a cluster that happens to run here
            include_dashboard=False,
            num_cpus=max(cores, wanted),  # more workers than cores are allowed, if the user asks for them
            object_store_memory=_OBJECT_STORE,
            **quiet,
        )


def _check_reachable(address: str) -> None:
    """InputError if nothing answers at HOST:PORT, which Ray would only report after five minutes."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if not host or not port.isdigit():
        return  # such as "auto"
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_SECONDS_TO_ANSWER).close()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InputError(f"There is no Ray cluster at {address} ({reason}); check the address and the port.") from None


@contextmanager
def _without_stderr() -> Iterator[None]:
    """Drops what Ray's libraries print while they start; problems arrive as exceptions."""
    kept = os.dup(2)
    nothing = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)


def _room(ray: Any, workers: Workers, device: str) -> tuple[int, int, float]:
    """The number of workers, and the CPU threads and the share of a GPU of each.

    Raises:
        InputError: there is not enough of either.
    """
    there = ray.cluster_resources()
    cpus, gpus = int(there.get("CPU", 1)), float(there.get("GPU", 0))
    return choose_room(workers, cpus, gpus, device)


def choose_room(workers: Workers, cpus: int, gpus: float, device: str) -> tuple[int, int, float]:
    """The number of workers, and the CPU threads and the share of a GPU of each, for so many CPUs and GPUs in all.

    >>> choose_room(Workers(), cpus=16, gpus=0, device="auto")
    (4, 4, 0.0)
    >>> choose_room(Workers(gpus=0.25), cpus=16, gpus=1, device="auto")
    (4, 4, 0.25)

    Raises:
        InputError: there is not even room for one worker, or on one machine for all of them.
    """
    share = workers.gpus
    if share is None:
        share = 1.0 if gpus and device in ("auto", "cuda") else 0.0
    if share and gpus < share:
        raise InputError(
            f"A worker needs {_counted(share, 'GPU')}, but there {'is' if gpus == 1 else 'are'} {gpus:g}; use --gpus 0 "
            "to compute on the CPUs."
        )
    if share:
        number = workers.number or int(gpus / share)
        threads = workers.threads or max(1, min(4, cpus // number))
    else:
        threads = workers.threads or max(1, min(4, cpus // (workers.number or 1)))
        number = workers.number or max(1, cpus // threads)
    alone = workers.address is None
    if threads > cpus or (alone and (number * threads > cpus or number * share > gpus + 1e-6)):
        needs = _counted(threads, "CPU thread") + (f" and {_counted(share, 'GPU')}" if share else "")
        raise InputError(
            f"{_counted(number, 'worker')} with {needs}{' each' if number > 1 else ''} would need more than there is "
            f"({_counted(cpus, 'CPU')}, {_counted(gpus, 'GPU')}); lower --workers, --threads or --gpus."
        )
    return number, threads, share


def _counted(number: float, singular: str) -> str:
    """For example "1 GPU", "0.25 GPU", "2 GPUs"."""
    return f"{number:g} {singular}" if 0 < number <= 1 else f"{number:g} {singular}s"
