"""A folder behind `st:` gives the library's vectors, and exports."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer import modules
from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers.models import WordPiece
from transformers import MPNetConfig, MPNetModel, PreTrainedTokenizerFast

import zoo
from zoo.encoder import Encoder
from zoo.errors import KeyMapError, OfflineError, UnsupportedCheckpointError, WeightsError

pytest_plugins = ["zoo.testing.fixtures"]

TEXTS = ["a cat sat on the mat", " The ROCKET ", "a small small dog sat and sat on the moon " * 3]
KIND, LIST = "config_sentence_transformers.json", "modules.json"
SPECIAL = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
PLAIN = ("a", "the", "cat", "dog", "rocket", "sat", "on", "mat", "moon", "small", "and")
WORDS = SPECIAL + PLAIN


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a live MPNet, which the zoo itself does not have, with its tokenizer."""
    place = tmp_path_factory.mktemp("mpnet")
    words = Tokenizer(WordPiece({w: i for i, w in enumerate(WORDS)}, unk_token="<unk>"))
    words.normalizer = normalizers.Lowercase()
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=words, unk_token="<unk>", pad_token="<pad>", cls_token="<s>",
        sep_token="</s>", mask_token="<mask>", model_max_length=32,
    ).save_pretrained(place)  # fmt: skip
    config = MPNetConfig(vocab_size=len(WORDS), hidden_size=16, num_hidden_layers=2,
                         num_attention_heads=2, intermediate_size=32,
                         max_position_embeddings=40)  # fmt: skip
    network = MPNetModel(config, add_pooling_layer=False)
    torch.manual_seed(0)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, mean=0.1, std=0.2)
    network.save_pretrained(place)
    return place


def save(base: Path, place: Path, *parts: torch.nn.Module) -> Path:
    """Write a folder of a transformer and the modules after it."""
    transformer = modules.Transformer(str(base), max_seq_length=16)
    SentenceTransformer(
        modules=[transformer, *parts], device="cpu", prompts={"query": "the cat "}
    ).save_pretrained(str(place))
    return place


@pytest.fixture(scope="module")
def folder(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a Dense layer and a norm."""
    parts = (modules.Pooling(16, "mean"), modules.Dense(16, 12), modules.Normalize())
    return save(base, tmp_path_factory.mktemp("sentence"), *parts)


def load(folder: Path, **options: Any) -> Encoder:
    encoder = zoo.load(f"st:{folder}", **options)
    assert isinstance(encoder, Encoder)
    return encoder


def rewrite(folder: Path, place: Path, file: str, change: Callable[[Any], Any]) -> Path:
    """Copy a folder, and change one of its JSON files."""
    shutil.copytree(folder, place)
    values = json.loads((place / file).read_text())
    (place / file).write_text(json.dumps(change(values)))
    return place


def test_vectors_and_tokens_are_those_of_the_library(folder: Path) -> None:
    reference = SentenceTransformer(str(folder), device="cpu")
    encoder = load(folder)

    np.testing.assert_allclose(encoder.encode(TEXTS), reference.encode(TEXTS), atol=2e-6)
    np.testing.assert_allclose(
        encoder.encode(TEXTS, role="query"), reference.encode(TEXTS, prompt_name="query"), atol=2e-6
    )
    tokens = reference.encode(TEXTS, output_value="token_embeddings")
    for ours, theirs in zip(encoder.encode(TEXTS, output="tokens"), tokens, strict=True):
        np.testing.assert_allclose(ours, theirs[: len(ours)].numpy(), atol=2e-5)


def test_loading_says_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    load(folder)

    assert capsys.readouterr() == ("", "")


def test_the_norm_can_be_left_out(folder: Path) -> None:
    encoder = load(folder)

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


@pytest.mark.parametrize(
    "parts",
    [
        [modules.Pooling(16, "cls")],
        [modules.Pooling(16, "max"), modules.LayerNorm(16)],
        [modules.Pooling(16, "lasttoken"), modules.Dropout(0.5)],
        [modules.Pooling(16, "weightedmean"), modules.Normalize(), modules.Dense(16, 4)],
        [modules.Pooling(16, ["cls", "mean_sqrt_len_tokens"])],
    ],
    ids=["cls", "max", "last", "weighted", "joined"],
)
def test_every_module_gives_the_librarys_vector(
    parts: list[torch.nn.Module], base: Path, tmp_path: Path
) -> None:
    save(base, tmp_path, *parts)

    found = load(tmp_path).encode(TEXTS)

    wanted = SentenceTransformer(str(tmp_path), device="cpu").encode(TEXTS)
    np.testing.assert_allclose(found, wanted, atol=2e-6 * np.abs(wanted).max())


def test_an_older_folder_has_its_transformer_inside(folder: Path, tmp_path: Path) -> None:
    place = rewrite(
        folder, tmp_path / "old", "modules.json",
        lambda values: [{**values[0], "path": "0_Transformer"}, *values[1:]],
    )  # fmt: skip
    (place / "0_Transformer").mkdir()
    for path in [*place.glob("*.json"), *place.glob("*.safetensors")]:
        if path.name not in ("modules.json", "config_sentence_transformers.json"):
            path.rename(place / "0_Transformer" / path.name)

    np.testing.assert_array_equal(load(place).encode(TEXTS), load(folder).encode(TEXTS))


def test_two_folders_of_one_name_are_two_models(folder: Path, tmp_path: Path) -> None:
    tuned = shutil.copytree(folder, tmp_path / folder.name)
    dense = tuned / "2_Dense" / "model.safetensors"
    save_file({name: -value for name, value in load_file(dense).items()}, dense)
    first, second = zoo.resolve(f"st:{folder}")[0], zoo.resolve(f"st:{tuned}")[0]

    one, other = zoo.load(first).encode(TEXTS), zoo.load(second).encode(TEXTS)

    np.testing.assert_allclose(one, -other, atol=1e-6)
    np.testing.assert_array_equal(zoo.load(first, weights=tuned).encode(TEXTS), other)


def test_weights_of_another_network_are_refused(base: Path, folder: Path, tmp_path: Path) -> None:
    save(base, tmp_path, modules.Pooling(16, "mean"), modules.Dense(16, 8), modules.Normalize())

    with pytest.raises(KeyMapError, match=r"vectors of 8 numbers .* gives 12"):
        load(folder, weights=tmp_path)


def test_what_is_known_needs_no_weights_of_the_transformer(folder: Path, tmp_path: Path) -> None:
    bare = shutil.copytree(folder, tmp_path / folder.name)
    (bare / "model.safetensors").unlink()
    whole = SentenceTransformer(str(folder), device="cpu")

    row = zoo.resolve(f"st:{bare}")[0]

    assert row.params == sum(parameter.numel() for parameter in whole.parameters())
    assert (row.dim, row.config) == (12, zoo.resolve(f"st:{folder}")[0].config)
    assert load(bare, weights="random").encode(TEXTS).shape == (3, 12)
    assert not (bare / "model.safetensors").exists()
    with pytest.raises(WeightsError, match=r"model\.safetensors"):
        load(bare)


def test_random_weights_are_live(folder: Path) -> None:
    encoder = load(folder, weights="random")

    assert all((parameter != 0).any() for parameter in encoder.module.parameters())
    assert np.isfinite(encoder.encode(TEXTS)).all()


@pytest.mark.parametrize(
    ("file", "change", "reason"),
    [
        (KIND, {"model_type": "SparseEncoder"}, "is a SparseEncoder of sentence-transformers"),
        (KIND, {"model_type": "CrossEncoder"}, "is a CrossEncoder of sentence-transformers"),
        (LIST, ["sentence_transformers.base.modules.Router"], "lists the modules Router"),
        (LIST, ["sentence_transformers.models.CLIPModel"], "lists the modules CLIPModel"),
        (LIST, ["sentence_transformers.models.StaticEmbedding"], "modules StaticEmbedding"),
        (LIST, ["custom_st.Transformer"], "code of its own, custom_st.Transformer"),
        ("1_Pooling/config.json", {"include_prompt": False}, "leaves the prompt out"),
    ],
)
def test_what_the_bridge_does_not_do_is_refused(
    folder: Path, tmp_path: Path, file: str, change: Any, reason: str
) -> None:
    place = rewrite(
        folder, tmp_path / "other", file,
        lambda values: {**values, **change} if isinstance(change, dict)
        else [{**values[0], "type": change[0]}],
    )  # fmt: skip

    with pytest.raises(UnsupportedCheckpointError, match=reason):
        zoo.resolve(f"st:{place}")


def test_a_folder_without_a_fast_tokenizer_is_refused(folder: Path, tmp_path: Path) -> None:
    place = shutil.copytree(folder, tmp_path / "slow")
    (place / "tokenizer.json").unlink()

    with pytest.raises(UnsupportedCheckpointError, match=r"has no tokenizer\.json"):
        zoo.resolve(f"st:{place}")


def test_what_the_library_cannot_load_is_told_in_one_line(folder: Path, tmp_path: Path) -> None:
    place = rewrite(folder, tmp_path / "odd", "config.json", lambda _: {"model_type": "nonesuch"})

    with pytest.raises(UnsupportedCheckpointError, match=r"cannot load st:odd: [^\n]*$"):
        zoo.resolve(f"st:{place}")


def test_a_name_alone_is_one_of_the_librarys_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    with pytest.raises(OfflineError, match="hf:sentence-transformers/all-mpnet-base-v2"):
        zoo.resolve("st:all-mpnet-base-v2")


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")

    with pytest.raises(UnsupportedCheckpointError, match=r"has no modules\.json\. Try hf:"):
        zoo.load(f"st:{tmp_path}")


def test_listing_the_zoo_does_not_import_the_library() -> None:
    code = "import sys, zoo; zoo.list(); sys.exit('sentence_transformers' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
