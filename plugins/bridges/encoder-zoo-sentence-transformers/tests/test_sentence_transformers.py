"""A folder behind `st:` gives the library's vectors, and exports."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer import modules
from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers.models import WordPiece
from transformers import MPNetConfig, MPNetModel, PreTrainedTokenizerFast

import zoo
from zoo.encoder import Encoder
from zoo.errors import UnsupportedCheckpointError

pytest_plugins = ["zoo.testing.fixtures"]

TEXTS = ["a cat sat on the mat", "the rocket", "a small small dog sat and sat on the moon"]
SPECIAL = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
PLAIN = ("a", "the", "cat", "dog", "rocket", "sat", "on", "mat", "moon", "small", "and")
WORDS = SPECIAL + PLAIN


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a live MPNet, which the zoo itself does not have, with a Dense layer."""
    base = tmp_path_factory.mktemp("mpnet")
    words = Tokenizer(WordPiece({w: i for i, w in enumerate(WORDS)}, unk_token="<unk>"))
    words.normalizer = normalizers.Lowercase()
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=words, unk_token="<unk>", pad_token="<pad>", cls_token="<s>",
        sep_token="</s>", mask_token="<mask>", model_max_length=32,
    ).save_pretrained(base)  # fmt: skip
    config = MPNetConfig(vocab_size=len(WORDS), hidden_size=16, num_hidden_layers=2,
                         num_attention_heads=2, intermediate_size=32,
                         max_position_embeddings=40)  # fmt: skip
    network = MPNetModel(config, add_pooling_layer=False)
    torch.manual_seed(0)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, mean=0.1, std=0.2)
    network.save_pretrained(base)
    transformer = modules.Transformer(str(base), max_seq_length=16)
    parts = [transformer, modules.Pooling(16, "mean"), modules.Dense(16, 12), modules.Normalize()]
    place = tmp_path_factory.mktemp("sentence")
    SentenceTransformer(
        modules=parts, device="cpu", prompts={"query": "the cat "}, default_prompt_name=None
    ).save_pretrained(str(place))
    return place


def test_vectors_and_tokens_are_those_of_the_library(folder: Path) -> None:
    reference = SentenceTransformer(str(folder), device="cpu")
    encoder = zoo.load(f"st:{folder}")
    assert isinstance(encoder, Encoder)

    np.testing.assert_allclose(encoder.encode(TEXTS), reference.encode(TEXTS), atol=2e-6)
    np.testing.assert_allclose(
        encoder.encode(TEXTS, role="query"), reference.encode(TEXTS, prompt_name="query"), atol=2e-6
    )
    tokens = reference.encode(TEXTS, output_value="token_embeddings")
    for ours, theirs in zip(encoder.encode(TEXTS, output="tokens"), tokens, strict=True):
        np.testing.assert_allclose(ours, theirs[: len(ours)].numpy(), atol=2e-5)


def test_the_norm_can_be_left_out(folder: Path) -> None:
    encoder = zoo.load(f"st:{folder}")
    assert isinstance(encoder, Encoder)

    plain = encoder.encode(TEXTS, normalize=False)

    assert encoder.spec.normalize
    assert np.abs(np.linalg.norm(plain, axis=1) - 1).max() > 1e-3


def test_it_exports_and_the_bundle_says_nothing_of_the_folder(
    folder: Path, zoo_cache: Path
) -> None:
    eager, graph = zoo.load(f"st:{folder}"), zoo.load(f"st:{folder}", backend="onnx")

    np.testing.assert_allclose(graph.encode(TEXTS), eager.encode(TEXTS), atol=2e-6)
    for manifest in zoo_cache.rglob("manifest.json"):
        assert str(folder) not in manifest.read_text()


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")

    with pytest.raises(UnsupportedCheckpointError, match=r"has no modules\.json\. Try hf:"):
        zoo.load(f"st:{tmp_path}")


def test_listing_the_zoo_does_not_import_the_library() -> None:
    code = "import sys, zoo; zoo.list(); sys.exit('sentence_transformers' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
