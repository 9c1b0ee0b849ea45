"""The whole way, once a family: a repository on a Hub, raw items in, the reference vectors out."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

import zoo
from tests.cli_tools import save_tiny_bert
from tests.clip_reference import save_tokenizer, tiny_pair, transformers_reference
from tests.hub import Hub
from tests.reference import FLOAT32, make_live, relative_error
from zoo import samples
from zoo.encoder import Encoder
from zoo.joint import JointEncoder

REPO = "someone/tiny"
TEXTS = ["a cat sat on the mat", "dogs", "", "the quick brown fox and a cat and a dog"]
PHOTOS = samples.images()
MEAN = {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.3, 0.4]}

Publish = Callable[[Path], str]


@pytest.fixture
def publish(hub: Hub) -> Publish:
    """Return a function that puts a folder's files on the Hub and gives the model's name."""

    def put(folder: Path) -> str:
        files = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file()
        }
        hub.add_repo(REPO, files)
        return f"hf:{REPO}"

    return put


def encoder(name: str) -> Encoder:
    model = zoo.load(name)
    assert isinstance(model, Encoder)
    return model


def processed(folder: Path, size: int) -> torch.Tensor:
    """Return the sample photos as transformers' Pillow processor makes them (B, 3, H, W)."""
    processor = transformers.ViTImageProcessorPil(size={"height": size, "width": size}, **MEAN)
    processor.save_pretrained(folder)
    pictures = [Image.open(path).convert("RGB") for path in PHOTOS]
    pixels: torch.Tensor = processor(pictures, return_tensors="pt")["pixel_values"]
    return pixels


def test_a_vision_transformer(publish: Publish, tmp_path: Path) -> None:
    config = transformers.Dinov2Config(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, image_size=56, patch_size=14
    )
    reference = make_live(transformers.Dinov2Model(config))
    folder = tmp_path / "repo"
    reference.save_pretrained(folder)  # type: ignore[operator]  # untyped
    pixels = processed(folder, 56)

    vectors = encoder(publish(folder)).encode(PHOTOS)

    with torch.inference_mode():
        expected = reference(pixels).last_hidden_state[:, 0]
    assert relative_error(vectors, expected) <= FLOAT32


def test_a_resnet(publish: Publish, tmp_path: Path) -> None:
    config = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 12, 16, 20], depths=[1, 1, 1, 1], layer_type="bottleneck"
    )
    reference = make_live(transformers.ResNetModel(config))
    folder = tmp_path / "repo"
    reference.save_pretrained(folder)  # type: ignore[operator]  # untyped
    pixels = processed(folder, 64)

    vectors = encoder(publish(folder)).encode(PHOTOS)

    with torch.inference_mode():
        expected = reference(pixels).pooler_output.flatten(1)
    assert relative_error(vectors, expected) <= FLOAT32


def test_a_sentence_encoder_with_its_prompts(publish: Publish, tmp_path: Path) -> None:
    body = save_tiny_bert(tmp_path / "body")
    reference = SentenceTransformer(
        modules=[Transformer(str(body)), Pooling(16, pooling_mode="mean")],
        prompts={"query": "the cat ", "document": ""},
        device="cpu",
    )
    folder = tmp_path / "repo"
    reference.save(str(folder), create_model_card=False)
    name = publish(folder)

    model = encoder(name)

    assert relative_error(model.encode(TEXTS), reference.encode(TEXTS)) <= FLOAT32
    queries = reference.encode(TEXTS, prompt_name="query")
    assert relative_error(model.encode_query(TEXTS), queries) <= FLOAT32


def test_a_joint_space(publish: Publish, tmp_path: Path) -> None:
    pair = tiny_pair(quick_gelu=True, vocab=49408)
    reference: Any = transformers_reference(pair)
    folder = tmp_path / "repo"
    reference.save_pretrained(folder)
    save_tokenizer(folder)
    side = pair.image.image_size[0]
    processor = transformers.CLIPImageProcessorPil(
        size={"shortest_edge": side}, crop_size={"height": side, "width": side}
    )
    processor.save_pretrained(folder)
    labels = ["a cat", "a rocket", "a cup of coffee"]

    model = zoo.load(publish(folder))

    assert isinstance(model, JointEncoder)
    pictures = [Image.open(path).convert("RGB") for path in PHOTOS]
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    words = [f"a photo of {label}." for label in labels]
    ids = [tokenizer(text)["input_ids"] for text in words]
    padded = torch.tensor([row + [0] * (77 - len(row)) for row in ids])
    with torch.inference_mode():
        pixels = processor(pictures, return_tensors="pt")["pixel_values"]
        expected = reference(input_ids=padded, pixel_values=pixels).logits_per_image.softmax(-1)
    found = model.classify(PHOTOS, labels, template="a photo of {}.")
    scores = [[dict(row)[label] for label in labels] for row in found]
    np.testing.assert_allclose(scores, expected, atol=1e-5)


def test_a_second_load_asks_the_network_nothing(
    publish: Publish, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = publish(save_tiny_bert(tmp_path / "repo"))
    first = encoder(name)
    vectors = first.encode(TEXTS)
    asked = hub.count()

    def refuse(*_: object) -> None:
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    again = encoder(name)

    np.testing.assert_array_equal(again.encode(TEXTS), vectors)
    assert hub.count() == asked
    assert again.revision == first.revision
