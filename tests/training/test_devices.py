"""Several processes that train one model, replicated or sharded, with the same result."""

from __future__ import annotations

import json
import math
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer

from esg.support.errors import EsgError, InputError
from esg.training import devices
from esg.training.checkpoint import load_checkpoint
from esg.training.gella import GellaTrainConfig
from esg.training.run_log import read_log

SEVERAL = Path(__file__).with_name("several.py")


@pytest.fixture(autouse=True)
def architecture(speaker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """For the processes that a test starts."""
    monkeypatch.setenv("ESG_TEST_GELLA", speaker[0].to_json())


def launch(run_dir: Path, steps: int, kind: str, **changes: Any) -> list[tuple[int, str]]:
    """Trains in two processes; gives the exit status of each, and what it said."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    environment = {**os.environ, **shared, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, str(SEVERAL), str(run_dir), str(steps), kind, json.dumps(changes)]
    processes = [
        subprocess.Popen(
            command,
            env={**environment, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(2)
    ]
    said = [process.communicate()[0] for process in processes]
    return [(process.returncode, text) for process, text in zip(processes, said)]


def trained(run_dir: Path, steps: int, kind: str, **changes: Any) -> dict[str, Any]:
    """The checkpoint that two processes leave."""
    for status, said in launch(run_dir, steps, kind, **changes):
        assert status == 0, said
    state = load_checkpoint(run_dir)
    assert state is not None
    assert state["step"] == steps
    return state


def distance(one: dict[str, Any], other: dict[str, Any]) -> float:
    """Between two state dicts, in steps that AdamW might take in all weights."""
    names = [name for name, value in one.items() if value.is_floating_point()]
    squares = sum(float((one[name] - other[name]).square().sum()) for name in names)
    return math.sqrt(squares / sum(one[name].numel() for name in names)) / GellaTrainConfig().lr


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{}, {"lora": 2, "gradient_checkpointing": True}], ids=["full", "lora"])
def test_a_sharded_model_learns_the_same_as_a_whole_one(tmp_path: Path, changes: dict[str, Any]) -> None:
    pytest.importorskip("accelerate")
    if "lora" in changes:
        pytest.importorskip("peft")
    whole = trained(tmp_path / "ddp", 3, "ddp", **changes)
    trained(tmp_path / "fsdp", 2, "fsdp", **changes)
    shares = trained(tmp_path / "fsdp", 3, "fsdp", **changes)  # which goes on
    for part in ("model", "ema"):  # not weight by weight: where there is no gradient, rounding decides the step
        assert shares[part].keys() == whole[part].keys()
        assert distance(shares[part], whole[part]) < 0.01
    (ours,), (expected,) = (state["optimizers"] for state in (shares, whole))
    assert ours["state"].keys() == expected["state"].keys()
    for number, slots in expected["state"].items():
        torch.testing.assert_close(ours["state"][number]["exp_avg"], slots["exp_avg"], atol=1e-4, rtol=1e-3)
    rows, theirs = (read_log(tmp_path / kind) for kind in ("fsdp", "ddp"))
    assert [row["step"] for row in rows] == [1, 2, 3]
    assert ["mask_ce" in row for row in rows] == [True, False, True]
    for row, other in zip(rows, theirs, strict=True):
        for name in ("loss", "grad_norm"):
            assert row[name] == pytest.approx(other[name], rel=1e-3)
    kept = Tokenizer.from_file(str(tmp_path / "fsdp" / "tokenizer.json"))
    assert kept.token_to_id("<SEG>") == 4


# -------------------------------------------------------------------------------------------- what one process can tell


def test_a_single_process_needs_no_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert devices.join(partial=False) is None
    assert not devices.is_sharded(None)
    assert devices.agreed(lambda: "text") == "text"


def test_values_that_are_not_sharded_stay_unchanged() -> None:
    value = torch.arange(3)
    tree = {"a": [value, 1], "b": {"c": "text"}}
    assert devices.whole(tree)["a"][0] is value
    assert devices.whole(tree) == tree
    assert devices.share(value, torch.zeros(3)) is value


@pytest.mark.parametrize(
    ("kind", "words"), [("DEEPSPEED", "DeepSpeed is not supported"), ("FSDP", "Only version 2 of FSDP")]
)
def test_what_the_loop_cannot_do_is_refused(monkeypatch: pytest.MonkeyPatch, kind: str, words: str) -> None:
    accelerate = pytest.importorskip("accelerate")

    class Configured:
        distributed_type = kind
        is_fsdp2 = False

    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(accelerate, "Accelerator", lambda **_: Configured())
    with pytest.raises(InputError, match=words):
        devices.join(partial=False)


def test_several_devices_need_accelerate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setitem(sys.modules, "accelerate", None)
    with pytest.raises(EsgError, match="needs accelerate: pip install accelerate"):
        devices.join(partial=False)
