"""Swin against timm and transformers: values, files, sizes, and what is easily lost."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import timm
import torch
import transformers
from PIL import Image
from timm.models.swin_transformer import SwinTransformer
from torch import Tensor
from torchvision import transforms
from transformers.core_model_loading import revert_weight_conversion

import zoo
from tests.full_size import assert_covers, shapes
from tests.reference import FLOAT32, FLOAT64, make_live, relative_error, tolerance
from tests.swin_reference import (
    DOUBLE,
    NATIVE,
    ODD,
    config_of,
    live_timm,
    load,
    noise,
    save,
    timm_swin,
    tiny_swin,
    transformers_config,
)
from tests.tiny_rows import tiny_row
from zoo.encoder import Encoder
from zoo.errors import FormatError, InputError, KeyMapError, UnsupportedCheckpointError
from zoo.loading import random_module
from zoo.preprocess.image import ImagePreprocessor
from zoo.runtime.onnx import OnnxBackend
from zoo.spec import ImagePreprocess, ModelSpec
from zoo_export.binding import profile_for
from zoo_export.build import build_bundle
from zoo_export.outputs import named_outputs
from zoo_vision.families.swin import ROWS, pixels as swin_pixels
from zoo_vision.nets import swin
from zoo_vision.swin_checkpoint import TIMM

both_precisions = pytest.mark.parametrize("dtype", [torch.float64, torch.float32])


def assert_same(encoder: Encoder, pixels: Tensor, maps: list[Tensor], last: Tensor) -> None:
    """Hold pyramid, tokens and vector against a reference's maps (B, C, H, W), the last normed."""
    bound = tolerance(pixels.dtype)
    with torch.no_grad():
        ours = encoder({"pixels": pixels})
    assert ours.pyramid is not None
    assert len(ours.pyramid) == len(maps) == 4
    for one, other in zip(ours.pyramid, maps, strict=True):
        assert relative_error(one, other) <= bound
    assert relative_error(ours.tokens, last.flatten(2).transpose(1, 2)) <= bound
    assert relative_error(ours.pooled, last.mean(dim=(2, 3))) <= bound


def timms_maps(reference: SwinTransformer, pixels: Tensor) -> tuple[list[Tensor], Tensor]:
    last, maps = reference.forward_intermediates(pixels)
    return maps, last.permute(0, 3, 1, 2)


# Values


@both_precisions
@pytest.mark.parametrize("size", [NATIVE, DOUBLE], ids=["native", "other"])
@torch.no_grad()
def test_a_file_of_timm_gives_timms_numbers(
    size: tuple[int, int], dtype: torch.dtype, tmp_path: Path
) -> None:
    row = tiny_swin()
    saved = live_timm(row, dtype)
    reference = timm_swin(config_of(row), size).to(dtype).eval()
    reference.load_state_dict(saved.state_dict())
    pixels = noise(size, dtype)

    encoder = load(row, save(saved.state_dict(), tmp_path), dtype)

    assert_same(encoder, pixels, *timms_maps(reference, pixels))


@torch.no_grad()
def test_maps_are_filled_up_before_they_are_shifted(tmp_path: Path) -> None:
    # so the authors' detectors and transformers; timm shifts first, which wraps other places around
    row = tiny_swin()
    saved = live_timm(row)
    reference = timm_swin(config_of(row), ODD).double().eval()
    reference.load_state_dict(saved.state_dict())
    pixels = noise(ODD)

    ours = load(row, save(saved.state_dict(), tmp_path))({"pixels": pixels}).pooled

    assert relative_error(ours, reference(pixels)) > 1e-3


@both_precisions
@pytest.mark.parametrize("size", [NATIVE, ODD], ids=["native", "no multiple of the window"])
@torch.no_grad()
def test_a_file_of_transformers_gives_its_numbers(
    size: tuple[int, int], dtype: torch.dtype, tmp_path: Path
) -> None:
    row = tiny_swin()
    reference = transformers.SwinModel(transformers_config(config_of(row)))
    make_live(reference).to(dtype).save_pretrained(tmp_path)
    pixels = noise(size, dtype)
    out = reference(
        pixels, output_hidden_states=True, output_hidden_states_before_downsampling=True
    )
    maps = list(out.reshaped_hidden_states[1:])
    last = out.last_hidden_state.transpose(1, 2).reshape(maps[-1].shape)

    assert_same(load(row, tmp_path, dtype), pixels, maps, last)


@torch.no_grad()
def test_a_map_smaller_than_a_window_is_filled_up_with_zeros(tmp_path: Path) -> None:
    row = tiny_swin()
    saved = live_timm(row)
    dynamic = timm_swin(config_of(row), NATIVE, strict_img_size=False).double().eval()
    dynamic.load_state_dict(saved.state_dict())

    ours = load(row, save(saved.state_dict(), tmp_path))({"pixels": noise((64, 64))}).pyramid

    assert ours is not None
    assert ours[3].shape[2:] == (2, 2)
    expected = dynamic.layers[3](ours[2].permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    assert relative_error(ours[3], expected) <= FLOAT64


@torch.no_grad()
def test_the_authors_count_a_merging_to_the_stage_before(tmp_path: Path) -> None:
    row = tiny_swin()
    saved = live_timm(row)
    state = {}
    for name, tensor in saved.state_dict().items():
        if ".downsample." in name:
            layer = int(name.split(".")[1])
            name = name.replace(f"layers.{layer}.", f"layers.{layer - 1}.")
        state[name] = tensor
    for stage in range(4):  # the buffers that their files hold
        state[f"layers.{stage}.blocks.0.attn.relative_position_index"] = torch.zeros(9, 9)
    state["layers.0.blocks.1.attn_mask"] = torch.zeros(64, 9, 9)
    state["head.weight"], state["head.bias"] = torch.zeros(5, 64), torch.zeros(5)
    pixels = noise(NATIVE)

    encoder = load(row, save(state, tmp_path))

    assert_same(encoder, pixels, *timms_maps(saved, pixels))


@torch.no_grad()
def test_the_decoder_of_masked_pixels_is_left_out(tmp_path: Path) -> None:
    row = tiny_swin()
    reference = transformers.SwinForMaskedImageModeling(transformers_config(config_of(row)))
    make_live(reference).double().save_pretrained(tmp_path)
    pixels = noise(NATIVE)

    encoder = load(row, tmp_path)

    expected = reference.swin(pixels).last_hidden_state
    assert relative_error(encoder({"pixels": pixels}).tokens, expected) <= FLOAT64


@torch.no_grad()
def test_a_stage_smaller_than_the_window_is_one_window(tmp_path: Path) -> None:
    row = tiny_swin(window=6)  # grids 24, 12, 6, 3: as in simmim-swin-l
    assert config_of(row).windows == (6, 6, 6, 3)
    saved = live_timm(row)
    pixels = noise(NATIVE)

    encoder = load(row, save(saved.state_dict(), tmp_path))

    assert_same(encoder, pixels, *timms_maps(saved, pixels))


# What is easily lost


def changed(monkeypatch: pytest.MonkeyPatch, name: str, value: object, folder: Path) -> float:
    """Return the error of the vectors after something in the network was changed."""
    row = tiny_swin()
    saved = live_timm(row)
    encoder = load(row, save(saved.state_dict(), folder))
    pixels = noise(ODD)
    with torch.no_grad():
        before = encoder({"pixels": pixels}).pooled
        monkeypatch.setattr(swin, name, value)
        return relative_error(encoder({"pixels": pixels}).pooled, before)


def test_the_mask_of_shifted_windows_matters(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert changed(monkeypatch, "FAR", 0.0, tmp_path) > 1e-3


def test_the_table_of_relative_positions_matters(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bias = swin.bias_from
    flipped = lambda table, index: bias(table, index.T)  # noqa: E731  the sign of all differences
    assert changed(monkeypatch, "bias_from", flipped, tmp_path) > 1e-3


def test_window_6_does_not_load_into_window_7(tmp_path: Path) -> None:
    saved = live_timm(tiny_swin(window=2))
    save(saved.state_dict(), tmp_path)

    with pytest.raises(KeyMapError, match=r"blocks\.0\.blocks\.0\.table.*file \[9, 1\]"):
        load(tiny_swin(window=3), tmp_path)


def test_every_norm_has_epsilon_1e_5() -> None:
    for row in ROWS:
        norms = [part for part in row.config.tiny().build().modules()
                 if isinstance(part, torch.nn.LayerNorm)]  # fmt: skip
        assert {norm.eps for norm in norms} == {1e-5}


def test_windows_of_each_row_are_the_authors() -> None:
    windows = {row.name: config_of(row).windows for row in ROWS}

    assert windows.pop("simmim-swin-b") == (6, 6, 6, 6)
    assert windows.pop("simmim-swin-l") == (12, 12, 12, 6)
    assert set(windows.values()) == {(7, 7, 7, 7)}


def test_a_size_that_is_no_multiple_of_the_patch_is_refused() -> None:
    with pytest.raises(InputError, match="multiples of 4"):
        tiny_swin().config.build()(torch.zeros(1, 3, 96, 98))


@torch.no_grad()
def test_an_image_does_not_depend_on_its_batch() -> None:
    encoder = zoo.load(tiny_swin(), weights="random", dtype="float64")
    assert isinstance(encoder, Encoder)
    batch = noise(ODD)

    together = encoder({"pixels": batch}).pooled
    alone = torch.cat([encoder({"pixels": image[None]}).pooled for image in batch])

    assert (together - alone).abs().max() <= 1e-12


def test_gradients_flow_into_every_parameter() -> None:
    encoder = zoo.load(tiny_swin(), weights="random")
    assert isinstance(encoder, Encoder)

    out = encoder({"pixels": noise(NATIVE, torch.float32)})
    out.pooled.square().sum().backward()  # type: ignore[union-attr]

    assert all(p.grad is not None and bool(p.grad.any()) for p in encoder.module.parameters())


# Full size


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_timms_tensors_at_full_size_are_covered_both_ways(row: ModelSpec) -> None:
    repo = str(row.weights.repo)
    with torch.device("meta"):
        if repo.startswith("timm/"):
            reference = timm.create_model(repo.removeprefix("timm/"), num_classes=10)
        else:
            reference = timm_swin(config_of(row), config_of(row).image_size, num_classes=10)

    assert_covers(row, shapes(dict(reference.state_dict())), "timm")
    assert sum(p.numel() for p in reference.parameters()) == row.params + 10 * (row.dim + 1)
    assert row.params == config_of(row).params


@pytest.mark.parametrize(
    "row", [row for row in ROWS if row.name != "simmim-swin-l"], ids=lambda row: row.name
)
def test_transformers_tensors_at_full_size_are_covered_both_ways(row: ModelSpec) -> None:
    with torch.device("meta"):
        reference = transformers.SwinForMaskedImageModeling(transformers_config(config_of(row)))
    state = revert_weight_conversion(reference, dict(reference.state_dict()))

    assert_covers(row, shapes(state), "transformers")


def test_every_name_of_timm_has_timms_tensors() -> None:
    for name, config in TIMM.items():
        with torch.device("meta"):
            reference = timm.create_model(name, num_classes=0)
        assert sum(tensor.numel() for tensor in reference.parameters()) == config.params, name
        assert reference.patch_embed.img_size == config.image_size, name
        assert tuple(b.blocks[0].attn.window_size[0] for b in reference.layers) == config.windows


# Files of other libraries


@torch.no_grad()
def test_a_folder_of_transformers_loads_by_its_configuration(tmp_path: Path) -> None:
    row = tiny_swin()
    reference = transformers.SwinForImageClassification(transformers_config(config_of(row)))
    make_live(reference).double().save_pretrained(tmp_path)
    processor = {"image_processor_type": "ViTImageProcessor", "resample": 3,
                 "size": {"height": 96, "width": 96}}  # fmt: skip
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(processor))
    pixels = noise(NATIVE)

    encoder = zoo.load(str(tmp_path), dtype="float64")

    assert isinstance(encoder, Encoder)
    expected = reference.swin(pixels).pooler_output
    assert relative_error(encoder({"pixels": pixels}).pooled, expected) <= FLOAT64
    assert encoder.spec.params == sum(p.numel() for p in encoder.module.parameters())
    assert encoder.spec.grid(96, 96) == (3, 3)


@torch.no_grad()
def test_a_folder_of_timm_loads_by_its_configuration(tmp_path: Path) -> None:
    reference = make_live(timm.create_model("swin_tiny_patch4_window7_224", num_classes=5))
    for part in reference.modules():
        if hasattr(part, "init_non_persistent_buffers"):
            part.init_non_persistent_buffers()
    timm.models.save_for_hf(reference.double(), tmp_path, safe_serialization=True)
    pixels = noise((224, 224))[:1]

    encoder = zoo.load(str(tmp_path), dtype="float64")

    assert isinstance(encoder, Encoder)
    expected = reference.forward_head(reference.forward_features(pixels), pre_logits=True)
    assert relative_error(encoder({"pixels": pixels}).pooled, expected) <= FLOAT64


SWIN = {"model_type": "swin", "image_size": 96, "window_size": 3, "embed_dim": 8,
        "num_heads": [1, 2, 4, 4]}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"hidden_act": "relu"}, UnsupportedCheckpointError, "hidden_act"),
        ({"use_absolute_embeddings": True}, UnsupportedCheckpointError, "absolute"),
        ({"window_size": 7}, UnsupportedCheckpointError, "no larger than the last stage"),
        ({"num_heads": [3, 3, 3, 3]}, UnsupportedCheckpointError, "no multiple of heads"),
        ({"depths": [2, 2, 2]}, FormatError, "depths"),
        ({"embed_dim": 10**9}, FormatError, "embed_dim"),
    ],
)
def test_what_is_not_supported_is_refused_with_the_reason(
    change: dict[str, Any], error: type[Exception], words: str, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(SWIN | change))
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"size": 96}))

    with pytest.raises(error, match=words):
        zoo.load(str(tmp_path))


# Pixels


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_pixels_are_those_of_the_authors_evaluation(row: ModelSpec) -> None:
    recipe = row.preprocess
    assert isinstance(recipe, ImagePreprocess)
    side = config_of(row).image_size[0]
    # timm: floor(size / 0.9); SimMIM: int(256 / 224 * size)
    shorter = int(256 / 224 * side) if row.family.name == "simmim" else int(side / 0.9)
    theirs = transforms.Compose(
        [
            transforms.Resize(shorter, interpolation=transforms.InterpolationMode.BICUBIC),
            transforms.CenterCrop(side),
            transforms.ToTensor(),
            transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )
    pixels = np.random.default_rng(0).integers(0, 256, (301, 280, 3), dtype=np.uint8)
    photo = Image.fromarray(pixels)

    (sample,) = ImagePreprocessor(recipe, name="pixels").prepare([photo])

    np.testing.assert_array_equal(sample.arrays["pixels"], theirs(photo).numpy())


# Export


@pytest.mark.slow
def test_a_graph_of_an_odd_size_gives_all_maps(tmp_path: Path) -> None:
    row = replace(tiny_row("swin-t"), inputs=swin_pixels(NATIVE[0], least=32))
    profile = profile_for(row, size=(ODD, ODD, ODD))
    build_bundle(row, tmp_path / "b", profile=profile, weights="random",
                 outputs=["pooled", "tokens", "pyramid"])  # fmt: skip
    pixels = noise(ODD, torch.float32)

    found = cast(OnnxBackend, zoo.open(tmp_path / "b").backend).arrays({"pixels": pixels.numpy()})

    with torch.inference_mode():
        wanted = named_outputs(random_module(row)(pixels))
    assert list(found) == list(wanted)
    for name, value in wanted.items():
        assert relative_error(found[name], value) < FLOAT32
