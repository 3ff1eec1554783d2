"""Models of the real classes in the layout of the hub, with random weights and tokenizers made on the spot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

CHAT = (
    "{% for message in messages %}USER: {% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>\n{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endfor %}{% if add_generation_prompt %} ASSISTANT:{% endif %}"
)


SMOL_CHAT = (
    "<s>{% for message in messages %}User:{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}<end_of_utterance>\n{% endfor %}{% if add_generation_prompt %}Assistant:{% endif %}"
)


def write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As of openai/clip-vit-large-patch14-336, with a vocabulary of single letters."""
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import CLIPConfig, CLIPModel

    letters = sorted(ByteLevel.alphabet())
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 2}
    begin, end = len(words) - 2, len(words) - 1
    config = CLIPConfig(
        text_config={
            **sizes,
            "vocab_size": len(words),
            "max_position_embeddings": 77,
            "bos_token_id": begin,
            "eos_token_id": end,
        },
        vision_config={**sizes, "image_size": 16, "patch_size": 4},
        projection_dim=24,
    )
    folder = tmp_path_factory.mktemp("clip")
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        model = CLIPModel(config)
        for parameter in model.parameters():
            if parameter.dim():
                parameter.add_(torch.randn_like(parameter), alpha=0.1)
    model.save_pretrained(folder)
    write_json(folder / "vocab.json", {word: number for number, word in enumerate(words)})
    (folder / "merges.txt").write_text("#version: 0.2\n", encoding="utf-8")
    write_json(folder / "tokenizer_config.json", {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77})
    return folder


@pytest.fixture(scope="session")
def llava_folder(tmp_path_factory: pytest.TempPathFactory, speaker: Any) -> Path:
    """As of llava-hf/llava-1.5-7b-hf."""
    from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerFast

    config, tokenizer = speaker
    folder = tmp_path_factory.mktemp("llava")
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        model = LlavaForConditionalGeneration(config.llava())
        for parameter in model.parameters():
            parameter.normal_(std=0.3)
    model.save_pretrained(folder)
    names: Any = {
        "bos_token": "<s>",
        "eos_token": "</s>",
        "pad_token": "<pad>",
        "additional_special_tokens": ["<image>"],
    }
    names["model_input_names"] = ["input_ids", "attention_mask"]
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)
    side = config.vision.side
    write_json(
        folder / "preprocessor_config.json",
        {
            "image_processor_type": "CLIPImageProcessor",
            "processor_class": "LlavaProcessor",
            "size": {"shortest_edge": side},
            "crop_size": {"height": side, "width": side},
        },
    )
    write_json(
        folder / "processor_config.json",
        {
            "processor_class": "LlavaProcessor",
            "patch_size": config.vision.patch,
            "vision_feature_select_strategy": "default",
            "num_additional_image_tokens": 1,
            "image_token": "<image>",
        },
    )
    write_json(folder / "chat_template.json", {"chat_template": CHAT})
    return folder


@pytest.fixture(scope="session")
def smolvlm_folder(tmp_path_factory: pytest.TempPathFactory, speaker: Any) -> Path:
    """As of HuggingFaceTB/SmolVLM-Instruct."""
    from transformers import Idefics3Config, Idefics3ForConditionalGeneration, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("smolvlm")
    names: Any = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<pad>"}
    names["additional_special_tokens"] = [
        "<image>",
        "<fake_token_around_image>",
        "<global-img>",
        "<end_of_utterance>",
    ]
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=speaker[1].from_str(speaker[1].to_str()),  # of its own, since tokens are added to it
        model_input_names=["input_ids", "attention_mask"],
        **names,
    )
    tokenizer.save_pretrained(folder)
    sizes = {"hidden_size": 32, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 2}
    ids = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    language = {"model_type": "llama", "vocab_size": len(tokenizer), "max_position_embeddings": 2000}
    config = Idefics3Config(
        image_token_id=3,
        scale_factor=2,
        pad_token_id=0,
        vision_config={**sizes, "image_size": 32, "patch_size": 8},
        text_config={**sizes, **ids, **language, "num_key_value_heads": 2},
    )
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        model = Idefics3ForConditionalGeneration(config)
        for parameter in model.parameters():
            parameter.normal_(std=0.3)
    model.save_pretrained(folder)
    write_json(
        folder / "preprocessor_config.json",
        {
            "image_processor_type": "Idefics3ImageProcessor",
            "processor_class": "Idefics3Processor",
            "size": {"longest_edge": 64},
            "max_image_size": {"longest_edge": 32},
        },
    )
    write_json(folder / "processor_config.json", {"processor_class": "Idefics3Processor", "image_seq_len": 4})
    write_json(folder / "chat_template.json", {"chat_template": SMOL_CHAT})
    return folder


@pytest.fixture
def photo() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (30, 50, 3), np.uint8)
