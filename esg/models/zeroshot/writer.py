"""Any image-text-to-text model of the Hugging Face hub, asked about a picture; its answer is streamed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ...support.errors import Advice, InputError, WeightsError
from ..grounding_model import GenerationConfig
from .folders import check_files


class Writer:
    """An image-text-to-text model with its processor.

    Attributes:
        device: the device it runs on.
        bits: bits per weight, 8 or 4, if fewer than the precision's.
        network: the transformers model.
    """

    def __init__(self, model: Any, processor: Any, device: torch.device | str = "cpu", bits: int | None = None) -> None:
        self.device = torch.device(device)
        self.bits = bits
        self.network = model.eval() if bits else model.eval().to(self.device)  # loading places quantised weights
        self._processor = processor
        tokens = [str(token) for token in processor.tokenizer.added_tokens_decoder.values()]
        self._special = sorted((token for token in tokens if len(token) > 1), key=len, reverse=True)

    @classmethod
    def from_folder(cls, folder: Path, device: torch.device, precision: torch.dtype, bits: int | None = None) -> Writer:
        """Reads a model of the hub from safetensors; code that comes with it is never run.

        Args:
            folder: folder with its files.
            device: device to load it on.
            precision: precision of computation and weights.
            bits: bits per weight instead, 8 or 4, with bitsandbytes.

        Raises:
            WeightsError: files are missing or damaged, or belong to another type of model, or bitsandbytes is missing.
        """
        import transformers

        check_files(folder, processor=True)
        major = int(transformers.__version__.split(".")[0])
        options: dict[str, Any] = {"dtype" if major >= 5 else "torch_dtype": precision}
        if bits:
            options |= {"quantization_config": _few_bits(bits, precision), "device_map": {"": device}}
        reader: Any = transformers.AutoModelForImageTextToText
        offline = {"local_files_only": True, "trust_remote_code": False}
        try:
            processor = transformers.AutoProcessor.from_pretrained(folder, **offline)
            model, info = reader.from_pretrained(
                folder, use_safetensors=True, output_loading_info=True, **offline, **options
            )
        except Exception as error:  # of any type, since hundreds of models can raise it
            reason = " ".join(str(error).split())[:200]
            raise WeightsError(f"{folder} cannot be loaded as an image-text-to-text model ({reason}).") from error
        if missing := sorted(info["missing_keys"]):
            raise WeightsError(
                f"The weights in {folder} lack {len(missing)} that this version of transformers expects, such as "
                f"{missing[0]}; get the files again, or another version."
            )
        if not getattr(processor, "chat_template", None):
            raise WeightsError(
                f"The model in {folder} does not have a chat template, so it cannot answer questions; choose another "
                "one."
            )
        return cls(model, processor, device, bits)

    def to(self, device: torch.device) -> None:
        """Moves the model.

        Raises:
            InputError: quantised weights cannot be moved.
        """
        if self.bits and device != self.device:
            raise InputError(
                f"A {self.bits}-bit language model cannot leave {self.device}; load it again on the other device."
            )
        self.network.to(device)
        self.device = device

    def answer(
        self, pixels: np.ndarray, question: str, writing: GenerationConfig, stop: Callable[[], bool] | None = None
    ) -> Generator[str, None, None]:
        """The model's answer about a picture, in pieces as they are generated.

        Args:
            pixels: (H, W, 3) uint8 RGB.
            question: plain text; names of special tokens in it are treated as text.
            writing: generation settings.
            stop: called before every token, from another thread; the answer ends if it returns True.

        Raises:
            InputError: the question is too long for the model.
        """
        from transformers import LogitsProcessorList, StoppingCriteriaList, TextIteratorStreamer

        if stop is not None and stop():
            return
        inputs = self._inputs(pixels, question)
        tokenizer = self._processor.tokenizer
        streamer = TextIteratorStreamer(tokenizer, skip_prompt=True, skip_special_tokens=True)
        left = threading.Event()  # set when the reader of the pieces leaves

        def ended(ids: Tensor, scores: Any, **_: Any) -> Tensor:
            return torch.full((len(ids),), left.is_set() or (stop is not None and bool(stop())), device=ids.device)

        failures: list[Exception] = []

        def generate() -> None:
            try:
                self.network.generate(
                    **inputs,
                    streamer=streamer,
                    max_new_tokens=writing.max_tokens,
                    do_sample=False,  # `_Lots` samples, with its own seed
                    num_beams=1,
                    temperature=None,
                    top_p=None,
                    top_k=None,
                    logits_processor=LogitsProcessorList([_Lots(writing)] if writing.temperature > 0 else []),
                    stopping_criteria=StoppingCriteriaList([ended]),
                )
            except Exception as error:
                failures.append(error)
            finally:
                streamer.end()

        thread = threading.Thread(target=generate, daemon=True)
        thread.start()
        try:
            yield from _from_first_word(streamer)
        finally:
            left.set()
            thread.join()
        if failures:
            raise failures[0]

    def _inputs(self, pixels: np.ndarray, question: str) -> Any:
        for token in self._special:
            question = question.replace(token, f"{token[0]} {token[1:]}")
        content = [{"type": "image"}, {"type": "text", "text": question}]
        prompt = self._processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
        )
        inputs = self._processor(images=[Image.fromarray(pixels)], text=prompt, return_tensors="pt")
        length = inputs["input_ids"].shape[1]
        most = getattr(self.network.config.get_text_config(), "max_position_embeddings", length + 1)
        if length >= most:
            raise InputError(
                f"The text is too long: with the picture it has {length} tokens, but the model accepts {most}; "
                "shorten it."
            )
        return inputs.to(self.device, self.network.dtype)


class _Lots:
    """Samples tokens with a seed: the largest of the logits plus Gumbel noise is a sample of their softmax."""

    def __init__(self, writing: GenerationConfig) -> None:
        self._generator = torch.Generator().manual_seed(writing.seed)
        self._temperature = writing.temperature

    def __call__(self, ids: Tensor, scores: Tensor) -> Tensor:
        noise = -torch.empty(scores.shape).exponential_(generator=self._generator).log()
        return scores.float() / self._temperature + noise.to(scores.device)


def _from_first_word(pieces: Iterator[str]) -> Iterator[str]:
    """Drops empty pieces and the space before the first word."""
    said = False
    for piece in pieces:
        piece = piece if said else piece.lstrip()
        if piece:
            said = True
            yield piece


def _few_bits(bits: int, precision: torch.dtype) -> Any:
    if missing := [name for name in ("bitsandbytes", "accelerate") if find_spec(name) is None]:
        raise WeightsError(
            f"{bits}-bit weights need {' and '.join(missing)}: run `pip install {' '.join(missing)}`.", Advice.QUANTISED
        )
    from transformers import BitsAndBytesConfig

    if bits == 8:
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=precision)
