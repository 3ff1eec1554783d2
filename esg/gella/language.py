"""The language side of GELLA: transformers' LLaVA, of which we hold the parts in our own hands.

A small model has another vision tower in CLIP's place (see `tower`).

The picture is looked at once: ResoBlend reads the last layer of the vision encoder, the language model the layer and
the projector that LLaVA has (paper Sec. 4.2, Eq. 9 to 11). Class layout and key names of LLaVA differ between versions
of transformers; the names of our weight files do not (`our_key`).
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from ..errors import InputError
from .config import GellaConfig
from .tower import EfficientTower

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
        tokens: H_v, (N, t, C), the picture as words of the language model; t is g² for CLIP.
        maps: of the backbone, for `appearance`; a CLIP has none.
    """

    grid: Tensor
    tokens: Tensor
    maps: tuple[Tensor, ...] = ()


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
        if config.vision.tower != "clip":
            self._inner.vision_tower = EfficientTower(config.vision)
        for name, parameter in self.llava.named_parameters():
            parameter.requires_grad_("post_layernorm" not in name)  # it would serve the token of the whole picture

    @property
    def _inner(self) -> Any:
        return getattr(self.llava, "model", self.llava)

    @property
    def tower(self) -> nn.Module:
        """The vision encoder."""
        return self._inner.vision_tower

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
        if isinstance(self._inner.vision_tower, EfficientTower):
            grid, tokens, maps = self._inner.vision_tower(pixels)
            return Sight(grid, self._inner.multi_modal_projector(tokens), maps)
        layers = self._inner.vision_tower(pixels, output_hidden_states=True).hidden_states
        side = self.config.vision.grid
        last, wanted = layers[-1][:, 1:], layers[-2][:, 1:]  # the first token stands for the whole picture
        return Sight(last.transpose(1, 2).unflatten(2, (side, side)), self._inner.multi_modal_projector(wanted))

    def words(self, tokens: Tensor, texts: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Pictures and texts as one sequence of embeddings each.

        Args:
            tokens: (N, t, C), see `Sight`.
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
                f"The text is too long: with the picture it has {longest} tokens, but the model takes {most}; "
                "shorten it."
            )
        there = pad_sequence([torch.ones(len(row), dtype=torch.bool, device=row.device) for row in rows], True)
        return pad_sequence(rows, True), there, pad_sequence(ids, True, -1)

    def read(self, tokens: Tensor, texts: Sequence[Tensor], pictures: Sequence[int] | None = None) -> Reading:
        """One pass over finished texts.

        Texts about one picture that begin alike share what they begin with, the picture above all, and see nothing of
        each other: the same result as one by one, for less.

        Args:
            tokens: (N, t, C), see `Sight`.
            texts: (L_t,) ids, with one image token each.
            pictures: the picture that each text is about; None if there is one text for each, in their order.

        Raises:
            InputError: as `words`.
        """
        about = list(range(len(texts)) if pictures is None else pictures)
        embedded, there, ids = self.words(tokens[about], texts)
        groups: dict[tuple[int, ...], list[int]] = {}
        for number, (picture, text) in enumerate(zip(about, texts)):
            before = text[: (text == self.config.language.image_token).nonzero()[0]]
            groups.setdefault((picture, *before.tolist()), []).append(number)
        rows, parts, positions = [], [], []
        places: dict[int, tuple[int, Tensor]] = {}
        for row, (start, own) in enumerate(groups.items()):
            shared = len(start) - 1 + tokens.shape[1]
            pieces, part, position = [embedded[own[0], :shared]], [torch.zeros(shared)], [torch.arange(shared)]
            length = shared
            for number in own:
                end = int(there[number].sum())
                pieces.append(embedded[number, shared:end])
                part.append(torch.full((end - shared,), 1.0 + number))
                position.append(torch.arange(shared, end))
                places[number] = row, torch.cat((torch.arange(shared), torch.arange(length, length + end - shared)))
                length += end - shared
            rows.append(torch.cat(pieces))
            parts.append(torch.cat(part))
            positions.append(torch.cat(position))
        of = pad_sequence(parts, True, -1).to(embedded.device)  # which text a token is of, 0 for what all share
        seen = ((of[:, None, :] == 0) | (of[:, None, :] == of[:, :, None])).tril()
        out = self._decoder(
            inputs_embeds=pad_sequence(rows, True),
            attention_mask=embedded.new_zeros(seen.shape).masked_fill(~seen, torch.finfo(embedded.dtype).min)[:, None],
            position_ids=pad_sequence(positions, True).to(embedded.device),
            use_cache=False,
        ).last_hidden_state
        hidden = [out[row, place.to(out.device)] for row, place in (places[number] for number in range(len(texts)))]
        return Reading(pad_sequence(hidden, True), ids)

    def continued(
        self, embedded: Tensor, past: Any, last: int = 1, *, there: Tensor | None = None, places: Tensor | None = None
    ) -> tuple[Tensor, Any]:
        """What may come after a text.

        Args:
            embedded: (N, L, C), the text, or what has been added since `past`.
            past: what the last call returned, None at the beginning.
            last: how many tokens at the end it is asked of.
            there: (N, all so far) bool, False for padding, which nothing sees; None if there is none.
            places: (N, L) int64, where in its text each token stands; None if there is no padding.

        Returns:
            Logits of what comes after each of the last tokens (N, last, vocabulary), and the new past, a cache of
            transformers.
        """
        mask = None if there is None else there.long()
        # transformers 5 calls the past `cache`, and will not know its name of before.
        name = "cache" if "cache" in inspect.signature(self._decoder.forward).parameters else "past_key_values"
        kept = {name: past, "use_cache": True}
        out = self._decoder(inputs_embeds=embedded, attention_mask=mask, position_ids=places, **kept)
        return self.logits(out.last_hidden_state[:, -last:]), getattr(out, name)

    def embedded(self, ids: Tensor) -> Tensor:
        """Tokens that stand for text, (N, L) → (N, L, C)."""
        return self._embedding(ids)

    def logits(self, hidden: Tensor) -> Tensor:
        """(…, C) → what may come next, (…, vocabulary)."""
        return self.llava.get_output_embeddings()(hidden)
