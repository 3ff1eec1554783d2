"""The tokenizer of a run: trained from the seed, stored, taken from the initial weights, or refused."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer

from esg.data.narration.teller import VOCABULARY
from esg.models.gella.checkpoint import tokenizer_in, write_gella
from esg.models.gella.config import PRESETS
from esg.models.gella.model import Gella
from esg.support.errors import InputError, WeightsError
from esg.support.weight_files import read_metadata
from esg.training import run_tokenizer as tokenizers
from esg.training.gella import GellaTrainConfig
from esg.training.gella_init import start_of
from esg.training.narratives import NarrativeConfig
from esg.training.run_folder import CHECKPOINT, TOKENIZER
from esg.training.run_tokenizer import run_tokenizer
from esg.weights.finding import ASSETS

NANO = GellaTrainConfig()


@pytest.fixture(scope="module", autouse=True)
def _few_scenes() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tokenizers, "_SCENES", 12)
        yield


@pytest.fixture(scope="module")
def nano(tmp_path_factory: pytest.TempPathFactory, _few_scenes: None) -> Tokenizer:
    """The tokenizer of a new run of gella-nano."""
    folder = tmp_path_factory.mktemp("run")
    tokenizer = run_tokenizer(NANO, folder)
    assert list(folder.iterdir()) == []  # the run writes it once it has begun
    return tokenizer


@pytest.fixture
def tiny(speaker: Any, monkeypatch: pytest.MonkeyPatch) -> GellaTrainConfig:
    monkeypatch.setitem(PRESETS, "tiny", speaker[0])
    return GellaTrainConfig(preset="tiny")


def test_it_depends_on_the_seed_alone(nano: Tokenizer, tmp_path: Path) -> None:
    torch.manual_seed(2)  # chance elsewhere does not matter
    assert run_tokenizer(NANO, tmp_path).to_str() == nano.to_str()
    other = GellaTrainConfig(samples=NarrativeConfig(seed=1))
    assert run_tokenizer(other, tmp_path).to_str() != nano.to_str()


def test_frequent_text_is_short(nano: Tokenizer) -> None:
    assert nano.token_to_id("<SEG>") == PRESETS["gella-nano"].language.seg_token
    assert nano.get_vocab_size() <= PRESETS["gella-nano"].language.vocabulary
    asked = "Please help me extract each semantic noun of the sentence. The sentence is"
    assert len(nano.encode(asked).ids) == len(asked.replace(".", " .").split())
    assert all(len(nano.encode(f" {word}").ids) == 1 for word in VOCABULARY)


def test_a_resumed_run_uses_its_own(speaker: Any, tiny: GellaTrainConfig, tmp_path: Path) -> None:
    speaker[1].save(str(tmp_path / TOKENIZER))
    assert run_tokenizer(tiny, tmp_path).to_str() != speaker[1].to_str()  # there is nothing yet that goes on
    (tmp_path / CHECKPOINT).touch()
    gone = dataclasses.replace(tiny, init=str(tmp_path / "gone.safetensors"))
    assert run_tokenizer(gone, tmp_path).to_str() == speaker[1].to_str()
    for spoil in ((tmp_path / TOKENIZER).unlink, lambda: (tmp_path / TOKENIZER).write_text("{")):
        spoil()
        with pytest.raises(WeightsError, match=r"tokenizer\.json is missing or dam"):
            run_tokenizer(tiny, tmp_path)


def test_weights_bring_theirs(speaker: Any, tiny: GellaTrainConfig, tmp_path: Path) -> None:
    path = tmp_path / "start.safetensors"
    write_gella(path, Gella(speaker[0]).state_dict(), speaker[0], speaker[1], preset="tiny", steps=1)
    started = dataclasses.replace(tiny, init=str(path))
    assert run_tokenizer(started, tmp_path / "run").to_str() == speaker[1].to_str()
    path.write_bytes(b"no weights at all")
    with pytest.raises(WeightsError, match="cannot be read as a safetensors file"):
        run_tokenizer(started, tmp_path / "run")


def test_weights_of_another_model_have_no_tokenizer(tiny_model: Path, tiny: GellaTrainConfig, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"tokenizer in .* is missing or damaged"):
        run_tokenizer(dataclasses.replace(tiny, init=str(tiny_model)), tmp_path)


def test_large_models_start_from_llava(nano: Tokenizer, tmp_path: Path) -> None:
    large = GellaTrainConfig(preset="gella-7b")
    with pytest.raises(InputError, match=r"gella-7b starts from published weights; give --init"):
        run_tokenizer(large, tmp_path)
    numbers = PRESETS["gella-7b"].language
    tokenizer = Tokenizer.from_str(nano.to_str().replace("<SEG>", "<unused>"))
    tokenizer.add_special_tokens([f"<{number}>" for number in range(tokenizer.get_vocab_size(), numbers.image_token)])
    tokenizer.save(str(tmp_path / TOKENIZER))
    with pytest.raises(WeightsError, match=f"token {numbers.image_token} is not <image>"):
        run_tokenizer(dataclasses.replace(large, init=str(tmp_path)), tmp_path / "run")


def test_an_unknown_preset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no preset 'gella-1b'.*gella-nano"):
        run_tokenizer(GellaTrainConfig(preset="gella-1b"), tmp_path)


def test_a_run_starts_from_weights_by_their_name(tmp_path: Path) -> None:
    config = GellaTrainConfig(init="gella-nano")
    assert start_of("gella-nano") == ASSETS / "gella-nano.safetensors"
    assert start_of(str(tmp_path)) == tmp_path  # a LLaVA
    kept = tokenizer_in(read_metadata(ASSETS / "gella-nano.safetensors"), tmp_path)
    assert run_tokenizer(config, tmp_path).to_str() == kept.to_str()
    with pytest.raises(WeightsError, match="gella-nanoo"):
        start_of("gella-nanoo")
