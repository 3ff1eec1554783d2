"""The GELLA network (ESG, Sec. 4.2): grounds the nouns of a sentence in given masks, which it reads as a colormap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..layers.mask_decoder import MaskDecoder, Prediction
from ..layers.pixel_decoder import PixelDecoder
from .appearance import Appearance
from .association import Association
from .colormap_encoder import ENCODERS
from .config import GellaConfig
from .conversation import Text
from .language import Language, LanguageOutput
from .resoblend import ResoBlend
from .tower import EfficientTower

_WORDS_NORM = 6.0  # about the norm of the hidden state of a <SEG>, which the words are concatenated with


@dataclass(frozen=True)
class Reconstruction:
    """The output of the mask decoder.

    Attributes:
        features: (N, C, h, w) at stride 4 of the colormap.
        heads: predictions before the first and after every decoder layer, the last is final; logits (N, Q, 2).
        anchors: predictions of all anchors, for a decoder with anchors.
        embeddings: E_vc, (N, Q, C).
    """

    features: Tensor
    heads: list[Prediction]
    anchors: Prediction | None
    embeddings: Tensor

    def masks(self) -> Tensor:
        """Mask logits (N, Q, h, w) of the final head."""
        return torch.einsum("nqc,nchw->nqhw", self.heads[-1].embeddings, self.features)


@dataclass(frozen=True)
class TrainingOutput:
    """The output of a training step for images and complete conversations.

    Attributes:
        answers: (T, vocabulary) logits for the tokens of all answers, concatenated.
        wanted: (T,) int64, target ids of those tokens.
        grid: Z_v of the G images that have grounded texts, (G, C_v, g, g).
        masks: reconstruction for these G images; None if G is 0.
        places: for every grounded text, the index of its image among these G.
        scores: for every grounded text, association logits (v, Q) of its nouns and the queries.
    """

    answers: Tensor
    wanted: Tensor
    grid: Tensor
    masks: Reconstruction | None
    places: list[int]
    scores: list[Tensor]


class Gella(nn.Module):
    """Two encoders (image, colormap), two decoders (masks, language), and the association between them.

    Args:
        config: sizes of all parts.
        language: an existing image encoder and language decoder; None initialises them randomly like the rest.
    """

    def __init__(self, config: GellaConfig, language: Language | None = None) -> None:
        super().__init__()
        self.config = config
        sizes = config.decoder
        self.language = language or Language(config)
        self.colormap = ENCODERS[config.encoder](config.encoder_scale)
        self.blend = ResoBlend(
            config.vision.width, self.colormap.channels, sizes.width, sizes.heads, sizes.encoder_ffn, config.blend
        )
        self.pixel_decoder = PixelDecoder(
            (sizes.width,) * 4,
            width=sizes.width,
            heads=sizes.heads,
            points=sizes.points,
            layers=sizes.encoder_layers,
            ffn=sizes.encoder_ffn,
        )
        self.decoder = MaskDecoder(
            sizes.width,
            heads=sizes.heads,
            ffn=sizes.ffn,
            layers=sizes.layers,
            queries=sizes.queries,
            classes=1,
            levels=PixelDecoder.levels,
            anchors=sizes.anchors,
        )
        tower = self.language.tower
        self.appearance = Appearance(tower.channels, sizes.width) if isinstance(tower, EfficientTower) else None
        width = config.language.width * (2 if config.words else 1)
        self.association = Association(width, sizes.width, config.association, config.association_layers)

    def forward(
        self,
        pixels: Tensor,
        colormaps: Tensor,
        texts: Sequence[Text],
        pictures: Sequence[int],
        grounded: Sequence[int],
    ) -> TrainingOutput:
        """Forward pass of a training step: reads all texts and grounds some of them.

        Args:
            pixels: (N, 3, side, side) float, normalised as for CLIP.
            colormaps: (N, 3, M, M) float, -1..1.
            texts: conversations with their answers.
            pictures: index of the image that each text is about.
            grounded: indices of the texts to ground.
        """
        image = self.language.see(pixels)
        reading = self.language.read(image.tokens, [text.ids for text in texts], pictures)
        hidden, wanted = [], []
        for row, ids, text in zip(reading.hidden, reading.ids, texts):
            extra = image.tokens.shape[1] - 1  # the image token, which precedes the answer, became this many more
            start, end = text.start + extra, len(text.ids) + extra
            hidden.append(row[start - 1 : end - 1])
            wanted.append(ids[start:end])
        answers = self.language.logits(torch.cat(hidden))
        chosen = list(grounded)
        shown = sorted({pictures[text] for text in chosen})
        grid = image.grid[shown]
        if not chosen:
            return TrainingOutput(answers, torch.cat(wanted), grid, None, [], [])
        masks = self.reconstruct(grid, colormaps[shown], [features[shown] for features in image.maps])
        nouns = self.nouns(
            LanguageOutput(reading.hidden[chosen], reading.ids[chosen]), [texts[number] for number in chosen]
        )
        places = [shown.index(pictures[text]) for text in chosen]
        return TrainingOutput(
            answers, torch.cat(wanted), grid, masks, places, self.associate(nouns, masks.embeddings[places])
        )

    def reconstruct(self, grid: Tensor, colormaps: Tensor, maps: Sequence[Tensor] = ()) -> Reconstruction:
        """Computes entity embeddings from image features and masks, and reconstructs the masks.

        Args:
            grid: Z_v, (N, C_v, g, g), see `language.ImageFeatures`.
            colormaps: M_c, (N, 3, side, side) float, -1..1.
            maps: the backbone's feature maps, see `language.ImageFeatures`; without them, embeddings lack appearance.
        """
        levels, features = self.pixel_decoder(self.blend(grid, self.colormap(colormaps)))
        groups, group_features = [level[:, None] for level in levels], features[:, None]
        queries, anchors = self.decoder.begin(groups, group_features)
        content, heads = self.decoder(groups, group_features, queries)
        embeddings = self.decoder.norm(content)
        if self.appearance is not None and maps:
            masks = torch.einsum("nqc,nchw->nqhw", heads[-1].embeddings, features)
            embeddings = embeddings + self.appearance(maps, masks.detach().sigmoid())  # names must not train the masks
        return Reconstruction(features, heads, anchors, embeddings)

    def nouns(self, reading: LanguageOutput, texts: Sequence[Text]) -> list[Tensor]:
        """E_vl: the embeddings of every text's nouns, (v_n, C_l), or (v_n, 2·C_l) with `config.words`.

        Args:
            reading: output of the language model for the texts.
            texts: conversations whose answers list nouns.
        """
        seg = self.config.language.seg_token
        nouns = [hidden[ids == seg] for hidden, ids in zip(reading.hidden, reading.ids)]
        if not self.config.words:
            return nouns
        return [torch.cat((own, self._words(text, own.device)), -1) for own, text in zip(nouns, texts, strict=True)]

    def _words(self, text: Text, device: torch.device) -> Tensor:
        """The sum of each noun's token embeddings, scaled to a fixed length, (v, C_l)."""
        tokens = self.language.embedded(torch.cat([torch.zeros(0, dtype=torch.int64, device=device), *text.nouns]))
        of = torch.tensor([number for number, noun in enumerate(text.nouns) for _ in noun], device=device).long()
        sums = tokens.new_zeros(len(text.nouns), tokens.shape[1]).index_add(0, of, tokens)
        return F.normalize(sums, dim=-1) * _WORDS_NORM

    def associate(self, nouns: Sequence[Tensor], entities: Tensor) -> list[Tensor]:
        """Association logits, N times (v_n, Q), from E_vl of N texts and E_vc (N, Q, C)."""
        return [self.association(own, theirs) for own, theirs in zip(nouns, entities, strict=True)]
