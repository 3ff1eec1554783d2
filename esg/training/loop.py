"""The training loop for all models: AdamW, mixed precision, averaged weights, several devices, resumable at any time.

A run is a folder with `config.json`, `checkpoint.pt`, `log.jsonl` (one row per step and per measurement), `plot.png`,
which is drawn at every measurement and at the end, and with the setting `keep_best` also `best.safetensors`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import math
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ..models.layers.attention import set_attention
from ..support.device import computing_in
from ..support.errors import EsgError, InputError, NoNumbers
from ..support.files import write_atomically
from ..support.progress import Progress, Stage
from .best import BestWeights
from .checkpoint import WeightAverage, resume, save_checkpoint
from .config import RunConfig, training_device, training_dtype
from .devices import is_sharded, join, mean_over_devices, shard, whole
from .divergence import are_finite, diverged
from .optimizer import optimizers
from .plot import LOG, plot, read_log
from .run_folder import CHECKPOINT
from .task import Task

log = logging.getLogger(__name__)

_MOST_SKIPPED = 20
_LOG_STEPS = 20


def learning_rate(step: int, config: RunConfig) -> float:
    """The learning rate of `step` (from 0): warm-up, constant except for the milestones, cosine to 0."""
    rise = min(1.0, (step + 1) / max(1, config.warmup))
    begin = config.steps * (1 - config.cooldown)
    passed = max(0.0, step - begin) / max(1.0, config.steps - begin)
    tenths = sum(step >= round(config.steps * milestone) for milestone in config.milestones)
    return config.lr * rise * 0.1**tenths * (1 + math.cos(math.pi * min(1.0, passed))) / 2


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
    accelerator = join(task.partial)
    sharded = is_sharded(accelerator)
    device = accelerator.device if accelerator else training_device(config)
    dtype = training_dtype(config, device)
    if sharded and (dtype == torch.float16 or config.optimizer != "adamw"):
        raise InputError("A sharded model can only be trained with adamw, in bf16 or fp32; change these settings.")
    torch.manual_seed(task.seed)
    model = task.model(new=not os.path.exists(run_dir / CHECKPOINT)).train()
    set_attention(model, config.attention)
    rank = accelerator.process_index if accelerator else 0
    if not sharded:
        model.to(device)
    parts = optimizers(model, config)
    if accelerator and sharded:
        parts = shard(accelerator, model, parts)
    scaler = torch.amp.GradScaler(device.type, enabled=dtype == torch.float16)
    average = WeightAverage(model, config.ema)
    start = resume(run_dir, task, model, average, parts, scaler)
    if start >= config.steps:
        log.info("%s already has %d steps; give a larger --steps to continue.", run_dir, start)
        return run_dir
    if start:
        log.info("Resuming after step %d of %s.", start, run_dir)
    parallel = accelerator.prepare_model(model) if accelerator and not sharded else model

    def save(step: int) -> None:
        weights, averaged = whole(model.state_dict()), whole(average.own)
        if not (are_finite(weights) and are_finite(averaged)):
            raise diverged(run_dir, step)
        state = {"model": weights, "ema": weights | averaged, "scaler": scaler.state_dict()}
        state["optimizers"] = [whole(part.state_dict()) for part in parts]
        if rank == 0:
            save_checkpoint(run_dir, {"preset": task.preset, "changes": task.changes, "step": step, **state})

    def measure(step: int) -> None:
        try:
            row = {"step": step, **task.measure(model, average.state, device, autocast)}
        except NoNumbers as error:
            raise diverged(run_dir, step) from error
        _write_row(log_file, row, say=True)
        if best is not None:
            best.consider(row, average.state)

    autocast = computing_in(dtype, device)
    batches = task.batches(start, config.steps, rank)
    log_file = _open_log(run_dir, task, start) if rank == 0 else None  # the first file that is written
    measured = config.measure_steps > 0 and not sharded and task.can_measure()
    if config.measure_steps > 0 and sharded and rank == 0:
        log.warning("Nothing is measured, because a sharded model is not complete on any device.")
    best = BestWeights(run_dir, task, config.keep_best, read_log(run_dir)) if log_file and config.keep_best else None
    saved = began = time.monotonic()
    skipped = 0
    with (
        _interruption() as interrupted,
        contextlib.closing(batches),
        contextlib.closing(log_file) if log_file else contextlib.nullcontext(),
    ):
        if best is not None and measured and not start:
            measure(0)
        for step in range(start, config.steps):
            batch = next(batches)
            waited = time.monotonic() - began
            # The random state depends only on the step, so that a resumed run equals an uninterrupted one.
            torch.manual_seed(_mixed(task.seed, step, rank))
            for group in (group for part in parts for group in part.param_groups):
                group["lr"] = learning_rate(step, config) * group["scale"]
            terms = task.losses(parallel, batch, device, autocast)
            loss = torch.stack([*terms.values()]).sum()
            scaler.scale(loss).backward()
            for part in parts:
                scaler.unscale_(part)
            norm = float(whole(nn.utils.clip_grad_norm_(model.parameters(), config.clip)))
            if math.isfinite(norm):
                for part in parts:
                    scaler.step(part)
                average.update(step + 1)
                skipped = 0
            else:
                skipped += 1
                log.warning("Step %d is skipped, because its gradient is not finite.", step + 1)
                if skipped > _MOST_SKIPPED:
                    raise diverged(run_dir, step + 1)
            scaler.update()
            model.zero_grad(set_to_none=True)

            done = step + 1
            now = time.monotonic()
            row = {"step": done, "lr": learning_rate(step, config), "loss": loss.item()}
            row |= {name: round(value.item(), 5) for name, value in terms.items()}
            row |= {"grad_norm": norm, "seconds": round(now - began, 3), "waited": round(waited, 3)}
            began = now
            if log_file:
                _write_row(log_file, row)
                if done % _LOG_STEPS == 0 or done == config.steps:
                    log.info(_line(row, config.steps))
            if progress is not None:
                progress(done, config.steps, Stage.TRAINING)
            late = now - saved > 60 * config.checkpoint_minutes
            flags = torch.tensor([interrupted.is_set(), late], dtype=torch.float32, device=device)
            stop, due = (mean_over_devices(flags) > 0).tolist()  # if one process stops or saves, all do
            last = done == config.steps
            look = last or (config.measure_steps > 0 and done % config.measure_steps == 0)
            if log_file and measured and look and not stop:
                measure(done)  # before saving, so that diverged weights are not saved
                began = time.monotonic()
            if stop or due or done % config.checkpoint_steps == 0 or last:
                save(done)
                saved = time.monotonic()
            if log_file and (look or stop):
                _plot(run_dir)
            if stop:
                log.info("Interrupted after step %d; run the same command to resume from there.", done)
                break
    return run_dir


def _mixed(*numbers: int) -> int:
    """Combines several numbers of any size into one seed."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))


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


def _open_log(run_dir: Path, task: Task, start: int) -> Any:
    """Opens the log for appending, without steps after the checkpoint; also writes the run's other files."""
    rows = [row for row in read_log(run_dir) if row["step"] <= start]
    config = json.dumps(dataclasses.asdict(task.config), indent=2) + "\n"
    log_text = "".join(json.dumps(row) + "\n" for row in rows)
    for name, text in {LOG: log_text, "config.json": config, **task.files}.items():
        with write_atomically(run_dir / name) as path:
            path.write_text(text, encoding="utf-8")
    return (run_dir / LOG).open("a")


def _write_row(file: Any, row: dict[str, Any], *, say: bool = False) -> None:
    file.write(json.dumps(row) + "\n")
    file.flush()
    if say:
        figures = ", ".join(f"{name} {100 * value:.1f}" for name, value in row.items() if name != "step")
        log.info("Step %d, averaged weights: %s", row["step"], figures)


def _line(row: dict[str, Any], steps: int) -> str:
    left = (steps - row["step"]) * row["seconds"] / 3600
    terms = " ".join(f"{name} {value:.2f}" for name, value in row.items() if name.endswith(("answer", "ce", "dice")))
    return (
        f"step {row['step']}/{steps} loss {row['loss']:.2f} ({terms}) lr {row['lr']:.1e} "
        f"{row['seconds']:.2f} s/step, {left:.1f} h left"
    )


def _plot(run_dir: Path) -> None:
    try:
        plot(run_dir)
    except EsgError as error:
        log.warning("%s", error)
