"""The language side of GELLA: transformers' LLaVA, of which we hold the parts in our own hands.

The picture is looked at once: ResoBlend reads the last layer of the vision encoder, the language model the layer and
the projector that LLaVA has (paper Sec. 4.2, Eq. 9 to 11). Class layout and key names of LLaVA differ between versions
of transformers; the names of our weight files do not (`our_key`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from ..errors import InputError
from .config import GellaConfig

_KEYS = (
    (r"(?:model\.)?vision_tower\.(?:vision_model\.)?", "vision."),
    (r"(?:model\.)?multi_modal_projector\.", "projector."),
    (r"model\.language_model\.|language_model\.model\.", "decoder."),
    (r"(?:language_model\.)?lm_head\.", "head."),
)


def our_key(key: str) -> str:
    """The name of a weight of LLaVA in our files, whatever version of transformers named it."""
    for pattern, ours in _KEYS:
        if found := re.match(pattern, key):
            return ours + key[found.end() :]
    raise KeyError(key)


@dataclass(frozen=True)
class Sight:
    """What the vision encoder makes of pictures.

    Attributes:
        grid: Z_v, (N, C_v, g, g), the last layer.
        tokens: H_v, (N, g², C), the picture as words of the language model.
    """

    grid: Tensor
    tokens: Tensor


@dataclass(frozen=True)
class Reading:
    """What the language model makes of texts.

    Attributes:
        hidden: (N, L, C), embeddings after the last layer; the picture's tokens stand in place of its one.
        ids: (N, L), the tokens there, -1 for the picture's and the padding at the end.
    """

    hidden: Tensor
    ids: Tensor


class Language(nn.Module):
    """LLaVA-1.5: CLIP vision encoder, projector, LLaMA."""

    def __init__(self, config: GellaConfig) -> None:
        super().__init__()
        from transformers import LlavaForConditionalGeneration

        self.config = config
        self.llava = LlavaForConditionalGeneration(config.llava())
        for name, parameter in self.llava.named_parameters():
            parameter.requires_grad_("post_layernorm" not in name)  # it would serve the token of the whole picture

    @property
    def _inner(self) -> Any:
        return getattr(self.llava, "model", self.llava)

    @property
    def _decoder(self) -> nn.Module:
        """LLaMA without its head."""
        model = self._inner.language_model
        return getattr(model, "model", model)

    @property
    def _embedding(self) -> nn.Module:
        return self.llava.get_input_embeddings()

    def see(self, pixels: Tensor) -> Sight:
        """(N, 3, side, side) normalised as CLIP wants it → what is seen."""
        layers = self._inner.vision_tower(pixels, output_hidden_states=True).hidden_states
        grid = self.config.vision.grid
        last, wanted = layers[-1][:, 1:], layers[-2][:, 1:]  # the first token stands for the whole picture
        return Sight(last.transpose(1, 2).unflatten(2, (grid, grid)), self._inner.multi_modal_projector(wanted))

    def words(self, tokens: Tensor, texts: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Pictures and texts as one sequence of embeddings each.

        Args:
            tokens: (N, g², C), see `Sight`.
            texts: N times (L_n,) ids, with one image token each.

        Returns:
            Embeddings (N, L, C), padded at the end, which of them are there (N, L) bool, and ids as in `Reading`.

        Raises:
            InputError: a text is longer than the context, or has no place for the picture.
        """
        rows, ids = [], []
        for picture, text in zip(tokens, texts, strict=True):
            place = (text == self.config.language.image_token).nonzero()[:, 0]
            if len(place) != 1:
                raise InputError(f"A text for the language model has {len(place)} pictures instead of one.")
            before, after = text[: place[0]], text[place[0] + 1 :]
            embedded = self._embedding(torch.cat((before, after)))
            rows.append(torch.cat((embedded[: len(before)], picture.to(embedded.dtype), embedded[len(before) :])))
            ids.append(torch.cat((before, before.new_full((len(picture),), -1), after)))
        longest, most = max(len(row) for row in rows), self.config.language.context
        if longest > most:
            raise InputError(
                f"The text is too long: with the picture it has {longest} tokens, but the model takes {most}."
            )
        there = pad_sequence([torch.ones(len(row), dtype=torch.bool, device=row.device) for row in rows], True)
        return pad_sequence(rows, True), there, pad_sequence(ids, True, -1)

    def read(self, tokens: Tensor, texts: Sequence[Tensor]) -> Reading:
        """One pass over finished texts; arguments and errors as of `words`."""
        embedded, there, ids = self.words(tokens, texts)
        out = self._decoder(inputs_embeds=embedded, attention_mask=there.long(), use_cache=False)
        return Reading(out.last_hidden_state, ids)

    def continued(self, embedded: Tensor, past: Any) -> tuple[Tensor, Any]:
        """What may come after a text.

        Args:
            embedded: (N, L, C), the text, or what has been added since `past`.
            past: what the last call returned, None at the beginning.

        Returns:
            Logits of the next token (N, vocabulary), and the new past.
        """
        out = self._decoder(inputs_embeds=embedded, past_key_values=past, use_cache=True)
        return self.logits(out.last_hidden_state[:, -1]), out.past_key_values

    def embedded(self, ids: Tensor) -> Tensor:
        """Tokens that stand for text, (N, L) → (N, L, C)."""
        return self._embedding(ids)

    def logits(self, hidden: Tensor) -> Tensor:
        """(…, C) → what may come next, (…, vocabulary)."""
        return self.llava.get_output_embeddings()(hidden)
