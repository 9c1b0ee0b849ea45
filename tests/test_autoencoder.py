"""The encoder of a variational autoencoder against diffusers: values, files, traps, its graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL
from diffusers.image_processor import VaeImageProcessor
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

import zoo
from tests.full_size import assert_covers, dropped, shapes
from tests.reference import FLOAT32, images, make_live, relative_error, tolerance
from tests.tiny_rows import tiny_row
from zoo.encoder import Encoder
from zoo.errors import InputError
from zoo.preprocess.image import ImagePreprocessor
from zoo.runtime.onnx import OnnxBackend
from zoo.spec import ImagePreprocess, ModelSpec
from zoo_export.binding import profile_for
from zoo_export.build import build_bundle
from zoo_vision.autoencoder_config import AutoencoderConfig
from zoo_vision.families.autoencoder import ROWS

WEIGHTS = "diffusion_pytorch_model.safetensors"
OLDER = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
SIZE = (40, 24)  # pixels, no square

both_precisions = pytest.mark.parametrize("dtype", [torch.float64, torch.float32])


def diffusers_vae(config: AutoencoderConfig) -> AutoencoderKL:
    stages = len(config.widths)
    return AutoencoderKL(
        block_out_channels=config.widths,
        down_block_types=("DownEncoderBlock2D",) * stages,
        up_block_types=("UpDecoderBlock2D",) * stages,
        layers_per_block=config.depth,
        latent_channels=config.latents,
        norm_num_groups=config.groups,
    )


def tiny_config() -> AutoencoderConfig:
    config = ROWS[0].config
    assert isinstance(config, AutoencoderConfig)
    return config.tiny()


def live_vae(dtype: torch.dtype = torch.float64) -> AutoencoderKL:
    model = make_live(diffusers_vae(tiny_config()).to(dtype))
    assert isinstance(model, AutoencoderKL)
    return model


def load(folder: Path, dtype: torch.dtype = torch.float64) -> Encoder:
    encoder = zoo.load(tiny_row("vae-sd"), weights=folder, dtype=dtype)
    assert isinstance(encoder, Encoder)
    return encoder


def posterior_mean(model: AutoencoderKL, pixels: Tensor) -> Tensor:
    mean: Tensor = model.encode(pixels).latent_dist.mode()
    return mean


# Values


@both_precisions
@torch.no_grad()
def test_a_file_of_diffusers_gives_the_mean_of_its_posterior(
    dtype: torch.dtype, tmp_path: Path
) -> None:
    reference = live_vae(dtype)
    reference.save_pretrained(tmp_path)
    pixels = images(2, *SIZE, dtype)
    expected = posterior_mean(reference, pixels)  # (2, 4, 10, 6)

    out = load(tmp_path, dtype)({"pixels": pixels})

    assert out.pyramid is not None
    assert relative_error(out.pyramid[0], expected) <= tolerance(dtype)
    assert relative_error(out.tokens, expected.flatten(2).transpose(1, 2)) <= tolerance(dtype)
    assert relative_error(out.pooled, expected.mean(dim=(2, 3))) <= tolerance(dtype)


@torch.no_grad()
def test_a_file_with_the_older_names_gives_the_same(tmp_path: Path) -> None:
    reference = live_vae()
    state = {}
    for name, tensor in reference.state_dict().items():
        for new, old in OLDER.items():
            if ".attentions." in name:
                name = name.replace(f".{new}.", f".{old}.")
        state[name] = tensor.contiguous()
    assert "encoder.mid_block.attentions.0.proj_attn.weight" in state
    save_file(state, tmp_path / WEIGHTS)
    pixels = images(1, *SIZE)

    found = load(tmp_path)({"pixels": pixels}).pyramid

    assert found is not None
    assert relative_error(found[0], posterior_mean(reference, pixels)) <= tolerance(torch.float64)


# What is easily lost


@torch.no_grad()
def test_nothing_is_drawn(tmp_path: Path) -> None:
    live_vae().save_pretrained(tmp_path)
    encoder, pixels = load(tmp_path), images(1, *SIZE)

    first, second = (encoder({"pixels": pixels}).tokens for _ in range(2))

    assert first is not None
    assert second is not None
    assert torch.equal(first, second)


@torch.no_grad()
def test_zeros_are_put_right_and_below_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    live_vae().save_pretrained(tmp_path)
    encoder, pixels = load(tmp_path), images(1, *SIZE)
    before = encoder({"pixels": pixels}).tokens
    pad = F.pad

    def other(x: Tensor, sides: tuple[int, ...]) -> Tensor:
        assert sides == (0, 1, 0, 1)
        return pad(x, (1, 0, 1, 0))

    monkeypatch.setattr(F, "pad", other)

    assert relative_error(encoder({"pixels": pixels}).tokens, before) > 1e-3


@torch.no_grad()
def test_every_norm_has_epsilon_1e_6_though_the_librarys_default_is_another(
    tmp_path: Path,
) -> None:
    reference = live_vae()
    reference.save_pretrained(tmp_path)
    dark = 1e-3 * images(1, *SIZE)  # the first norm's variance is small, so its epsilon counts
    reference.encoder.conv_in.bias.zero_()
    encoder = load(tmp_path)
    encoder.module.get_parameter("stem.bias").zero_()

    found = encoder({"pixels": dark}).pyramid
    epsilons = {
        part.eps for part in encoder.module.modules() if isinstance(part, torch.nn.GroupNorm)
    }

    assert epsilons == {1e-6}
    assert found is not None
    assert relative_error(found[0], posterior_mean(reference, dark)) <= tolerance(torch.float64)


def test_a_size_that_is_no_multiple_of_the_stride_is_refused() -> None:
    with pytest.raises(InputError, match="multiples of 4"):
        tiny_config().build()(torch.zeros(1, 3, 40, 30))


@torch.no_grad()
def test_an_image_does_not_depend_on_its_batch() -> None:
    encoder = zoo.load(tiny_row("vae-sd"), weights="random", dtype="float64")
    assert isinstance(encoder, Encoder)
    batch = images(3, *SIZE)

    together = encoder({"pixels": batch}).pooled
    alone = torch.cat([encoder({"pixels": image[None]}).pooled for image in batch])

    assert (together - alone).abs().max() <= 1e-12


# Full size


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_diffusers_tensors_at_full_size_are_covered_both_ways(row: ModelSpec) -> None:
    assert isinstance(row.config, AutoencoderConfig)
    with torch.device("meta"):
        reference = diffusers_vae(row.config)

    plan = assert_covers(row, shapes(reference.state_dict()))

    assert all(name.startswith(("decoder.", "post_quant_conv.")) for name in dropped(plan))
    assert row.params == row.config.params


# Pixels


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_pixels_are_those_of_diffusers_processor(row: ModelSpec) -> None:
    recipe = row.preprocess
    assert isinstance(recipe, ImagePreprocess)
    photo = Image.fromarray(
        np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    )
    theirs: Any = VaeImageProcessor(vae_scale_factor=8).preprocess(photo)

    (sample,) = ImagePreprocessor(recipe, name="pixels").prepare([photo])

    ours = sample.arrays["pixels"]
    assert ours.min() == -1
    assert ours.max() == 1
    np.testing.assert_allclose(ours, theirs[0].numpy(), rtol=0, atol=1e-7)


# Export


@pytest.mark.slow
def test_a_graph_passes_the_gate_and_gives_the_map(tmp_path: Path) -> None:
    row = tiny_row("vae-sd")
    profile = profile_for(row)
    build_bundle(row, tmp_path / "b", profile=profile, weights="random",
                 outputs=["pooled", "tokens", "pyramid"])  # fmt: skip
    eager = zoo.load(row, weights="random")
    assert isinstance(eager, Encoder)
    pixels = images(2, 64, 64, torch.float32)

    graph = zoo.open(tmp_path / "b").backend
    assert isinstance(graph, OnnxBackend)
    found = graph.arrays({"pixels": pixels.numpy()})

    with torch.inference_mode():
        out = eager({"pixels": pixels})
    assert out.pyramid is not None
    assert relative_error(found["pyramid_0"], out.pyramid[0]) <= FLOAT32
    assert relative_error(found["pooled"], out.pooled) <= FLOAT32
