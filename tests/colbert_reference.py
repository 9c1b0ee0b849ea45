"""A tiny live ColBERT in the files of its authors, and what BERT of transformers makes of it."""

from __future__ import annotations

import json
import string
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.bert_references import edit_json, kind, reference_config
from tests.reference import make_live
from zoo.preprocess import Array
from zoo_text.configs import BertConfig

BODY = BertConfig(vocab=96, width=32, depth=2, heads=4, hidden=64, max_positions=48)
WIDTH = 8
METADATA = {
    "dim": WIDTH, "query_maxlen": 12, "doc_maxlen": 20, "mask_punctuation": True,
    "attend_to_mask_tokens": False, "query_token_id": "[unused0]", "doc_token_id": "[unused1]",
    "similarity": "cosine",
}  # fmt: skip
QUERIES = ["a bad cab", "face?", "", "the dog bed " * 9, "fade, jade! g"]
DOCUMENTS = ["a b. c, d!", "q r s t u " * 9, "...", "", "face (fade) - jade", "[SEP] a [MASK] b"]


def save(folder: Path) -> Path:
    """Save a tiny live ColBERT as its authors do; returns the folder."""
    from transformers import BertTokenizer

    body = make_live(kind("bert").bare(reference_config("bert", BODY)))
    weight = torch.randn(WIDTH, 32, generator=torch.Generator().manual_seed(3)) * 32**-0.5
    body.save_pretrained(folder)  # type: ignore[operator]  # a transformers model
    tensors = load_file(folder / "model.safetensors")
    save_file(
        {"linear.weight": weight, **{f"bert.{key}": value for key, value in tensors.items()}},
        folder / "model.safetensors",
        metadata={"format": "pt"},
    )
    edit_json(folder / "config.json", architectures=["HF_ColBERT"])
    (folder / "artifact.metadata").write_text(json.dumps(METADATA))
    letters = "abcdefghijklmnopqrstu"
    words = ["[PAD]", "[unused0]", "[unused1]", "[UNK]", "[CLS]", "[SEP]", "[MASK]",
             *string.punctuation, *letters, *(f"##{c}" for c in letters)]  # fmt: skip
    assert len(words) <= BODY.vocab
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    BertTokenizer.from_pretrained(folder).save_pretrained(folder)
    return folder


def expected(folder: Path, batch: Mapping[str, Array], dtype: torch.dtype) -> Tensor:
    """Return the directions of the projected tokens of a saved ColBERT, (B, N, D)."""
    tensors = load_file(folder / "model.safetensors")
    body = kind("bert").bare(reference_config("bert", BODY)).to(dtype).eval()
    body.load_state_dict({key.removeprefix("bert."): value.to(dtype)
                          for key, value in tensors.items() if key != "linear.weight"})  # fmt: skip
    with torch.no_grad():
        tokens = body(
            torch.from_numpy(batch["input_ids"]), torch.from_numpy(batch["attention_mask"])
        ).last_hidden_state
    projected = tokens @ tensors["linear.weight"].to(dtype).T
    return torch.nn.functional.normalize(projected, dim=-1)
