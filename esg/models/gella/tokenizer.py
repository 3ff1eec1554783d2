"""Trains the tokenizer of GELLA's small model: bytes, and the frequent pieces of its training captions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from .config import LanguageConfig

if TYPE_CHECKING:
    from tokenizers import Tokenizer

SPECIAL = 5
"""Number of special tokens, which come first in the vocabulary."""


def train_tokenizer(texts: Iterable[str], config: LanguageConfig) -> Tokenizer:
    """Trains a byte-level BPE tokenizer: it can encode any text, and frequent text takes few tokens.

    Args:
        texts: training texts; the same texts give the same tokenizer.
        config: size of the vocabulary, and ids of the special tokens, which must be 0 to 4.
    """
    from tokenizers import AddedToken, Tokenizer
    from tokenizers.decoders import ByteLevel as Bytes
    from tokenizers.models import BPE
    from tokenizers.pre_tokenizers import ByteLevel
    from tokenizers.trainers import BpeTrainer

    special = {
        config.pad_token: "<pad>",
        config.begin_token: "<s>",
        config.end_token: "</s>",
        config.image_token: "<image>",
        config.seg_token: "<SEG>",
    }
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    tokenizer.decoder = Bytes()
    trainer = BpeTrainer(
        vocab_size=config.vocabulary,
        special_tokens=[AddedToken(special[number], special=True) for number in range(len(special))],
        initial_alphabet=ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer
