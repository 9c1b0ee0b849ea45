"""Tiny and full-size transformers models of every BERT-like kind, for the tests of zoo_text."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tests.reference import make_live
from zoo_text.configs import BertConfig

KINDS = ("bert", "roberta", "xlm-roberta", "camembert", "distilbert", "electra")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """Classes of one model type.

    Attributes:
        config: Its configuration.
        bare: The encoder alone.
        headed: The encoder with the head that published files carry, under a prefix.
    """

    config: Any
    bare: Any
    headed: Any


def kind(name: str) -> Kind:
    """Return the classes of a model type."""
    stem, headed = {
        "bert": ("Bert", "BertForPreTraining"),
        "roberta": ("Roberta", "RobertaForMaskedLM"),
        "xlm-roberta": ("XLMRoberta", "XLMRobertaForMaskedLM"),
        "camembert": ("Camembert", "CamembertForMaskedLM"),
        "distilbert": ("DistilBert", "DistilBertForMaskedLM"),
        "electra": ("Electra", "ElectraForPreTraining"),
    }[name]
    return Kind(
        config=getattr(transformers, f"{stem}Config"),
        bare=getattr(transformers, f"{stem}Model"),
        headed=getattr(transformers, headed),
    )


def reference_config(name: str, config: BertConfig) -> Any:
    """Return a config of ours as transformers spells it."""
    if name == "distilbert":
        return kind(name).config(
            vocab_size=config.vocab,
            dim=config.width,
            n_layers=config.depth,
            n_heads=config.heads,
            hidden_dim=config.hidden,
            max_position_embeddings=config.max_positions,
        )
    extra = {"embedding_size": config.embedding_width or config.width} if name == "electra" else {}
    return kind(name).config(
        vocab_size=config.vocab,
        hidden_size=config.width,
        num_hidden_layers=config.depth,
        num_attention_heads=config.heads,
        intermediate_size=config.hidden,
        max_position_embeddings=config.max_positions,
        type_vocab_size=config.type_vocab,
        pad_token_id=config.pad_id,
        layer_norm_eps=config.eps,
        **extra,
    )


def tiny(name: str) -> BertConfig:
    """Return the tiny config of a model type, with every feature that tells the types apart."""
    counted = name in ("roberta", "xlm-roberta", "camembert")
    return BertConfig(
        vocab=48,
        width=32,
        depth=3,
        heads=4,
        hidden=64,
        max_positions=26 if counted else 24,
        type_vocab=0 if name == "distilbert" else 1 if counted else 2,
        position_offset=2 if counted else 0,
        pad_id=1 if counted else 0,
        embedding_width=16 if name == "electra" else None,
        eps=1e-5 if counted else 1e-12,
    )


def reference(name: str, *, headed: bool = False, dtype: torch.dtype = torch.float64) -> nn.Module:
    """Return a tiny live reference model in evaluation mode."""
    classes = kind(name)
    model = (classes.headed if headed else classes.bare)(reference_config(name, tiny(name)))
    return make_live(model.to(dtype))


def save(model: nn.Module, folder: Path, *, vocab: int = 48) -> Path:
    """Save a model in the Hub's layout, with a word-piece vocabulary beside it."""
    model.save_pretrained(folder)  # type: ignore[operator]  # a transformers model
    write_vocab(folder, vocab)
    return folder


def write_vocab(folder: Path, size: int = 48) -> None:
    """Write a `vocab.txt` of five special tokens, letters, and letters that continue a word."""
    letters = "abcdefghijklmnopqrstu"
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{c}" for c in letters)]
    assert len(words) <= size
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")


def ids_and_mask(config: BertConfig, length: int) -> tuple[Tensor, Tensor]:
    """Return three texts of different lengths, padded on the right: ids (3, N), mask (3, N)."""
    generator = torch.Generator().manual_seed(length)
    ids = torch.randint(5, config.vocab, (3, length), generator=generator)
    mask = torch.ones(3, length, dtype=torch.int64)
    for row, real in enumerate((length, max(1, length // 2), 1)):
        ids[row, real:] = config.pad_id
        mask[row, real:] = 0
    return ids, mask


def rewrite(folder: Path, rename: Callable[[str], str]) -> None:
    """Rename the keys in a folder's weights file."""
    path = folder / "model.safetensors"
    tensors = {rename(key): tensor.clone() for key, tensor in load_file(path).items()}
    save_file(tensors, path)


def edit_json(path: Path, **changes: object) -> None:
    """Change fields of a JSON object; None takes a field away."""
    values = json.loads(path.read_text()) if path.exists() else {}
    values.update(changes)
    path.write_text(json.dumps({key: value for key, value in values.items() if value is not None}))
