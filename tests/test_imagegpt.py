"""iGPT against transformers: colours, values, files, traps, its graph."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from transformers import ImageGPTConfig, ImageGPTForCausalImageModeling, ImageGPTModel
from transformers.models.imagegpt.image_processing_pil_imagegpt import ImageGPTImageProcessorPil

import zoo
from tests.full_size import assert_covers, shapes
from tests.reference import FLOAT32, make_live, relative_error, tolerance
from tests.tiny_rows import tiny_row
from zoo.encoder import Encoder
from zoo.errors import FormatError, InputError, RepoNotFoundError
from zoo.preprocess.image import ImagePreprocessor
from zoo.runtime.onnx import OnnxBackend
from zoo.spec import ImagePreprocess, ModelSpec
from zoo_export.binding import profile_for
from zoo_export.build import build_bundle
from zoo_vision.families.imagegpt import PALETTE, ROWS, keymap
from zoo_vision.imagegpt_config import ImageGptConfig
from zoo_vision.nets import imagegpt
from zoo_vision.readers import read_colours

HEIGHT, WIDTH = 6, 8
DEEP = 5  # blocks of the checkpoint
COLOURS = np.random.default_rng(1).uniform(-1, 1, (20, 3))
PROCESSOR = {"clusters": COLOURS.tolist(), "size": {"height": HEIGHT, "width": WIDTH}}

both_precisions = pytest.mark.parametrize("dtype", [torch.float64, torch.float32])


def config_of(row: ModelSpec) -> ImageGptConfig:
    assert isinstance(row.config, ImageGptConfig)
    return row.config


def igpt(depth: int = 2) -> ModelSpec:
    """Return a tiny row that reads after so many blocks."""
    row = tiny_row("igpt-s")
    family = replace(row.family, keymaps=(keymap(depth),))
    return replace(row, family=family, config=replace(config_of(row), depth=depth))


def transformers_config(config: ImageGptConfig, depth: int) -> ImageGPTConfig:
    return ImageGPTConfig(
        vocab_size=config.colours + 1,
        n_positions=config.image_size[0] * config.image_size[1],
        n_embd=config.width,
        n_layer=depth,
        n_head=config.heads,
    )


def live_igpt(folder: Path, dtype: torch.dtype = torch.float64) -> ImageGPTModel:
    """Return transformers' network, written into a folder together with its colours."""
    model = ImageGPTModel(transformers_config(config_of(igpt()), DEEP)).to(dtype)
    make_live(model).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(PROCESSOR))
    assert isinstance(model, ImageGPTModel)
    return model


def load(row: ModelSpec, folder: Path, dtype: torch.dtype = torch.float64) -> Encoder:
    encoder = zoo.load(row, weights=folder, dtype=dtype)
    assert isinstance(encoder, Encoder)
    return encoder


def photos() -> list[Image.Image]:
    draw = np.random.default_rng(0)
    return [Image.fromarray(draw.integers(0, 256, (19, 31, 3), dtype=np.uint8)) for _ in range(3)]


def their_colours(images: list[Image.Image]) -> Tensor:
    """Return what transformers' processor makes of images: (B, N) ids."""
    processor: Any = ImageGPTImageProcessorPil(**PROCESSOR)
    ids: Tensor = processor(images, return_tensors="pt")["input_ids"]
    return ids


def our_pixels(images: list[Image.Image], dtype: torch.dtype = torch.float64) -> Tensor:
    recipe = tiny_row("igpt-s").preprocess
    assert isinstance(recipe, ImagePreprocess)
    samples = ImagePreprocessor(recipe, name="pixels").prepare(images)
    arrays = [sample.arrays["pixels"] for sample in samples if not isinstance(sample, InputError)]
    return torch.from_numpy(np.stack(arrays)).to(dtype)


def shifted(ids: Tensor) -> Tensor:
    """Put the beginning before the pixels, as in the authors' model: the last one is not seen."""
    start = torch.full_like(ids[:, :1], len(COLOURS))
    return torch.cat((start, ids[:, :-1]), dim=1)


def their_tokens(model: ImageGPTModel, ids: Tensor, depth: int) -> Tensor:
    """Return what the authors probe: the norm that the next block, or the last one, begins with."""
    states = model(ids, output_hidden_states=True).hidden_states
    if depth == DEEP:
        last: Tensor = states[depth]  # transformers has put it through the last norm
        return last
    tokens: Tensor = model.h[depth].ln_1(states[depth])
    return tokens


def test_a_trained_network_is_read_from_beside_the_file_of_its_colours(tmp_path: Path) -> None:
    live_igpt(tmp_path)
    module = load(igpt(), tmp_path).module
    torch.save(module.state_dict(), tmp_path / "trained.pt")

    trained = load(igpt(), tmp_path / "trained.pt").module

    for name, tensor in trained.state_dict().items():
        assert torch.equal(tensor, module.state_dict()[name]), name


# Values


@both_precisions
@pytest.mark.parametrize("depth", [1, 2, 4])
@torch.no_grad()
def test_a_file_of_transformers_gives_the_authors_features(
    depth: int, dtype: torch.dtype, tmp_path: Path
) -> None:
    reference = live_igpt(tmp_path, dtype)
    images = photos()
    expected = their_tokens(reference, shifted(their_colours(images)), depth)

    out = load(igpt(depth), tmp_path, dtype)({"pixels": our_pixels(images, dtype)})

    assert relative_error(out.tokens, expected) <= tolerance(dtype)
    assert relative_error(out.pooled, expected.mean(dim=1)) <= tolerance(dtype)


@torch.no_grad()
def test_a_pickle_with_a_head_and_masks_gives_the_same(tmp_path: Path) -> None:
    # as the Hub's pytorch_model.bin: a prefix, buffers of masks, the layer that predicts
    reference = live_igpt(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    state = {f"transformer.{name}": tensor for name, tensor in reference.state_dict().items()}
    for index in range(DEEP):
        state[f"transformer.h.{index}.attn.bias"] = torch.ones(1, 1, 48, 48, dtype=torch.uint8)
        state[f"transformer.h.{index}.attn.masked_bias"] = torch.tensor(-1e4)
    state["lm_head.weight"] = torch.zeros(20, 16)
    torch.save(state, tmp_path / "pytorch_model.bin")
    images = photos()
    expected = their_tokens(reference, shifted(their_colours(images)), 2)

    found = load(igpt(), tmp_path)({"pixels": our_pixels(images)}).tokens

    assert relative_error(found, expected) <= tolerance(torch.float64)


# Colours


@both_precisions
@torch.no_grad()
def test_colours_are_those_of_transformers_processor(dtype: torch.dtype, tmp_path: Path) -> None:
    live_igpt(tmp_path)
    palette = load(igpt(), tmp_path, dtype).module.palette
    images = photos()

    assert torch.equal(palette(our_pixels(images, dtype)), their_colours(images))


@torch.no_grad()
def test_float32_and_float64_find_the_same_colours_for_almost_every_pixel() -> None:
    # 512 colours and all kinds of pixels: where both differ, two colours are equally near
    palette = imagegpt.Palette(512)
    levels = torch.randint(0, 256, (64, 3, 32, 32), generator=torch.Generator().manual_seed(0))
    pixels = (levels / 255 - 0.5) / 0.5

    one, other = palette(pixels), palette.double()(pixels.double())

    assert (one != other).double().mean() < 1e-4


def test_without_its_colours_nothing_loads(tmp_path: Path) -> None:
    live_igpt(tmp_path)
    (tmp_path / "preprocessor_config.json").unlink()

    with pytest.raises(RepoNotFoundError, match=r"no preprocessor_config\.json"):
        load(igpt(), tmp_path)


@pytest.mark.parametrize(
    ("clusters", "words"),
    [
        (None, "no clusters"),
        ([], "no clusters"),
        ([[0.1, 0.2]], "no clusters"),
        ([[0.1, 0.2, 30]], "each number in"),
        ([[0.1, 0.2, float("nan")]], "each number in"),
        ([[0.1, "a", 0.3]], "no table of numbers"),
        ([[0.1, 0.2, 0.3], [0.1]], "no table of numbers"),
        ([[0.1, 0.2, 0.3], [0.1, 0.2, 0.3]], "a colour twice"),
    ],
)
def test_a_broken_palette_is_refused_with_the_reason(
    clusters: object, words: str, tmp_path: Path
) -> None:
    path = tmp_path / "preprocessor_config.json"
    path.write_text(json.dumps({"clusters": clusters}))

    with pytest.raises(FormatError, match=words):
        read_colours(path, entry="")


def test_random_weights_have_colours_that_all_differ() -> None:
    clusters = imagegpt.Palette(512).clusters

    assert len(clusters.unique(dim=0)) == 512
    assert clusters.abs().max() <= 1


# What is easily lost


@torch.no_grad()
def test_the_beginning_stands_before_the_first_pixel(tmp_path: Path) -> None:
    reference = live_igpt(tmp_path)
    images = photos()
    unshifted = their_tokens(reference, their_colours(images), 2)

    found = load(igpt(), tmp_path)({"pixels": our_pixels(images)}).tokens

    assert relative_error(found, unshifted) > 1e-2


@torch.no_grad()
def test_a_token_has_not_seen_its_own_pixel_or_later_ones(tmp_path: Path) -> None:
    live_igpt(tmp_path)
    encoder, pixels = load(igpt(), tmp_path), our_pixels(photos())
    other = pixels.clone()
    pixels[:, :, 2, 3], other[:, :, 2, 3] = -1, 1  # black, white
    place = 2 * WIDTH + 3

    before, after = encoder({"pixels": pixels}).tokens, encoder({"pixels": other}).tokens

    assert before is not None
    assert after is not None
    assert torch.equal(before[:, : place + 1], after[:, : place + 1])
    assert not torch.equal(before[:, place + 1], after[:, place + 1])


@torch.no_grad()
def test_the_middle_is_not_the_end(tmp_path: Path) -> None:
    live_igpt(tmp_path)
    pixels = our_pixels(photos())

    middle, later = (load(igpt(depth), tmp_path)({"pixels": pixels}).pooled for depth in (2, 4))

    assert relative_error(middle, later) > 1e-2


@torch.no_grad()
def test_a_norm_keeps_the_mean(tmp_path: Path) -> None:
    x = torch.randn(2, 3, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 2

    found = imagegpt.ScaleNorm(16, 1e-5).double()(x)

    assert found.mean() > 0.5
    assert relative_error(found, torch.nn.functional.layer_norm(x, (16,))) > 0.1


def test_another_size_is_refused() -> None:
    with pytest.raises(InputError, match="6 x 8 pixels here, not 8 x 6"):
        igpt().config.build()(torch.zeros(1, 3, 8, 6))


@torch.no_grad()
def test_an_image_does_not_depend_on_its_batch(tmp_path: Path) -> None:
    live_igpt(tmp_path)
    encoder, pixels = load(igpt(), tmp_path), our_pixels(photos())

    together = encoder({"pixels": pixels}).pooled
    alone = torch.cat([encoder({"pixels": image[None]}).pooled for image in pixels])

    assert (together - alone).abs().max() <= 1e-12


# Full size


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_transformers_tensors_at_full_size_are_covered_both_ways(row: ModelSpec) -> None:
    config = config_of(row)
    with torch.device("meta"):
        reference = ImageGPTForCausalImageModeling(transformers_config(config, 2 * config.depth))
    header = {**shapes(reference.state_dict()), f"{PALETTE}clusters": (512, 3)}

    assert_covers(row, header, f"transformers, {config.depth} blocks")
    assert row.params == config.params


# Export


@pytest.mark.slow
def test_a_graph_takes_pixels_and_finds_the_same_colours(tmp_path: Path) -> None:
    row = tiny_row("igpt-s")
    build_bundle(row, tmp_path / "b", profile=profile_for(row), weights="random",
                 outputs=["pooled", "tokens"])  # fmt: skip
    eager = zoo.load(row, weights="random")
    assert isinstance(eager, Encoder)
    pixels = our_pixels(photos(), torch.float32)

    graph = zoo.open(tmp_path / "b").backend
    assert isinstance(graph, OnnxBackend)
    found = graph.arrays({"pixels": pixels.numpy()})

    with torch.inference_mode():
        wanted = eager({"pixels": pixels})
    assert relative_error(found["tokens"], wanted.tokens) <= FLOAT32
