from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from esg.models.grounding_model import GenerationConfig
from esg.models.zeroshot import writer as module
from esg.models.zeroshot.writer import Writer
from esg.support.errors import InputError, WeightsError

CPU, FP32 = torch.device("cpu"), torch.float32
QUESTION = "What is this?"


@pytest.fixture(scope="module")
def writer(llava_folder: Path) -> Writer:
    return Writer.from_folder(llava_folder, CPU, FP32)


@pytest.fixture
def copy(llava_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(llava_folder, tmp_path / "llava"))


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_the_answer_is_the_most_likely_continuation_of_the_chat_template(writer: Writer, photo: np.ndarray) -> None:
    """As the model's card has it: processor, generate, decode."""
    prompt = f"USER: <image>\n{QUESTION} ASSISTANT:"
    processor, model = writer._processor, writer.network
    inputs = processor(images=Image.fromarray(photo), text=prompt, return_tensors="pt")
    out = model.generate(**inputs, max_new_tokens=20, do_sample=False)
    expected = processor.tokenizer.decode(out[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    assert "".join(writer.answer(photo, QUESTION, GenerationConfig(20))) == expected.lstrip()
    assert len(expected) > 5


def test_a_model_of_another_kind_is_asked_in_its_own_way(smolvlm_folder: Path, photo: np.ndarray) -> None:
    writer = Writer.from_folder(smolvlm_folder, CPU, FP32)
    inputs = writer._inputs(photo, "What is <image> this?")
    read = writer._processor.tokenizer.decode(inputs["input_ids"][0])
    assert read.startswith("<s>User:<fake_token_around_image>")
    assert read.endswith("What is < image> this?<end_of_utterance>\nAssistant:")
    texts = ["".join(writer.answer(photo, QUESTION, GenerationConfig(12))) for _ in range(2)]
    assert texts[0] == texts[1] != ""


def test_lots_depend_on_the_seed_alone(writer: Writer, photo: np.ndarray) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    drawn = [
        "".join(writer.answer(photo, QUESTION, GenerationConfig(12, temperature=2.0, seed=seed))) for seed in (1, 1, 2)
    ]
    assert drawn[0] == drawn[1] != drawn[2]
    assert torch.equal(torch.get_rng_state(), before)  # the caller's lots are left alone


def test_lots_are_drawn_by_their_chances() -> None:
    logits = torch.tensor([[2.0, 1.0, 0.0, -30.0]])
    lots = module._Lots(GenerationConfig(temperature=0.5))
    counts = torch.bincount(torch.cat([lots(logits, logits).argmax(-1) for _ in range(4000)]), minlength=4) / 4000
    assert torch.allclose(counts, (logits[0] / 0.5).softmax(0), atol=0.03)


def test_writing_stops_on_request(writer: Writer, photo: np.ndarray) -> None:
    assert list(writer.answer(photo, QUESTION, GenerationConfig(), lambda: True)) == []
    asks = []

    def stop() -> bool:
        asks.append(0)
        return len(asks) > 4

    text = "".join(writer.answer(photo, QUESTION, GenerationConfig(200), stop))
    assert len(asks) == 5
    assert "".join(writer.answer(photo, QUESTION, GenerationConfig(4))) == text


def test_writing_ends_when_the_reader_stops(writer: Writer, photo: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer.network.generation_config, "eos_token_id", None)
    pieces = writer.answer(photo, QUESTION, GenerationConfig(100_000, temperature=5.0))
    next(pieces)
    before = threading.active_count()
    pieces.close()
    assert threading.active_count() == before - 1


def test_what_goes_wrong_while_writing_is_raised_where_it_is_read(
    writer: Writer, photo: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> bool:
        raise ValueError("asked too much")

    asks = iter([lambda: False, broken])
    with pytest.raises(ValueError, match="asked too much"):
        list(writer.answer(photo, QUESTION, GenerationConfig(), lambda: next(asks)()))


def test_pieces_are_neither_empty_nor_do_they_begin_with_space() -> None:
    assert list(module._from_first_word(iter(["", " ", "\n A", "", " dog", " "]))) == ["A", " dog", " "]


def test_the_names_of_tokens_in_a_question_are_text(writer: Writer, photo: np.ndarray) -> None:
    plain = writer._inputs(photo, "a b")["input_ids"]
    asked = writer._inputs(photo, "a <image> </s> <SEG> b")["input_ids"]
    for token in (2, 3, 4):
        assert (asked == token).sum() == (plain == token).sum()


def test_the_message_says_how_long_a_text_is(writer: Writer, photo: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"it has \d{4} tokens, but the model accepts 1500"):
        next(writer.answer(photo, "x y " * 1000, GenerationConfig()))


def test_half_precision_is_that_of_the_weights(llava_folder: Path, photo: np.ndarray) -> None:
    half = Writer.from_folder(llava_folder, CPU, torch.bfloat16)
    assert half.network.dtype == torch.bfloat16
    assert half._inputs(photo, QUESTION)["pixel_values"].dtype == torch.bfloat16
    assert list(half.answer(photo, QUESTION, GenerationConfig(5)))


def test_missing_weights_are_not_replaced_by_random_ones(copy: Path) -> None:
    state = load_file(copy / "model.safetensors")
    gone = next(name for name in state if name.endswith("linear_1.weight"))
    save_file(
        {name: value for name, value in state.items() if name != gone}, copy / "model.safetensors", {"format": "pt"}
    )
    with pytest.raises(WeightsError, match=r"lack 1 that .*linear_1\.weight"):
        Writer.from_folder(copy, CPU, FP32)


def test_damaged_files_and_other_models_are_refused_in_one_sentence(copy: Path, clip_folder: Path) -> None:
    weights = copy / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:1000])
    with pytest.raises(WeightsError, match="cannot be loaded as an image-text-to-text model"):
        Writer.from_folder(copy, CPU, FP32)
    weights.write_bytes(whole)
    edit(copy / "config.json", model_type="bert")
    with pytest.raises(WeightsError, match="cannot be loaded") as caught:
        Writer.from_folder(copy, CPU, FP32)
    assert "\n" not in str(caught.value)
    with pytest.raises(WeightsError, match=r"lacks preprocessor_config\.json"):
        Writer.from_folder(clip_folder, CPU, FP32)


def test_a_model_without_chat_template_cannot_be_asked(copy: Path) -> None:
    (copy / "chat_template.json").unlink()
    with pytest.raises(WeightsError, match="not have a chat template"):
        Writer.from_folder(copy, CPU, FP32)


def test_code_that_comes_with_a_model_is_not_run(copy: Path, tmp_path: Path) -> None:
    (copy / "evil.py").write_text(f"open({str(tmp_path / 'harm')!r}, 'w')\nclass Config: pass\n")
    edit(copy / "config.json", model_type="evil", auto_map={"AutoConfig": "evil.Config"})
    with pytest.raises(WeightsError):
        Writer.from_folder(copy, CPU, FP32)
    assert not (tmp_path / "harm").exists()


def test_a_pickle_is_not_even_looked_at(copy: Path) -> None:
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    with pytest.raises(WeightsError, match=r"lacks model\.safetensors"):
        Writer.from_folder(copy, CPU, FP32)


@pytest.mark.parametrize("bits", [8, 4])
def test_quantised_weights_need_bitsandbytes(llava_folder: Path, bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(WeightsError, match=rf"{bits}-bit weights need bitsandbytes and accelerate.*pip install"):
        Writer.from_folder(llava_folder, CPU, FP32, bits)


def test_few_bits_stay_where_they_are(writer: Writer) -> None:
    few = Writer(writer.network, writer._processor, CPU, bits=4)
    few.to(CPU)
    with pytest.raises(InputError, match="4-bit language model cannot leave cpu"):
        few.to(torch.device("meta"))


def test_few_bits_are_read_by_bitsandbytes(llava_folder: Path, photo: np.ndarray) -> None:
    pytest.importorskip("bitsandbytes")
    few = Writer.from_folder(llava_folder, CPU, FP32, 8)
    assert "Linear8bitLt" in {type(part).__name__ for part in few.network.modules()}
    assert list(few.answer(photo, QUESTION, GenerationConfig(5)))
