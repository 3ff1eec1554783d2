"""The training loop for all models: mixed precision, averaged weights, several devices, resumable at any time.

A run is a folder with `config.json`, `checkpoint.pt`, `log.jsonl` (one row per step and per measurement), `plot.png`,
which is drawn at every measurement and at the end, and with the setting `keep_best` also `best.safetensors`.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from ..support.errors import EsgError
from ..support.progress import Progress, Stage
from .best import BestWeights
from .plot import plot
from .run_log import RunLog, measurement_line, read_log, step_line
from .schedule import learning_rate
from .task import Task
from .training_run import TrainingRun

log = logging.getLogger(__name__)

_LOG_STEPS = 20


def train(task: Task, run_dir: str | Path, *, progress: Progress | None = None) -> Path:
    """Trains until `task.config.steps`, resuming from the checkpoint in `run_dir` if there is one.

    SIGTERM and Ctrl-C end the run after the current step, with a checkpoint. Several devices are used under
    `accelerate launch` or `torchrun`; each draws its own pictures.

    Args:
        task: the model to train, and the settings of the run.
        run_dir: folder of the run; created if it is missing.
        progress: called as `progress(steps done, all steps, Stage.TRAINING)` after every step.

    Returns:
        `run_dir`; `checkpoint.export` writes a weight file from it.

    Raises:
        InputError: the preset is unknown or cannot be trained; or device, precision or photos are not available.
        WeightsError: `init` or the checkpoint does not fit the preset.
        OutputError: `run_dir` cannot be written.
        EsgError: the training diverged, or the log of the steps so far is damaged.
    """
    run_dir, config = Path(run_dir), task.config
    run = TrainingRun(task, run_dir)
    if run.start >= config.steps:
        log.info("%s already has %d steps; give a larger --steps to continue.", run_dir, run.start)
        return run_dir
    if run.start:
        log.info("Resuming after step %d of %s.", run.start, run_dir)
    batches = task.batches(run.start, config.steps, run.rank)
    run_log = RunLog(run_dir, task, run.start) if run.rank == 0 else None  # writes the first files
    measured = config.measure_steps > 0 and not run.sharded and task.can_measure()
    if config.measure_steps > 0 and run.sharded and run.rank == 0:
        log.warning("Nothing is measured, because a sharded model is not complete on any device.")
    best = BestWeights(run_dir, task, config.keep_best, read_log(run_dir)) if run_log and config.keep_best else None

    def measure(step: int) -> None:
        if run_log and measured:
            row = run.measure(step)
            run_log.add(row)
            log.info(measurement_line(row))
            if best is not None:
                best.consider(row, run.average.state)

    with (
        _interruption() as interrupted,
        contextlib.closing(batches),
        contextlib.closing(run_log) if run_log else contextlib.nullcontext(),
    ):
        saved = began = time.monotonic()
        if best is not None and not run.start:
            measure(0)
        for step in range(run.start, config.steps):
            batch = next(batches)
            waited = time.monotonic() - began
            figures = run.step(step, batch)
            done, now = step + 1, time.monotonic()
            row = {"step": done, "lr": learning_rate(step, config), **figures}
            row |= {"seconds": round(now - began, 3), "waited": round(waited, 3)}
            began = now
            if run_log:
                run_log.add(row)
                if done % _LOG_STEPS == 0 or done == config.steps:
                    log.info(step_line(row, config.steps))
            if progress is not None:
                progress(done, config.steps, Stage.TRAINING)
            # If one process stops or saves, all do.
            stop, due = run.agree(interrupted.is_set(), now - saved > 60 * config.checkpoint_minutes)
            last = done == config.steps
            look = last or (config.measure_steps > 0 and done % config.measure_steps == 0)
            if look and not stop:
                measure(done)  # before saving, so that diverged weights are not saved
                began = time.monotonic()
            if stop or due or last or done % config.checkpoint_steps == 0:
                run.save(done)
                saved = time.monotonic()
            if run_log and (look or stop):
                _plot(run_dir)
            if stop:
                log.info("Interrupted after step %d; run the same command to resume from there.", done)
                break
    return run_dir


@contextlib.contextmanager
def _interruption() -> Iterator[threading.Event]:
    """An event that SIGTERM and Ctrl-C set instead of ending the process; works in the main thread only."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return
    previous = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    for number in previous:
        signal.signal(number, lambda *_: event.set())
    try:
        yield event
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _plot(run_dir: Path) -> None:
    try:
        plot(run_dir)
    except EsgError as error:
        log.warning("%s", error)
