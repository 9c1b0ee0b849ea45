"""ConvNeXt against timm and transformers: values, files, sizes, and what is easily lost."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import transformers
from timm.models.convnext import ConvNeXt, checkpoint_filter_fn
from torch import Tensor
from transformers.core_model_loading import revert_weight_conversion

import zoo
from tests.full_size import assert_covers, dropped, shapes
from tests.reference import FLOAT64, images, make_live, relative_error, tolerance
from tests.swin_reference import load, save
from zoo.encoder import Encoder
from zoo.errors import FormatError, InputError, UnsupportedCheckpointError
from zoo.spec import ImagePreprocess, ModelSpec
from zoo_vision.convnext_checkpoint import TIMM
from zoo_vision.convnext_config import ConvNeXtConfig
from zoo_vision.families.convnext import ROWS

NATIVE, WIDE = (64, 64), (96, 160)
both_precisions = pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
both_sizes = pytest.mark.parametrize("size", [NATIVE, WIDE], ids=["native", "wide"])
every_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)


def tiny_convnext(row: ModelSpec = ROWS[0]) -> ModelSpec:
    """Return a row over its tiny config."""
    return replace(row, config=row.config.tiny())


def config_of(row: ModelSpec) -> ConvNeXtConfig:
    assert isinstance(row.config, ConvNeXtConfig)
    return row.config


def live_timm(row: ModelSpec, **options: Any) -> ConvNeXt:
    """Return timm's network with a row's numbers, live."""
    config = config_of(row)
    model = ConvNeXt(depths=config.depths, dims=config.widths, **{"num_classes": 0, **options})
    make_live(model)
    return model


def transformers_config(config: ConvNeXtConfig) -> Any:
    return transformers.DINOv3ConvNextConfig(
        depths=list(config.depths), hidden_sizes=list(config.widths)
    )


def live_transformers(row: ModelSpec) -> Any:
    return make_live(transformers.DINOv3ConvNextModel(transformers_config(config_of(row))))


def in_the_authors_names(reference: ConvNeXt) -> dict[str, Tensor]:
    """Return a state dict of timm under the names of the authors' files."""
    parts = {"conv_dw": "dwconv", "fc1": "pwconv1", "fc2": "pwconv2"}
    state = {}
    for name, tensor in reference.state_dict().items():
        words = name.split(".")
        if words[0] == "stem":
            words = ["downsample_layers", "0", *words[1:]]
        elif words[2:3] == ["downsample"]:
            words = ["downsample_layers", words[1], *words[3:]]
        elif words[2:3] == ["blocks"]:
            rest = [parts.get(word, word) for word in words[4:] if word != "mlp"]
            words = [*words[:2], words[3], *rest]
        elif words[0] == "head":
            words = words[1:]
        state[".".join(words)] = tensor
    return {**state, **{f"norms.3.{wb}": state[f"norm.{wb}"].clone() for wb in ("weight", "bias")}}


def assert_same(ours: zoo.encoded.Encoded, maps: list[Tensor], tokens: Tensor, pooled: Tensor
                ) -> None:  # fmt: skip
    """Hold every output against a reference's."""
    bound = tolerance(pooled.dtype)
    assert ours.pyramid is not None
    assert len(ours.pyramid) == len(maps) == 4
    for one, other in zip(ours.pyramid, maps, strict=True):
        assert relative_error(one, other) <= bound
    assert relative_error(ours.tokens, tokens) <= bound
    assert relative_error(ours.pooled, pooled) <= bound


def timms_outputs(reference: ConvNeXt, pixels: Tensor) -> tuple[list[Tensor], Tensor, Tensor]:
    """Return timm's maps, the last one normalised (B, N, C), and its vector."""
    last, maps = reference.forward_intermediates(pixels)
    tokens = reference.head.norm(last).flatten(2).transpose(1, 2)
    return maps, tokens, reference.forward_head(last, pre_logits=True)


# Values


@both_precisions
@both_sizes
@torch.no_grad()
def test_a_file_of_timm_gives_timms_numbers(
    size: tuple[int, int], dtype: torch.dtype, tmp_path: Path
) -> None:
    row = tiny_convnext()
    reference = live_timm(row).to(dtype)
    pixels = images(2, *size, dtype)

    encoder = load(row, save(reference.state_dict(), tmp_path), dtype)

    assert_same(encoder({"pixels": pixels}), *timms_outputs(reference, pixels))


@both_precisions
@both_sizes
@torch.no_grad()
def test_a_file_of_transformers_gives_its_numbers(
    size: tuple[int, int], dtype: torch.dtype, tmp_path: Path
) -> None:
    row = tiny_convnext()
    reference = live_transformers(row).to(dtype)
    reference.save_pretrained(tmp_path)
    pixels = images(2, *size, dtype)
    out = reference(pixels, output_hidden_states=True)

    encoder = load(row, tmp_path, dtype)

    assert_same(
        encoder({"pixels": pixels}),
        list(out.hidden_states[-4:]),
        out.last_hidden_state[:, 1:],
        out.pooler_output,
    )


@torch.no_grad()
def test_a_file_of_the_authors_gives_the_same_numbers(tmp_path: Path) -> None:
    row = tiny_convnext()
    reference = live_timm(row).double()
    torch.save(in_the_authors_names(reference), tmp_path / "pytorch_model.bin")
    pixels = images(2, *NATIVE)

    encoder = load(row, tmp_path)

    assert_same(encoder({"pixels": pixels}), *timms_outputs(reference, pixels))


def test_timm_reads_these_names_of_the_authors() -> None:
    reference = live_timm(tiny_convnext())
    state = reference.state_dict()

    read = checkpoint_filter_fn(in_the_authors_names(reference), reference)

    assert read.keys() == state.keys()
    assert all(torch.equal(read[name], state[name]) for name in state)


@torch.no_grad()
def test_a_classifier_of_timm_loads_without_its_head(tmp_path: Path) -> None:
    row = tiny_convnext()
    reference = live_timm(row, num_classes=5).double()
    pixels = images(1, *NATIVE)

    ours = load(row, save(reference.state_dict(), tmp_path))({"pixels": pixels}).pooled

    expected = reference.forward_head(reference.forward_features(pixels), pre_logits=True)
    assert relative_error(ours, expected) <= FLOAT64


# What is easily lost


@torch.no_grad()
def test_the_vector_is_the_norm_of_the_mean_and_not_the_mean_of_norms() -> None:
    encoder = zoo.load(tiny_convnext(), weights="random", dtype="float64")
    assert isinstance(encoder, Encoder)

    out = encoder({"pixels": images(2, *WIDE)})

    assert out.tokens is not None
    assert relative_error(out.tokens.mean(dim=1), out.pooled) > 1e-2


@pytest.mark.parametrize("size", [(64, 72), (40, 64)])
def test_a_size_that_would_lose_its_border_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(InputError, match="multiples of 32"):
        tiny_convnext().config.build()(torch.zeros(1, 3, *size))


def test_every_norm_has_epsilon_1e_6() -> None:
    norms = [part for part in tiny_convnext().config.build().modules()
             if isinstance(part, torch.nn.LayerNorm)]  # fmt: skip

    assert {norm.eps for norm in norms} == {1e-6}


def test_gradients_flow_into_every_parameter() -> None:
    encoder = zoo.load(tiny_convnext(), weights="random")
    assert isinstance(encoder, Encoder)

    out = encoder({"pixels": images(2, *NATIVE, torch.float32)})
    out.pooled.square().sum().backward()  # type: ignore[union-attr]

    assert all(p.grad is not None and bool(p.grad.any()) for p in encoder.module.parameters())


# Full size


@every_row
def test_timms_tensors_at_full_size_are_covered_both_ways(row: ModelSpec) -> None:
    with torch.device("meta"):
        reference = timm.create_model(str(row.weights.repo).removeprefix("timm/"), num_classes=10)

    plan = assert_covers(row, shapes(dict(reference.state_dict())), "timm")

    assert dropped(plan) == {"head.fc.weight", "head.fc.bias"}


@every_row
def test_transformers_tensors_at_full_size_are_covered_both_ways(row: ModelSpec) -> None:
    with torch.device("meta"):
        reference = transformers.DINOv3ConvNextModel(transformers_config(config_of(row)))
    state = revert_weight_conversion(reference, dict(reference.state_dict()))

    assert_covers(row, shapes(state), "transformers")


@every_row
def test_the_authors_tensors_at_full_size_are_covered_both_ways(row: ModelSpec) -> None:
    with torch.device("meta"):
        reference = timm.create_model(str(row.weights.repo).removeprefix("timm/"))

    plan = assert_covers(row, shapes(in_the_authors_names(reference)), "authors")

    assert dropped(plan) == {"norms.3.weight", "norms.3.bias"}


@every_row
def test_facts_of_a_row_are_timms(row: ModelSpec) -> None:
    theirs = timm.models.get_pretrained_cfg(str(row.weights.repo).removeprefix("timm/"))
    with torch.device("meta"):
        headless = timm.create_model(theirs.architecture, num_classes=0)

    recipe = row.preprocess
    assert isinstance(recipe, ImagePreprocess)
    assert row.weights.repo == theirs.hf_hub_id
    assert row.license == theirs.license
    assert (recipe.size, recipe.resize) == (theirs.input_size[1:], theirs.input_size[1])
    assert theirs.crop_pct == 1
    assert recipe.resample == theirs.interpolation
    assert (recipe.mean, recipe.std) == (theirs.mean, theirs.std)
    assert row.params == sum(tensor.numel() for tensor in headless.parameters())
    assert row.params == config_of(row).params


def test_every_name_of_timm_has_timms_tensors() -> None:
    for name, config in TIMM.items():
        with torch.device("meta"):
            reference = timm.create_model(name, num_classes=0)
        assert sum(tensor.numel() for tensor in reference.parameters()) == config.params, name
        assert tuple(len(stage.blocks) for stage in reference.stages) == config.depths, name


# Files of other libraries

PROCESSOR = {"image_processor_type": "DINOv3ViTImageProcessorFast", "size": {"height": 64,
             "width": 64}}  # fmt: skip


@torch.no_grad()
def test_a_folder_of_transformers_loads_by_its_configuration(tmp_path: Path) -> None:
    reference = live_transformers(tiny_convnext()).double()
    reference.save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(PROCESSOR))
    pixels = images(2, *NATIVE)

    encoder = zoo.load(str(tmp_path), dtype="float64")

    assert isinstance(encoder, Encoder)
    ours = encoder({"pixels": pixels}).pooled
    assert relative_error(ours, reference(pixels).pooler_output) <= FLOAT64
    assert encoder.spec.params == sum(p.numel() for p in encoder.module.parameters())
    assert encoder.spec.grid(64, 96) == (2, 3)


@torch.no_grad()
def test_a_folder_of_timm_loads_by_its_configuration(tmp_path: Path) -> None:
    reference = make_live(timm.create_model("convnext_tiny", num_classes=5))
    timm.models.save_for_hf(reference.double(), tmp_path, safe_serialization=True)
    pixels = images(1, *NATIVE)

    encoder = zoo.load(str(tmp_path), dtype="float64")

    assert isinstance(encoder, Encoder)
    expected = reference.forward_head(reference.forward_features(pixels), pre_logits=True)
    assert relative_error(encoder({"pixels": pixels}).pooled, expected) <= FLOAT64


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"hidden_act": "relu"}, UnsupportedCheckpointError, "hidden_act"),
        ({"num_channels": 1}, UnsupportedCheckpointError, "num_channels"),
        ({"depths": [2, 2, 2]}, FormatError, "depths"),
        ({"hidden_sizes": [8, 8, 8, 10**9]}, FormatError, "hidden_sizes"),
    ],
)
def test_what_is_not_supported_is_refused_with_the_reason(
    change: dict[str, Any], error: type[Exception], words: str, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "dinov3_convnext", **change}))
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(PROCESSOR))

    with pytest.raises(error, match=words):
        zoo.resolve(str(tmp_path))


def test_images_that_no_stage_can_halve_are_refused(tmp_path: Path) -> None:
    config = {"architecture": "convnext_tiny", "pretrained_cfg": {"input_size": [3, 240, 240]}}
    (tmp_path / "config.json").write_text(json.dumps(config))

    with pytest.raises(UnsupportedCheckpointError, match="multiples of 32"):
        zoo.resolve(str(tmp_path))
