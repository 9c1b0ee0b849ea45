"""Tiny live CLIPs of open_clip and transformers, and tokenizer files like the Hub's."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path
from typing import Any

import open_clip
import torch
import transformers
from open_clip.tokenizer import bytes_to_unicode, default_bpe
from safetensors.torch import save_file
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import nn

import zoo
from tests.reference import make_live
from zoo.encoder import Encoder
from zoo.spec import WeightsSpec
from zoo_multimodal.families import clip, openclip
from zoo_multimodal.families.towers import Pair, towers

VOCAB = 49_408
START, END = VOCAB - 2, VOCAB - 1
WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


def tiny_pair(*, quick_gelu: bool, vocab: int = VOCAB) -> Pair:
    """Return configs of about the size of `tiny()`, with the tokenizer's whole vocabulary."""
    pair = clip.B32 if quick_gelu else openclip.B32
    image = replace(pair.image.tiny(), image_size=(16, 16), hidden=32)
    text = replace(pair.text.tiny(), vocab=vocab, hidden=32)
    return Pair(image=image, text=text)


def open_clip_reference(pair: Pair, *, seed: int = 0, **options: Any) -> nn.Module:
    """Return open_clip's model of the same sizes, live."""
    image, text = pair.image, pair.text
    model = open_clip.model.CLIP(
        embed_dim=text.projection,
        vision_cfg=open_clip.model.CLIPVisionCfg(
            layers=image.depth,
            width=image.width,
            head_width=image.width // image.heads,
            mlp_ratio=image.hidden / image.width,
            patch_size=image.patch,
            image_size=image.image_size[0],
        ),
        text_cfg=open_clip.model.CLIPTextCfg(
            context_length=text.context,
            vocab_size=text.vocab,
            width=text.width,
            heads=text.heads,
            layers=text.depth,
            mlp_ratio=text.hidden / text.width,
        ),
        quick_gelu=image.activation == "quick_gelu",
        **options,
    )
    make_live(model, seed)
    with torch.no_grad():
        model.logit_scale.fill_(2.75)
        model.attn_mask.fill_(-torch.inf).triu_(1)  # causal again: it is a float buffer
    return model


def transformers_config(pair: Pair) -> transformers.CLIPConfig:
    """Return transformers' config of the same sizes."""
    image, text = pair.image, pair.text
    return transformers.CLIPConfig(
        projection_dim=text.projection,
        vision_config={
            "hidden_size": image.width,
            "intermediate_size": image.hidden,
            "num_hidden_layers": image.depth,
            "num_attention_heads": image.heads,
            "image_size": image.image_size[0],
            "patch_size": image.patch,
            "hidden_act": image.activation,
            "projection_dim": image.projection,
        },
        text_config={
            "hidden_size": text.width,
            "intermediate_size": text.hidden,
            "num_hidden_layers": text.depth,
            "num_attention_heads": text.heads,
            "max_position_embeddings": text.context,
            "vocab_size": text.vocab,
            "hidden_act": text.activation,
            "projection_dim": text.projection,
            "bos_token_id": text.vocab - 2,
            "eos_token_id": text.vocab - 1,
        },
    )


def transformers_reference(pair: Pair, config: Any = None, *, seed: int = 0) -> nn.Module:
    """Return transformers' model of the same sizes, live."""
    model = transformers.CLIPModel(config or transformers_config(pair))
    make_live(model, seed)
    with torch.no_grad():
        model.logit_scale.fill_(2.75)
    return model


def save_open_clip(model: nn.Module, folder: Path) -> None:
    """Write the file that open_clip's own `push_to_hf_hub` writes."""
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")


def save_tokenizer(folder: Path, *, words: str = WORDS) -> None:
    """Write a `tokenizer.json` as it lies beside OpenAI's weights.

    It is what transformers' converter (convert_slow_tokenizer.py, CLIPConverter) makes of the
    authors' merges, which open_clip's package carries.
    """
    merges = gzip.decompress(Path(default_bpe()).read_bytes()).decode().split("\n")
    pairs = [tuple(line.split()) for line in merges[1 : 49152 - 256 - 2 + 1]]
    letters = list(bytes_to_unicode().values())
    tokens = [*letters, *(letter + "</w>" for letter in letters), *map("".join, pairs),
              "<|startoftext|>", "<|endoftext|>"]  # fmt: skip
    vocab = {token: index for index, token in enumerate(tokens)}
    tokenizer = Tokenizer(
        models.BPE(
            vocab=vocab,
            merges=pairs,
            continuing_subword_prefix="",
            end_of_word_suffix="</w>",
            fuse_unk=False,
            unk_token="<|endoftext|>",
        )
    )
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(words), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.post_processor = processors.RobertaProcessing(
        ("<|endoftext|>", vocab["<|endoftext|>"]),
        ("<|startoftext|>", vocab["<|startoftext|>"]),
        trim_offsets=False,
        add_prefix_space=False,
    )
    tokenizer.add_special_tokens(["<|startoftext|>", "<|endoftext|>"])
    tokenizer.save(str(folder / "tokenizer.json"))


def load(
    pair: Pair, folder: Path, *, dtype: str = "float64", normalize: bool = False
) -> tuple[Encoder, Encoder]:
    """Load the image and the text tower of a folder through rows, as a user would."""
    rows = towers(
        clip.CLIP,
        "tiny",
        image="tiny-image",
        text="tiny-text",
        pair=pair,
        weights=WeightsSpec(
            source="hf:nobody/none",
            files=("open_clip_model.safetensors", "model.safetensors", "pytorch_model.bin"),
        ),
        params=(1, 1),  # none would mean that there is no file to read
    )
    image, text = (
        zoo.load(row.with_config(normalize=normalize), weights=folder, dtype=dtype) for row in rows
    )
    return image, text


def text_ids(vocab: int, *, context: int = 77) -> torch.Tensor:
    """Return token ids: short, long, cut at the end of text, with padding after it (B, 77)."""
    generator = torch.Generator().manual_seed(vocab)
    ids = torch.zeros(5, context, dtype=torch.int64)
    for row, length in zip(ids, (0, 3, 20, 60, context - 2), strict=True):
        row[0] = vocab - 2
        row[1 : 1 + length] = torch.randint(1, vocab - 2, (length,), generator=generator)
        row[1 + length] = vocab - 1
    return ids
