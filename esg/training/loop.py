"""Training of CropFormer: AdamW on the loss of Eq. 7, mixed precision, averaged weights, resumable at any time.

A run is a folder: `config.json`, `checkpoint.pt`, `log.jsonl` (a row a step and a row an evaluation), `plot.png`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import json
import logging
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..cropformer.checkpoints import load_strict
from ..cropformer.config import PRESETS
from ..cropformer.model import CropFormer
from ..errors import EsgError, InputError, WeightsError
from ..files import write_atomically
from ..modeling.attention import set_attention
from ..statedict import read_state_dict
from .checkpoint import CHECKPOINT, WeightAverage, load_checkpoint, save_checkpoint
from .config import TrainConfig, training_device, training_dtype
from .losses import cropformer_losses, mean_over_devices
from .measure import measure
from .pilots import pilot_losses
from .plot import LOG, plot, read_log
from .samples import Samples

log = logging.getLogger(__name__)

Progress = Callable[[int, int, str], None]
_MOST_SKIPPED = 20
_LOG_STEPS = 20


def learning_rate(step: int, config: TrainConfig) -> float:
    """The learning rate of `step` (from 0): warm-up, constant, cosine to 0."""
    rise = min(1.0, (step + 1) / max(1, config.warmup))
    begin = config.steps * (1 - config.cooldown)
    passed = max(0.0, step - begin) / max(1.0, config.steps - begin)
    return config.lr * rise * (1 + math.cos(math.pi * min(1.0, passed))) / 2


def parameter_groups(model: nn.Module, config: TrainConfig) -> list[dict[str, Any]]:
    """AdamW's parameter groups: with and without weight decay, the backbone at its own rate (`scale`).

    They are the same four whatever the settings, so that a run can go on with others.
    """
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        plain = parameter.ndim < 2 or name.rpartition(".")[2] in {
            "bias_table", "level_embed", "query_features", "query_positions",
        }  # fmt: skip
        groups.setdefault((name.startswith("backbone."), plain), []).append(parameter)
    return [
        {
            "params": group,
            "weight_decay": 0.0 if plain else config.weight_decay,
            "scale": config.backbone_lr if backbone else 1.0,
        }
        for (backbone, plain), group in groups.items()
    ]


def train(config: TrainConfig, run_dir: str | Path, *, progress: Progress | None = None) -> Path:
    """Trains until `config.steps`, going on from the checkpoint in `run_dir` if there is one.

    SIGTERM and Ctrl-C end the run after the step in progress, with a checkpoint of that step. Several devices are used
    under `accelerate launch` or `torchrun`; each draws its own pictures.

    Args:
        config: the run.
        run_dir: folder of the run, made if it is missing.
        progress: called with (steps done, all steps, what) after every step.

    Returns:
        `run_dir`; `checkpoint.export` makes a weight file of it.

    Raises:
        InputError: an unknown preset or one that cannot be trained, or device, precision or photos are not to be had.
        WeightsError: `init` or the checkpoint do not fit the preset.
        OutputError: `run_dir` cannot be written.
        EsgError: the training diverged.
    """
    run_dir = Path(run_dir)
    accelerator = _accelerator()
    device = accelerator.device if accelerator else training_device(config)
    dtype = training_dtype(config, device)
    model = _model(config, new=not (run_dir / CHECKPOINT).exists())
    rank = accelerator.process_index if accelerator else 0
    if model.association is not None:
        model.association.requires_grad_(config.batch_level)
    model.to(device).train()
    optimizer = torch.optim.AdamW(parameter_groups(model, config), lr=config.lr)
    scaler = torch.amp.GradScaler(device.type, enabled=dtype == torch.float16)
    average = WeightAverage(model, config.ema)
    start = _resume(run_dir, config, model, average, optimizer, scaler)
    parallel = accelerator.prepare_model(model) if accelerator else model

    def save(step: int) -> None:
        if rank == 0:
            parts = {"model": model.state_dict(), "ema": average.state, "optimizer": optimizer.state_dict()}
            save_checkpoint(run_dir, {"preset": config.preset, "step": step, "scaler": scaler.state_dict(), **parts})

    def predict(pixels: Tensor, frames: Tensor) -> Any:
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            return torch.func.functional_call(
                model, average.state, (pixels, frames), {"batch_level": config.batch_level}
            )

    batches = Samples(config.samples, rank).batches(start, config.steps, config.workers)
    log_file = _open_log(run_dir, config, start) if rank == 0 else None  # from here on something is written
    measured = config.measure_steps > 0 and _can_measure()
    saved = began = time.monotonic()
    skipped = 0
    with (
        _interruption() as interrupted,
        contextlib.closing(batches),
        contextlib.closing(log_file) if log_file else contextlib.nullcontext(),
    ):
        for step in range(start, config.steps):
            pixels, frames, labels = next(batches).normalised(device)
            waited = time.monotonic() - began
            # Sampled points depend on the step alone, so that a resumed run is the same as an uninterrupted one.
            torch.manual_seed(_mixed(config.samples.seed, step, rank))
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(step, config) * group["scale"]
            with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
                output = parallel(pixels, frames, batch_level=config.batch_level)
                pilots = pilot_losses(model, output, labels, config.loss) if config.pilots else {}
            terms = {**cropformer_losses(output, labels, config.loss), **pilots}
            loss = torch.stack([*terms.values()]).sum()
            scaler.scale(loss).backward()
            scaler.unscale_(optimizer)
            norm = float(nn.utils.clip_grad_norm_(model.parameters(), config.clip))
            if math.isfinite(norm):
                scaler.step(optimizer)
                average.update(model, step + 1)
                skipped = 0
            else:
                skipped += 1
                log.warning("Step %d: the gradient is not finite, the step is left out.", step + 1)
                if skipped > _MOST_SKIPPED:
                    raise EsgError(
                        f"The training diverged at step {step + 1}; the last good state is in {run_dir / CHECKPOINT}: "
                        "go on with a lower learning rate or in fp32."
                    )
            scaler.update()
            optimizer.zero_grad(set_to_none=True)

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
                progress(done, config.steps, "training")
            stop = bool(mean_over_devices(torch.tensor(float(interrupted.is_set()), device=device)) > 0)
            due = done % config.checkpoint_steps == 0 or now - saved > 60 * config.checkpoint_minutes
            if stop or due or done == config.steps:
                save(done)
                saved = time.monotonic()
            if stop:
                log.info("Interrupted after step %d; the same call goes on from there.", done)
                break
            if log_file and measured and (done % config.measure_steps == 0 or done == config.steps):
                _write_row(log_file, {"step": done, **measure(predict, config.measure, device)}, say=True)
                _plot(run_dir)
                began = time.monotonic()
    return run_dir


def _mixed(*numbers: int) -> int:
    """One seed of several numbers, each of any size."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))


def _can_measure() -> bool:
    if importlib.util.find_spec("pycocotools") is not None:
        return True
    log.warning("No AP will be measured: that needs pycocotools, which is in the extra `esg[train]`.")
    return False


def _model(config: TrainConfig, *, new: bool) -> CropFormer:
    """A model of the preset; a new run starts from the weights of `config.init`, if there are any."""
    if config.preset not in PRESETS:
        raise InputError(f"There is no preset {config.preset!r}; use one of {', '.join(PRESETS)}.")
    if PRESETS[config.preset].config.classes != 1:
        raise InputError(f"{config.preset} has classes, and training knows none; use an entity model.")
    torch.manual_seed(config.samples.seed)
    model = CropFormer(PRESETS[config.preset].config)
    set_attention(model, config.attention)
    if new and config.init is not None:
        load_strict(model, read_state_dict(config.init)[0], config.init)
    return model


def _accelerator() -> Any:
    """accelerate's `Accelerator` when several processes were launched, else None."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return None
    try:
        from accelerate import Accelerator
    except ImportError:
        raise EsgError("Training on several devices needs accelerate: pip install accelerate.") from None
    return Accelerator(cpu=not torch.cuda.is_available())


def _resume(
    run_dir: Path,
    config: TrainConfig,
    model: nn.Module,
    average: WeightAverage,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
) -> int:
    """Fills everything from the run's checkpoint, if there is one; returns the number of steps that are done."""
    state = load_checkpoint(run_dir)
    if state is None:
        return 0
    if state["preset"] != config.preset:
        raise WeightsError(f"{run_dir} holds a run of {state['preset']}, not of {config.preset}; use another folder.")
    try:
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
    except (RuntimeError, ValueError) as error:
        raise WeightsError(f"The checkpoint in {run_dir} does not fit {config.preset} any more: {error}") from None
    for group, fresh in zip(optimizer.param_groups, parameter_groups(model, config), strict=True):
        group.update({key: fresh[key] for key in ("weight_decay", "scale")})  # the settings may have changed
    for name, value in state["ema"].items():
        average.state[name].copy_(value)
    if state["scaler"]:  # empty if that run had another precision
        scaler.load_state_dict(state["scaler"])
    log.info("Going on after step %d of %s.", state["step"], run_dir)
    return int(state["step"])


@contextlib.contextmanager
def _interruption() -> Iterator[threading.Event]:
    """An event that SIGTERM and Ctrl-C set instead of ending the process; only the main thread can have it so."""
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


def _open_log(run_dir: Path, config: TrainConfig, start: int) -> Any:
    """The log, without the steps that a kill took back, to be appended to; writes the configuration beside it."""
    rows = [row for row in read_log(run_dir) if row["step"] <= start]
    with write_atomically(run_dir / LOG) as path:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with write_atomically(run_dir / "config.json") as path:
        path.write_text(json.dumps(dataclasses.asdict(config), indent=2) + "\n")
    return (run_dir / LOG).open("a")


def _write_row(file: Any, row: dict[str, Any], *, say: bool = False) -> None:
    file.write(json.dumps(row) + "\n")
    file.flush()
    if say:
        figures = ", ".join(f"{name} {100 * value:.1f}" for name, value in row.items() if name != "step")
        log.info("Step %d, averaged weights: %s", row["step"], figures)


def _line(row: dict[str, Any], steps: int) -> str:
    left = (steps - row["step"]) * row["seconds"] / 3600
    terms = " ".join(f"{name} {value:.2f}" for name, value in row.items() if name.endswith(("ce", "dice")))
    return (
        f"step {row['step']}/{steps} loss {row['loss']:.2f} ({terms}) lr {row['lr']:.1e} "
        f"{row['seconds']:.2f} s/step, {left:.1f} h left"
    )


def _plot(run_dir: Path) -> None:
    try:
        plot(run_dir)
    except EsgError as error:
        log.warning("%s", error)
