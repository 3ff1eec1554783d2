from __future__ import annotations

import json
from pathlib import Path

import pytest

from esg.models.zeroshot.folders import check_files, find_model, model_folders
from esg.support.errors import WeightsError


def touch(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()
    return folder


def cached(hf_home: Path, name: str, revision: str, *names: str) -> Path:
    """Files as `hf download` leaves them."""
    repository = hf_home / "hub" / f"models--{name.replace('/', '--')}"
    touch(repository / "refs")
    (repository / "refs" / "main").write_text(revision)
    return touch(repository / "snapshots" / revision, *names)


def test_a_model_is_found_in_its_folder_and_in_the_cache_of_the_hub(hf_home: Path, tmp_path: Path) -> None:
    assert model_folders([tmp_path, str(tmp_path / ".")]) == [tmp_path, tmp_path]
    cached(hf_home, "someone/model", "a" * 40, "config.json")
    newer = cached(hf_home, "someone/model", "b" * 40, "config.json")
    assert model_folders(["someone/model", tmp_path, "someone/model"]) == [newer, tmp_path, newer]
    assert find_model("someone/model") == newer
    assert find_model("someone/other") is None


def test_missing_models_are_named_with_the_command_that_downloads_them(hf_home: Path, tmp_path: Path) -> None:
    cached(hf_home, "someone/model", "a" * 40, "README.md")
    for name in ("someone/model", "someone/other"):
        with pytest.raises(WeightsError) as caught:
            model_folders([name, tmp_path])
        assert str(caught.value).startswith(
            f"{name} is not on this machine (looked in {hf_home / 'hub'}); get it with "
        )
        assert f"with `hf download {name}` (" in str(caught.value)
    for path in (tmp_path / "nothing", "much/too/deep", "~nobody-here/a", tmp_path / ("x" * 300)):
        with pytest.raises(WeightsError, match=r"The folder .* does not exist"):
            model_folders([path])


@pytest.mark.usefixtures("hf_home")
def test_all_models_that_are_missing_are_named_at_once() -> None:
    with pytest.raises(WeightsError) as caught:
        model_folders(["someone/model", "someone/other"])
    sentence = str(caught.value)
    assert sentence.startswith("someone/model and someone/other are not on this machine")
    assert "get them with `hf download someone/model` and `hf download someone/other` (" in sentence


WHOLE = ("config.json", "model.safetensors", "tokenizer.json", "preprocessor_config.json")


@pytest.mark.parametrize("missing", WHOLE)
def test_missing_files_are_named(tmp_path: Path, missing: str) -> None:
    touch(tmp_path, *WHOLE)
    assert check_files(tmp_path, processor=True) == [tmp_path / "model.safetensors"]
    (tmp_path / missing).unlink()
    with pytest.raises(WeightsError, match=f"lacks {missing};"):
        check_files(tmp_path, processor=True)


def test_all_that_is_missing_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"lacks config\.json, model\.safetensors, tokenizer\.json;"):
        check_files(tmp_path)


def test_either_kind_of_tokenizer_and_processor_will_do(tmp_path: Path) -> None:
    touch(tmp_path, "config.json", "model.safetensors", "processor_config.json", "vocab.json")
    with pytest.raises(WeightsError, match=r"lacks tokenizer\.json;"):
        check_files(tmp_path, processor=True)
    touch(tmp_path, "merges.txt")
    check_files(tmp_path, processor=True)


def test_weights_in_parts_are_all_there_or_the_missing_ones_are_named(tmp_path: Path) -> None:
    parts = [f"model-0000{number}-of-00003.safetensors" for number in (1, 2, 3)]
    index = {"weight_map": {"a": parts[0], "b": parts[1], "c": parts[2], "d": parts[0]}}
    touch(tmp_path, "config.json", "tokenizer.json", parts[1])
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(WeightsError, match=f"lacks {parts[0]}, {parts[2]};"):
        check_files(tmp_path)
    touch(tmp_path, *parts)
    assert check_files(tmp_path) == [tmp_path / part for part in parts]
    for damaged in ("{", "[]", '{"weight_map": 1}'):
        (tmp_path / "model.safetensors.index.json").write_text(damaged)
        with pytest.raises(WeightsError, match="damaged"):
            check_files(tmp_path)


def test_a_pytorch_checkpoint_counts_only_if_allowed(tmp_path: Path) -> None:
    touch(tmp_path, "config.json", "tokenizer.json", "pytorch_model.bin")
    assert check_files(tmp_path, pickled=True) == [tmp_path / "pytorch_model.bin"]
    with pytest.raises(WeightsError, match=r"lacks model\.safetensors;"):
        check_files(tmp_path)
    touch(tmp_path, "model.safetensors")
    assert check_files(tmp_path, pickled=True) == [tmp_path / "model.safetensors"]
