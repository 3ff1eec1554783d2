"""The language side of GELLA: transformers' LLaVA, run step by step by our own code.

A small model has another vision encoder than CLIP (see `tower`).

Each image is encoded once: ResoBlend uses the last layer of the vision encoder; the language model uses LLaVA's layer
and projector (paper Sec. 4.2, Eq. 9 to 11). LLaVA's class layout and weight names depend on the version of
transformers; the names in our weight files do not (`our_key`).
"""

from __future__ import annotations

import inspect
import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from ...support.compiling import Compiler
from ...support.errors import InputError
from ..layers.linear import Linear, use_linear
from .config import GellaConfig
from .tower import EfficientTower

log = logging.getLogger(__name__)

_KEYS = (
    (r"(?:model\.)?vision_tower\.(?:vision_model\.)?", "vision."),
    (r"(?:model\.)?multi_modal_projector\.", "projector."),
    (r"model\.language_model\.|language_model\.model\.", "decoder."),
    (r"(?:language_model\.)?lm_head\.", "head."),
)


def our_key(key: str) -> str:
    """The name of a LLaVA weight in our files, whatever version of transformers named it."""
    for pattern, ours in _KEYS:
        if found := re.match(pattern, key):
            return ours + key[found.end() :]
    raise KeyError(key)


@dataclass(frozen=True)
class ImageFeatures:
    """The output of the vision encoder.

    Attributes:
        grid: Z_v, (N, C_v, g, g), the last layer.
        tokens: H_v, (N, t, C), the image as input embeddings of the language model; t is g² for CLIP.
        maps: the backbone's feature maps, for `appearance`; empty for CLIP.
        pixels: (N, 3, side, side) uint8, the images as they were given to the encoder, where they are needed again.
    """

    grid: Tensor
    tokens: Tensor
    maps: tuple[Tensor, ...] = ()
    pixels: Tensor | None = None


@dataclass(frozen=True)
class LanguageOutput:
    """The output of the language model for complete texts.

    Attributes:
        hidden: (N, L, C), embeddings after the last layer; the image token is replaced by the tokens of the image.
        ids: (N, L), token ids at the same places, -1 for the image's tokens and for the padding at the end.
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
        use_linear(self.llava)
        if config.vision.tower != "clip":
            self._inner.vision_tower = EfficientTower(config.vision)
        if config.projection == "linear":
            self.renew_projector()
        for name, parameter in self.llava.named_parameters():
            parameter.requires_grad_("post_layernorm" not in name)  # it only serves the class token, which is unused
        self._step: Callable[..., tuple[Tensor, Any]] | None = None

    @property
    def _inner(self) -> Any:
        return getattr(self.llava, "model", self.llava)

    def renew_projector(self) -> None:
        """Replaces LLaVA's projector by a new linear layer, W of Eq. 10."""
        self._inner.multi_modal_projector = Linear(self.config.vision.width, self.config.language.width)

    @property
    def tower(self) -> nn.Module:
        """The vision encoder."""
        return self._inner.vision_tower

    @property
    def _decoder(self) -> nn.Module:
        """LLaMA without its output head."""
        model = self._inner.language_model
        return getattr(model, "model", model)

    @property
    def _embedding(self) -> nn.Module:
        return self.llava.get_input_embeddings()

    def see(self, pixels: Tensor) -> ImageFeatures:
        """Encodes images (N, 3, side, side), normalised as for CLIP."""
        if isinstance(self._inner.vision_tower, EfficientTower):
            grid, tokens, maps = self._inner.vision_tower(pixels)
            return ImageFeatures(grid, self._inner.multi_modal_projector(tokens), maps)
        layers = self._inner.vision_tower(pixels, output_hidden_states=True).hidden_states
        side = self.config.vision.grid
        last = layers[-1][:, 1:]  # without the class token
        wanted = last if self.config.projection == "linear" else layers[-2][:, 1:]
        return ImageFeatures(last.transpose(1, 2).unflatten(2, (side, side)), self._inner.multi_modal_projector(wanted))

    def words(self, tokens: Tensor, texts: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Merges images and texts into one padded batch of input embeddings.

        Args:
            tokens: (N, t, C), see `ImageFeatures`.
            texts: N times (L_n,) ids, with one image token each.

        Returns:
            Embeddings (N, L, C), padded at the end; (N, L) bool, False for padding; and ids as in `LanguageOutput`.

        Raises:
            InputError: a text is longer than the context, or does not have exactly one image token.
        """
        rows, ids = [], []
        for picture, text in zip(tokens, texts, strict=True):
            place = (text == self.config.language.image_token).nonzero()[:, 0]
            if len(place) != 1:
                raise InputError(f"A text for the language model needs 1 image token, but has {len(place)}.")
            before, after = text[: place[0]], text[place[0] + 1 :]
            embedded = self._embedding(torch.cat((before, after)))
            rows.append(torch.cat((embedded[: len(before)], picture.to(embedded.dtype), embedded[len(before) :])))
            ids.append(torch.cat((before, before.new_full((len(picture),), -1), after)))
        longest, most = max(len(row) for row in rows), self.config.language.context
        if longest > most:
            raise InputError(
                f"The text is too long: with the image it has {longest} tokens, but the model takes at most {most}; "
                "shorten it."
            )
        there = pad_sequence([torch.ones(len(row), dtype=torch.bool, device=row.device) for row in rows], True)
        return pad_sequence(rows, True), there, pad_sequence(ids, True, -1)

    def read(self, tokens: Tensor, texts: Sequence[Tensor], pictures: Sequence[int] | None = None) -> LanguageOutput:
        """One forward pass over complete texts.

        Texts about the same image that have the same beginning share its computation, including the image, and are
        masked from each other. The result is the same as one by one, at less cost.

        Args:
            tokens: (N, t, C), see `ImageFeatures`.
            texts: (L_t,) ids, with one image token each.
            pictures: index of the image of each text; None: text n is about image n.

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
        of = pad_sequence(parts, True, -1).to(embedded.device)  # the text of each token; 0 for the shared beginning
        seen = ((of[:, None, :] == 0) | (of[:, None, :] == of[:, :, None])).tril()
        out = self._decoder(
            inputs_embeds=pad_sequence(rows, True),
            attention_mask=embedded.new_zeros(seen.shape).masked_fill(~seen, torch.finfo(embedded.dtype).min)[:, None],
            position_ids=pad_sequence(positions, True).to(embedded.device),
            use_cache=False,
        ).last_hidden_state
        hidden = [out[row, place.to(out.device)] for row, place in (places[number] for number in range(len(texts)))]
        return LanguageOutput(pad_sequence(hidden, True), ids)

    def continued(
        self, embedded: Tensor, past: Any, last: int = 1, *, there: Tensor | None = None, places: Tensor | None = None
    ) -> tuple[Tensor, Any]:
        """One step of generation with a key-value cache.

        Args:
            embedded: (N, L, C), the whole text, or what has been added since `past`.
            past: the cache that the last call returned; at the beginning that of `new_cache`, or None.
            last: number of tokens at the end to return logits for.
            there: (N, length so far) bool, False for padding, which is masked; None if there is no padding.
            places: (N, L) int64, position of each token in its text; None if there is no padding.

        Returns:
            Logits of the token after each of the last tokens (N, last, vocabulary), and the new cache, in transformers'
            format.
        """
        mask = None if there is None else there.long()
        is_step = self._step is not None and last == embedded.shape[1] and getattr(past, "is_compileable", False)
        read = self._step if self._step is not None and is_step else self._read_on
        hidden, past = read(embedded, past, mask, places)
        return self.logits(hidden[:, -last:]), past

    def _read_on(self, embedded: Tensor, past: Any, mask: Tensor | None, places: Tensor | None) -> tuple[Tensor, Any]:
        """Embeddings after the last layer, (N, L, C), and the new cache; arguments as for `continued`."""
        # transformers 5 renames `past_key_values` to `cache` and rejects the old name.
        name = "cache" if "cache" in inspect.signature(self._decoder.forward).parameters else "past_key_values"
        kept = {name: past, "use_cache": True}
        out = self._decoder(inputs_embeds=embedded, attention_mask=mask, position_ids=places, **kept)
        return out.last_hidden_state, getattr(out, name)

    def compile_steps(self) -> None:
        """Makes `torch.compile` compile the steps of generation, whose cache then has a fixed size (`new_cache`)."""
        from transformers import cache_utils

        if getattr(getattr(cache_utils, "StaticLayer", None), "is_croppable", False):
            self._step = Compiler()(self._read_on)
        else:
            log.warning("This version of transformers cannot compile the writing of texts; update it to 5.24 or newer.")

    def new_cache(self, guesses: int) -> Any:
        """An empty key-value cache: of a fixed size if steps are compiled, otherwise None, for one that grows.

        Args:
            guesses: number of guessed tokens that it must hold beyond the context.
        """
        if self._step is None:
            return None
        from transformers import StaticCache

        decoder: Any = self._decoder
        return StaticCache(decoder.config, max_cache_len=self.config.language.context + guesses)

    def embedded(self, ids: Tensor) -> Tensor:
        """Input embeddings of text tokens, (N, L) → (N, L, C)."""
        return self._embedding(ids)

    def logits(self, hidden: Tensor) -> Tensor:
        """Logits of the next token, (…, C) → (…, vocabulary)."""
        return self.llava.get_output_embeddings()(hidden)
