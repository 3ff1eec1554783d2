"""Initialises a GELLA from the weights of another one: finds them, copies what fits, and matches tokens by spelling."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from ..models.gella.checkpoint import our_name, tokenizer_in
from ..models.gella.model import Gella
from ..support.weight_files import read_state_dict
from ..weights.finding import locate

if TYPE_CHECKING:
    from tokenizers import Tokenizer

log = logging.getLogger(__name__)

_TABLES = ("language.decoder.embed_tokens.weight", "language.head.weight")  # have one row per token


def start_of(init: str) -> Path:
    """The folder of a LLaVA, or the weight file with this path or name, such as "gella-nano".

    Raises:
        WeightsError: there is no such file.
    """
    return Path(init) if Path(init).is_dir() else locate(init, task="grounding")


def begin_from(model: Gella, tokenizer: Tokenizer, path: Path) -> None:
    """Copies weights from a file into a new model wherever names and shapes agree.

    Raises:
        WeightsError: the file cannot be read, or does not contain a tokenizer.
    """
    state, metadata = read_state_dict(path)
    theirs = tokenizer_in(metadata, path)
    own = model.state_dict()
    taken = {}
    for name, value in own.items():
        ours = our_name(name)
        given = state.get(ours)
        if given is not None and ours in _TABLES and given.shape[1] == value.shape[1]:
            table = value.clone()
            for word, number in tokenizer.get_vocab().items():
                if (row := theirs.token_to_id(word)) is not None:
                    table[number] = given[row].to(value.dtype)
            taken[name] = table
        elif given is not None and given.shape == value.shape:
            taken[name] = given.to(value.dtype)
    log.info("%d of %d tensors start from %s.", len(taken), len(own), path)
    model.load_state_dict(own | taken)
