"""Reading weight files: every format that counts, and everything that only looks like weights."""

from __future__ import annotations

import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from esg import WeightsError
from esg.support.weight_files import check_finite, read_state_dict

WEIGHTS = {"a.weight": torch.arange(6, dtype=torch.float32).reshape(2, 3), "a.index": torch.tensor([3, 1])}


def assert_same(tensors: dict[str, torch.Tensor], expected: dict[str, torch.Tensor] = WEIGHTS) -> None:
    assert tensors.keys() == expected.keys()
    for key, value in expected.items():
        assert tensors[key].dtype == value.dtype
        assert torch.equal(tensors[key], value)


def test_safetensors_with_metadata(tmp_path: Path) -> None:
    save_file(WEIGHTS, tmp_path / "x.safetensors", metadata={"config": "{}"})
    tensors, metadata = read_state_dict(tmp_path / "x.safetensors")
    assert_same(tensors)
    assert metadata == {"config": "{}"}


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize(
    "wrap", [dict, lambda w: {"model": w, "iteration": 7, "trainer": {}}, lambda w: {"state_dict": w}]
)
def test_torch_formats_and_wrappers(tmp_path: Path, wrap, zipped: bool) -> None:
    torch.save(wrap(WEIGHTS), tmp_path / "x.pth", _use_new_zipfile_serialization=zipped)
    tensors, metadata = read_state_dict(str(tmp_path / "x.pth"))
    assert_same(tensors)
    assert metadata == {}


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_of_a_training_run_the_averaged_weights_are_read(tmp_path: Path, zipped: bool) -> None:
    last = {name: value + 1 for name, value in WEIGHTS.items()}
    run = {"preset": "any", "step": 3, "model": last, "ema": WEIGHTS, "scaler": {}, "optimizers": [{}]}
    torch.save(run, tmp_path / "x.pt", _use_new_zipfile_serialization=zipped)
    assert_same(read_state_dict(tmp_path / "x.pt")[0])
    torch.save({"model": WEIGHTS, "ema": {"decay": 0.9}}, tmp_path / "x.pt")  # of another program
    assert_same(read_state_dict(tmp_path / "x.pt")[0])


def test_the_module_of_several_devices_is_taken_off(tmp_path: Path) -> None:
    torch.save({f"module.{name}": value for name, value in WEIGHTS.items()}, tmp_path / "x.pth")
    assert_same(read_state_dict(tmp_path / "x.pth")[0])
    mixed = {"module.a": torch.zeros(1), "b": torch.zeros(1)}
    torch.save(mixed, tmp_path / "x.pth")
    assert_same(read_state_dict(tmp_path / "x.pth")[0], mixed)


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize(
    "odd",
    [
        lambda: torch.eye(2).to_sparse(),
        lambda: torch.eye(2, dtype=torch.complex64),
        lambda: torch.eye(2, device="meta"),
        lambda: torch.quantize_per_tensor(torch.eye(2), 0.1, 0, torch.qint8),
    ],
    ids=["sparse", "complex", "meta", "quantized"],
)
def test_unusual_tensors_are_refused(tmp_path: Path, odd: Callable[[], torch.Tensor]) -> None:
    torch.save({**WEIGHTS, "odd": odd()}, tmp_path / "x.pth")
    with pytest.raises(WeightsError, match=r"x\.pth holds odd in an unsupported form"):
        read_state_dict(tmp_path / "x.pth")


def test_nan_and_infinity_are_named() -> None:
    check_finite(WEIGHTS, "x.pth")
    for number in (float("nan"), float("inf")):
        with pytest.raises(WeightsError, match=r"x\.pth holds NaN or infinity in b; use other weights\.$"):
            check_finite({**WEIGHTS, "b": torch.tensor([0.0, number])}, "x.pth")


def test_whole_files_of_other_programs_are_not_called_damaged(tmp_path: Path) -> None:
    (tmp_path / "x.pkl").write_bytes(pickle.dumps({"model": {"w": [0.0]}}, protocol=2))
    with pytest.raises(WeightsError, match=r"x\.pkl is a plain pickle and cannot be read as weights"):
        read_state_dict(tmp_path / "x.pkl")
    with zipfile.ZipFile(tmp_path / "x.pt", "w") as archive:  # as torch.jit.save lays it out
        for name in ("data.pkl", "constants.pkl", "code/__torch__.py"):
            archive.writestr(f"x/{name}", pickle.dumps(()))
    with pytest.raises(WeightsError, match=r"x\.pt is a program in TorchScript and cannot be read as weights"):
        read_state_dict(tmp_path / "x.pt")


def test_the_file_type_is_recognised_by_content_not_suffix(tmp_path: Path) -> None:
    save_file(WEIGHTS, tmp_path / "x.pth")
    assert_same(read_state_dict(tmp_path / "x.pth")[0])


@pytest.mark.skipif(torch.__version__ < "2.6", reason="torch before 2.6 reads no NumPy arrays with weights_only")
@pytest.mark.parametrize("module", [b"numpy.core.multiarray", b"numpy._core.multiarray"])
def test_numpy_arrays_become_tensors(tmp_path: Path, module: bytes) -> None:
    content = pickle.dumps({"model": {"w": np.arange(3, dtype=np.float32)}, "score": np.float64(1)}, protocol=2)
    here = np.zeros(0).__reduce__()[0].__module__.encode()
    (tmp_path / "x.pkl").write_bytes(legacy_file(content.replace(b"c" + here + b"\n", b"c" + module + b"\n")))
    assert_same(read_state_dict(tmp_path / "x.pkl")[0], {"w": torch.tensor([0.0, 1.0, 2.0])})


def legacy_file(content: bytes) -> bytes:
    """What old `torch.save` writes around an object: magic number, protocol, system information, object, keys."""
    header = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})
    return b"".join(pickle.dumps(part, protocol=2) for part in header) + content + pickle.dumps([], protocol=2)


class Hostile:
    """When unpickled, makes a folder."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_hostile_pickle_is_refused_without_effect(tmp_path: Path, zipped: bool) -> None:
    effect, file = tmp_path / "effect", tmp_path / "x.pth"
    torch.save({"model": WEIGHTS, "extra": Hostile(effect)}, file, _use_new_zipfile_serialization=zipped)
    with pytest.raises(WeightsError, match=r"asks for \w+\.mkdir and could run code"):
        read_state_dict(file)
    assert not effect.exists()
    torch.load(file, weights_only=False)  # the file is indeed hostile
    assert effect.exists()


def test_hostile_bare_pickle_is_refused_without_effect(tmp_path: Path) -> None:
    effect, file = tmp_path / "effect", tmp_path / "x.pkl"
    file.write_bytes(pickle.dumps(Hostile(effect), protocol=2))
    with pytest.raises(WeightsError):
        read_state_dict(file)
    assert not effect.exists()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "Git LFS pointer"),
        (b"\n<!DOCTYPE html><html><body>Please log in</body></html>", "web page"),
        (b"some notes about weights", "neither a safetensors file nor a PyTorch checkpoint"),
        (b"PK\x03\x04 and no zip file after that", "damaged or incomplete"),
        (b"\x80\x02 and no pickle after that", "damaged or incomplete|could run code"),
        (b"\x80\x02", "damaged or incomplete"),
        (b"\x10\0\0\0\0\0\0\0{and no json here", "damaged or incomplete"),
        (b"\xff\xff\xff\xff\xff\xff\xff\x7f{}", "damaged or incomplete"),
    ],
)
def test_files_that_are_not_weights_are_refused(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "x.pth").write_bytes(content)
    with pytest.raises(WeightsError, match=says) as caught:
        read_state_dict(tmp_path / "x.pth")
    assert str(tmp_path / "x.pth") in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["safetensors", "zip", "legacy"])
@pytest.mark.parametrize("part", [0.05, 0.5, 0.99])
def test_truncated_files(tmp_path: Path, kind: str, part: float) -> None:
    file = tmp_path / "x.weights"
    big = {"w": torch.zeros(2000), **WEIGHTS}
    if kind == "safetensors":
        save_file(big, file)
    else:
        torch.save(big, file, _use_new_zipfile_serialization=kind == "zip")
    content = file.read_bytes()
    file.write_bytes(content[: int(part * len(content))])
    # a name that is cut off in the middle cannot be told from one that is not allowed
    with pytest.raises(WeightsError, match="damaged or incomplete" + ("|could run code" * (kind == "legacy"))):
        read_state_dict(file)


@pytest.mark.parametrize(
    ("content", "says"), [([1, 2], "holds a list"), ({"epoch": 3}, "does not contain any tensors")]
)
def test_checkpoints_without_weights(tmp_path: Path, content: object, says: str) -> None:
    torch.save(content, tmp_path / "x.pth")
    with pytest.raises(WeightsError, match=says):
        read_state_dict(tmp_path / "x.pth")


def test_missing_file_and_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "nothing.pth", tmp_path):
        with pytest.raises(WeightsError, match="cannot be read"):
            read_state_dict(path)
