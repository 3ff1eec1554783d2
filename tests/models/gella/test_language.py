"""The language side, compared with CLIP and LLaMA written out: the same in every version of transformers."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from esg.models.gella.config import GellaConfig, LanguageConfig, VisionConfig
from esg.models.gella.language import Language, our_key
from esg.models.meta_init import Unfilled
from esg.support.errors import InputError

State = Mapping[str, Tensor]

IMAGE, SEG = 3, 4
PICTURE = 16  # tokens of a picture
SHORT = torch.tensor([1, 7, IMAGE, 8, SEG, 2])
LONG = torch.tensor([1, IMAGE, 9, 10, SEG, 11, 12, 13, SEG, 14, 2])


def linear(state: State, name: str, x: Tensor) -> Tensor:
    return F.linear(x, state[f"{name}.weight"], state.get(f"{name}.bias"))


def layer_norm(state: State, name: str, x: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], state[f"{name}.weight"], state[f"{name}.bias"])


def rms_norm(state: State, name: str, x: Tensor) -> Tensor:
    return F.rms_norm(x, x.shape[-1:], state[f"{name}.weight"], eps=1e-5)


def heads(state: State, name: str, x: Tensor, count: int) -> list[Tensor]:
    """Queries, keys and values, (N, heads, L, d)."""
    return [linear(state, f"{name}.{one}_proj", x).unflatten(2, (count, -1)).transpose(1, 2) for one in "qkv"]


def clip(state: State, pixels: Tensor, config: VisionConfig) -> list[Tensor]:
    """(N, 1 + g², C) before the first and after every layer."""
    patches = F.conv2d(pixels, state["vision.embeddings.patch_embedding.weight"], stride=config.patch)
    first = state["vision.embeddings.class_embedding"].expand(len(pixels), 1, -1)
    x = torch.cat((first, patches.flatten(2).mT), dim=1) + state["vision.embeddings.position_embedding.weight"]
    x = layer_norm(state, "vision.pre_layrnorm", x)
    states = [x]
    for index in range(config.layers):
        layer = f"vision.encoder.layers.{index}"
        placed = heads(state, f"{layer}.self_attn", layer_norm(state, f"{layer}.layer_norm1", x), config.heads)
        seen = F.scaled_dot_product_attention(*placed).transpose(1, 2).flatten(2)
        x = x + linear(state, f"{layer}.self_attn.out_proj", seen)
        inner = linear(state, f"{layer}.mlp.fc1", layer_norm(state, f"{layer}.layer_norm2", x))
        x = x + linear(state, f"{layer}.mlp.fc2", inner * torch.sigmoid(1.702 * inner))
        states.append(x)
    return states


def llama(state: State, x: Tensor, config: LanguageConfig) -> Tensor:
    """(1, L, C) → (1, L, C) after the last layer and its norm."""
    size = config.width // config.heads
    angle = torch.arange(x.shape[1])[:, None] * 10000.0 ** (-torch.arange(0, size, 2) / size)
    angle = torch.cat((angle, angle), dim=1)

    def turned(one: Tensor) -> Tensor:
        first, second = one.chunk(2, dim=-1)
        return one * angle.cos() + torch.cat((-second, first), dim=-1) * angle.sin()

    for index in range(config.layers):
        layer = f"decoder.layers.{index}"
        q, k, v = heads(state, f"{layer}.self_attn", rms_norm(state, f"{layer}.input_layernorm", x), config.heads)
        heard = F.scaled_dot_product_attention(turned(q), turned(k), v, is_causal=True).transpose(1, 2).flatten(2)
        x = x + linear(state, f"{layer}.self_attn.o_proj", heard)
        normed = rms_norm(state, f"{layer}.post_attention_layernorm", x)
        gate, up = (linear(state, f"{layer}.mlp.{name}_proj", normed) for name in ("gate", "up"))
        x = x + linear(state, f"{layer}.mlp.down_proj", F.silu(gate) * up)
    return rms_norm(state, "decoder.norm", x)


def pictures(count: int) -> Tensor:
    return torch.randn(count, 3, 16, 16, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def state(language: Language) -> State:
    return {our_key(key): value for key, value in language.llava.state_dict().items()}


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.no_grad():
        yield


def test_names_do_not_depend_on_the_version(state: State) -> None:
    def biased(*names: str) -> set[str]:
        return {f"{name}.{kind}" for name in names for kind in ("weight", "bias")}

    expected = {f"vision.embeddings.{name}" for name in ("class_embedding", "patch_embedding.weight")}
    expected |= {"vision.embeddings.position_embedding.weight", "decoder.embed_tokens.weight", "decoder.norm.weight"}
    expected |= {"head.weight"} | biased("projector.linear_1", "projector.linear_2")
    expected |= biased("vision.pre_layrnorm", "vision.post_layernorm")
    for layer in (f"vision.encoder.layers.{index}" for index in range(3)):
        expected |= biased(*(f"{layer}.self_attn.{name}_proj" for name in ("q", "k", "v", "out")))
        expected |= biased(*(f"{layer}.{name}" for name in ("layer_norm1", "layer_norm2", "mlp.fc1", "mlp.fc2")))
    for layer in (f"decoder.layers.{index}" for index in range(2)):
        expected |= {f"{layer}.self_attn.{name}_proj.weight" for name in "qkvo"}
        expected |= {f"{layer}.mlp.{name}_proj.weight" for name in ("gate", "up", "down")}
        expected |= {f"{layer}.{name}_layernorm.weight" for name in ("input", "post_attention")}
    assert state.keys() == expected


def test_no_two_weights_share_a_name(language: Language, state: State) -> None:
    assert len(state) == len(language.llava.state_dict())


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (
            "vision.encoder.layers.0.mlp.fc1.bias",
            [
                "vision_tower.vision_model.encoder.layers.0.mlp.fc1.bias",  # 4.50
                "model.vision_tower.vision_model.encoder.layers.0.mlp.fc1.bias",  # 4.52
                "model.vision_tower.encoder.layers.0.mlp.fc1.bias",  # 5.23
            ],
        ),
        (
            "projector.linear_1.bias",
            ["multi_modal_projector.linear_1.bias", "model.multi_modal_projector.linear_1.bias"],
        ),
        ("decoder.norm.weight", ["language_model.model.norm.weight", "model.language_model.norm.weight"]),
        ("head.weight", ["language_model.lm_head.weight", "lm_head.weight"]),
    ],
)
def test_all_versions_names_become_ours(ours: str, theirs: list[str]) -> None:
    assert {our_key(key) for key in theirs} == {ours}


def test_other_names_are_unknown() -> None:
    with pytest.raises(KeyError, match="something"):
        our_key("something.weight")


def test_the_grid_is_the_last_layer_and_the_words_come_from_the_one_before(
    language: Language, state: State, tiny_config: GellaConfig
) -> None:
    pixels = pictures(2)
    layers = clip(state, pixels, tiny_config.vision)
    sight = language.see(pixels)
    assert (sight.grid.shape, sight.tokens.shape) == ((2, 32, 4, 4), (2, PICTURE, 48))
    for row in range(4):
        for column in range(4):
            torch.testing.assert_close(sight.grid[:, :, row, column], layers[-1][:, 1 + row * 4 + column])
    words = linear(state, "projector.linear_2", F.gelu(linear(state, "projector.linear_1", layers[-2][:, 1:])))
    torch.testing.assert_close(sight.tokens, words)


def test_the_picture_takes_the_place_of_its_token(language: Language, state: State) -> None:
    tokens = language.see(pictures(2)).tokens
    embedded, there, ids = language.words(tokens, [SHORT, LONG])
    length, longest = len(SHORT) + PICTURE - 1, len(LONG) + PICTURE - 1
    assert ids.tolist() == [
        [1, 7, *[-1] * PICTURE, 8, SEG, 2, *[-1] * (longest - length)],
        [1, *[-1] * PICTURE, 9, 10, SEG, 11, 12, 13, SEG, 14, 2],
    ]
    assert there.tolist() == [[True] * length + [False] * (longest - length), [True] * longest]
    table = state["decoder.embed_tokens.weight"]
    expected = torch.cat((table[[1, 7]], tokens[0], table[[8, SEG, 2]]))
    torch.testing.assert_close(embedded[0, :length], expected, atol=0, rtol=0)


@pytest.mark.parametrize("text", [[1, 7, 2], [1, IMAGE, 7, IMAGE, 2], []])
def test_a_text_has_one_picture(language: Language, text: list[int]) -> None:
    with pytest.raises(InputError, match=f"needs 1 image token, but has {text.count(IMAGE)}"):
        language.words(torch.zeros(1, PICTURE, 48), [torch.tensor(text, dtype=torch.int64)])


def test_a_text_may_fill_the_context_and_no_more(language: Language) -> None:
    tokens = torch.zeros(2, PICTURE, 48)
    full = torch.tensor([IMAGE] + [7] * (40 - PICTURE))
    assert language.words(tokens, [SHORT, full])[0].shape == (2, 40, 48)
    with pytest.raises(InputError, match="has 41 tokens, but the model takes at most 40"):
        language.words(tokens, [SHORT, torch.cat((full, full[-1:]))])


def test_reading_is_llama_after_its_last_norm(language: Language, state: State, tiny_config: GellaConfig) -> None:
    tokens = language.see(pictures(1)).tokens
    embedded, _, ids = language.words(tokens, [LONG])
    reading = language.read(tokens, [LONG])
    assert torch.equal(reading.ids, ids)
    torch.testing.assert_close(reading.hidden, llama(state, embedded, tiny_config.language), atol=1e-4, rtol=1e-4)


def test_neither_padding_nor_company_changes_a_reading(language: Language) -> None:
    tokens = language.see(pictures(3)).tokens
    together = language.read(tokens, [SHORT, LONG, SHORT])
    for index, text in enumerate((SHORT, LONG, SHORT)):
        alone = language.read(tokens[index : index + 1], [text])
        length = alone.hidden.shape[1]
        torch.testing.assert_close(together.hidden[index, :length], alone.hidden[0], atol=1e-5, rtol=1e-5)
        assert torch.equal(together.ids[index, :length], alone.ids[0])
    assert not torch.allclose(together.hidden[0], together.hidden[2])  # the same words about another picture


def test_a_reading_depends_only_on_what_came_before(language: Language) -> None:
    tokens = language.see(pictures(1)).tokens
    changed = LONG.clone()
    changed[-2] = 15
    one, other = (language.read(tokens, [text]).hidden[0] for text in (LONG, changed))
    torch.testing.assert_close(one[:-2], other[:-2], atol=1e-6, rtol=1e-6)
    assert not torch.allclose(one[-1], other[-1], atol=1e-3)


def test_logits_are_those_of_transformers_own_llava(language: Language) -> None:
    pixels = pictures(1)
    reading = language.read(language.see(pixels).tokens, [LONG])
    ids = torch.cat([torch.full((PICTURE,), IMAGE) if token == IMAGE else token[None] for token in LONG])[None]
    theirs = language.llava(input_ids=ids, pixel_values=pixels, attention_mask=torch.ones_like(ids)).logits
    torch.testing.assert_close(language.logits(reading.hidden), theirs, atol=1e-4, rtol=1e-4)


def test_the_head_is_not_the_table_of_words(language: Language, state: State) -> None:
    hidden = torch.randn(2, 48)
    torch.testing.assert_close(language.logits(hidden), hidden @ state["head.weight"].T)
    assert not torch.equal(state["head.weight"], state["decoder.embed_tokens.weight"])


@torch.no_grad()
def test_texts_about_one_picture_are_read_together_and_see_nothing_of_each_other(language: Language) -> None:
    tokens = language.see(pictures(2)).tokens
    longer = torch.cat((LONG, LONG[-4:]))
    texts, about = [LONG, longer, LONG.flip(0)[-5:], SHORT, longer, LONG], [1, 0, 0, 0, 1, 1]  # they begin in 3 ways
    together = language.read(tokens, texts, about)
    for row, (text, picture) in enumerate(zip(texts, about)):
        alone = language.read(tokens[picture : picture + 1], [text])
        length = alone.ids.shape[1]
        assert torch.equal(together.ids[row, :length], alone.ids[0])
        assert (together.ids[row, length:] == -1).all()
        torch.testing.assert_close(together.hidden[row, :length], alone.hidden[0], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_one_linear_layer_reads_the_last_layer(tiny_config: GellaConfig) -> None:
    """Eq. 10 of the paper; LLaVA's two layers read the layer before."""
    torch.manual_seed(0)
    language = Language(dataclasses.replace(tiny_config, projection="linear")).eval()
    state = {our_key(name): value for name, value in language.llava.state_dict().items()}
    assert {name for name in state if name.startswith("projector.")} == {"projector.weight", "projector.bias"}
    sight = language.see(torch.rand(2, 3, 16, 16))
    torch.testing.assert_close(sight.tokens, linear(state, "projector", sight.grid.flatten(2).mT))


def test_tables_that_no_file_holds_are_those_of_a_filled_model(language: Language) -> None:
    with Unfilled():
        empty = Language(language.config)
    held = language.state_dict().keys()
    theirs = {name: value for name, value in language.named_buffers() if name not in held}
    ours = {name: value for name, value in empty.named_buffers() if name not in held}
    assert any("inv_freq" in name for name in ours)
    assert any("position_ids" in name for name in ours)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
