"""The tokenizer of a GELLA training run: that of the weights it starts from, or one of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..data.narrated import tell_scene
from ..data.narration.teller import VOCABULARY
from ..data.narration.words import plural
from ..data.opening import open_photos
from ..data.scenes.synth import HELD_OUT
from ..language import captions as prompts
from ..models.gella.checkpoint import tokenizer_in
from ..models.gella.config import LanguageConfig
from ..models.gella.published import read_llava_tokenizer
from ..models.gella.tokenizer import SPECIAL, train_tokenizer
from ..support.errors import InputError, WeightsError
from ..support.weight_files import read_metadata
from .devices import agreed
from .gella_init import start_of
from .run_folder import CHECKPOINT, TOKENIZER

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from .gella import GellaTrainConfig

_SCENES, _TEXTS = 250, 8  # number of scenes that a tokenizer is trained on, and of texts about each
_SIDES = (96, 128)  # pixels; small scenes get the same texts as large ones


def run_tokenizer(config: GellaTrainConfig, run_dir: Path) -> Tokenizer:
    """The tokenizer of a run, the same in all its processes.

    A resumed run reads it from its folder. A new run takes that of `config.init`; a run from scratch trains one on
    texts about synthetic scenes. The run stores it in its folder once it has begun.

    Raises:
        InputError: the architecture does not exist, or needs LLaVA's tokenizer but `config.init` is not given.
        WeightsError: a file with a tokenizer is missing or damaged.
    """
    from tokenizers import Tokenizer

    return Tokenizer.from_str(agreed(lambda: _tokenizer(config, run_dir).to_str()))


def _tokenizer(config: GellaTrainConfig, run_dir: Path) -> Tokenizer:
    from tokenizers import Tokenizer

    language = config.architecture.language
    if os.path.exists(run_dir / CHECKPOINT):
        kept = run_dir / TOKENIZER
        try:
            return Tokenizer.from_file(str(kept))
        except Exception as error:  # tokenizers raises nothing narrower
            raise WeightsError(
                f"{kept} is missing or damaged ({error}), and the run cannot resume without it; put it back, or use "
                "another folder."
            ) from None
    if config.init is not None and config.backbone_init is None:
        init = start_of(config.init)
        return read_llava_tokenizer(language, init) if init.is_dir() else tokenizer_in(read_metadata(init), init)
    if not _is_own(language):
        raise InputError(
            f"{config.preset} starts from published weights; give --init the folder of LLaVA-1.5 as published by "
            "llava-hf."
        )
    return train_tokenizer(_texts(config), language)


def _is_own(language: LanguageConfig) -> bool:
    """Whether the model uses a tokenizer of our own, whose special tokens come first."""
    special = {language.pad_token, language.begin_token, language.end_token, language.image_token, language.seg_token}
    return special == set(range(SPECIAL))


def _texts(config: GellaTrainConfig) -> Iterator[str]:
    """All prompts and answers for some scenes and photos, and every word that captions may contain."""
    samples, names = config.samples, config.architecture.names
    yield " ".join(VOCABULARY)
    for name in names:
        yield from [f"a {name}, {plural(name)}."] * _TEXTS
    for number in range(_SCENES):
        rng = np.random.default_rng((samples.seed, number))
        refers = [rng.random() < samples.referring for _ in range(_TEXTS)]
        for narrative in tell_scene(int(rng.integers(HELD_OUT)), rng, _SIDES, samples.scenes, refers).narratives:
            caption = narrative.caption
            yield from (prompts.DESCRIBE, caption, prompts.extract(caption))
            yield from prompts.answer_pieces([caption[slice(*mention.span)] for mention in narrative.mentions])
    for folder in samples.photos:
        for caption in open_photos(folder).written:
            yield from (caption, prompts.describe([caption.lower()]))
