"""The tokenizer of a run of GELLA: that of the weights it starts from, or one of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..data.coco import CocoInstances
from ..data.photos import open_photos
from ..data.synth import HELD_OUT
from ..data.telling.teller import VOCABULARY
from ..data.telling.told import tell_scene
from ..data.telling.words import plural
from ..errors import InputError, WeightsError
from ..gella import prompts
from ..gella.checkpoint import tokenizer_in
from ..gella.config import LanguageConfig
from ..gella.published import read_llava_tokenizer
from ..gella.tokenizer import SPECIAL, train_tokenizer
from ..statedict import read_metadata
from .devices import agreed
from .run_folder import CHECKPOINT, TOKENIZER

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from .gella import GellaTrainConfig

_SCENES, _TEXTS = 250, 8  # scenes that a tokenizer learns from, and what is said of each
_SIDES = (96, 128)  # small ones, of which the same is said


def run_tokenizer(config: GellaTrainConfig, run_dir: Path) -> Tokenizer:
    """The tokenizer of a run, the same in all its processes.

    A run that goes on has it in its folder. A new one takes that of `config.init`, and one that starts from nothing
    learns it from what is told of synthetic scenes; the run keeps it once it has begun.

    Raises:
        InputError: the architecture does not exist, or has the tokenizer of LLaVA and starts from nothing.
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
        except Exception as error:  # of no narrower kind
            raise WeightsError(
                f"{kept}, without which the run cannot go on, is missing or damaged ({error}); put it back, or use "
                "another folder."
            ) from None
    if config.init is not None and config.backbone_init is None:
        init = Path(config.init)
        return read_llava_tokenizer(language, init) if init.is_dir() else tokenizer_in(read_metadata(init), init)
    if not _is_own(language):
        raise InputError(
            f"{config.preset} starts from published weights: give the folder of LLaVA-1.5 as llava-hf publishes it "
            "(--init)."
        )
    return train_tokenizer(_texts(config), language)


def _is_own(language: LanguageConfig) -> bool:
    """Whether the model has a tokenizer of our own, whose first tokens are those that are no text."""
    special = {language.pad_token, language.begin_token, language.end_token, language.image_token, language.seg_token}
    return special == set(range(SPECIAL))


def _texts(config: GellaTrainConfig) -> Iterator[str]:
    """All that is asked and answered about some scenes and photos, and every word that may ever be told."""
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
        source = open_photos(folder)
        for caption in source.written if isinstance(source, CocoInstances) else ():
            yield from (caption, prompts.describe([caption.lower()]))
