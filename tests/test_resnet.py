"""ResNet against torchvision, timm and transformers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision
import transformers
from safetensors.torch import save_file
from timm.models.resnet import BasicBlock, Bottleneck
from torch import Tensor, nn

import zoo
from tests.reference import FLOAT64, images, make_live, relative_error, tolerance
from zoo.encoder import Encoder
from zoo.errors import KeyMapError
from zoo.keys import make_plan
from zoo.spec import ModelSpec
from zoo_vision.families.resnet import RESNET, ROWS
from zoo_vision.resnet_config import ResNetConfig

BASIC = ResNetConfig(block="basic", depths=(1, 2, 1, 1), widths=(64, 16, 24, 32))
BOTTLENECK = ResNetConfig(block="bottleneck", depths=(1, 2, 1, 1), widths=(32, 48, 64, 80))
both_blocks = pytest.mark.parametrize(
    "config", [BASIC, BOTTLENECK], ids=lambda config: config.block
)
both_precisions = pytest.mark.parametrize("dtype", [torch.float64, torch.float32])


def load(config: ResNetConfig, folder: Path, dtype: torch.dtype = torch.float64) -> Encoder:
    """Load a network of that config from a folder, as a user would."""
    row = replace(ROWS[0], name="tiny", config=config)
    return zoo.load(row, weights=folder, dtype=dtype)


def timm_reference(config: ResNetConfig) -> nn.Module:
    """Return timm's network of the same sizes, live."""
    block: Any = BasicBlock if config.block == "basic" else Bottleneck
    planes = tuple(width // block.expansion for width in config.widths)
    return make_live(timm.models.resnet.ResNet(block, config.depths, channels=planes))


def transformers_reference(config: ResNetConfig, kind: Any = transformers.ResNetModel) -> nn.Module:
    """Return transformers' network of the same sizes, live."""
    return make_live(
        kind(
            transformers.ResNetConfig(
                embedding_size=config.stem,
                hidden_sizes=list(config.widths),
                depths=list(config.depths),
                layer_type=config.block,
            )
        )
    )


def assert_same(ours: zoo.encoded.Encoded, pyramid: list[Tensor], dtype: torch.dtype) -> None:
    """Hold every output against the reference's four maps."""
    assert ours.pyramid is not None
    assert len(ours.pyramid) == 4
    for level, expected in zip(ours.pyramid, pyramid, strict=True):
        assert relative_error(level, expected) <= tolerance(dtype)
    last = pyramid[-1]
    assert relative_error(ours.pooled, last.mean(dim=(2, 3))) <= tolerance(dtype)
    assert relative_error(ours.tokens, last.flatten(2).transpose(1, 2)) <= tolerance(dtype)


@both_precisions
@both_blocks
@pytest.mark.parametrize("size", [(64, 64), (65, 97)], ids=["even", "odd"])
@torch.no_grad()
def test_outputs_equal_timm(
    config: ResNetConfig, dtype: torch.dtype, size: tuple[int, int], tmp_path: Path
) -> None:
    reference = timm_reference(config)
    save_file(reference.state_dict(), tmp_path / "model.safetensors")
    pixels = images(3, *size, dtype=dtype)

    ours = load(config, tmp_path, dtype)({"pixels": pixels})

    pyramid = reference.to(dtype).forward_intermediates(
        pixels, indices=[1, 2, 3, 4], intermediates_only=True
    )
    assert_same(ours, pyramid, dtype)
    pooled = reference.forward_head(pyramid[-1], pre_logits=True)
    assert relative_error(ours.pooled, pooled) <= tolerance(dtype)


@both_precisions
@both_blocks
@torch.no_grad()
def test_outputs_equal_transformers(
    config: ResNetConfig, dtype: torch.dtype, tmp_path: Path
) -> None:
    config = replace(config, stem=8)
    reference = transformers_reference(config)
    reference.save_pretrained(tmp_path)
    pixels = images(2, 65, 97, dtype=dtype)

    ours = load(config, tmp_path, dtype)({"pixels": pixels})

    theirs = reference.to(dtype)(pixels, output_hidden_states=True)
    assert_same(ours, list(theirs.hidden_states[1:]), dtype)
    assert relative_error(ours.pooled, theirs.pooler_output.flatten(1)) <= tolerance(dtype)


@torch.no_grad()
def test_outputs_equal_torchvision(tmp_path: Path) -> None:
    reference = make_live(torchvision.models.resnet18())
    torch.save(reference.state_dict(), tmp_path / "pytorch_model.bin")
    pixels = images(2, 65, 97)

    ours = load(ROWS[0].config, tmp_path)({"pixels": pixels})

    reference.double().fc = nn.Identity()
    assert relative_error(ours.pooled, reference(pixels)) <= FLOAT64


@both_blocks
def test_a_classifier_of_transformers_loads_without_its_head(
    config: ResNetConfig, tmp_path: Path
) -> None:
    config = replace(config, stem=8)
    kind = transformers.ResNetForImageClassification
    reference = transformers_reference(config, kind)
    reference.save_pretrained(tmp_path)
    pixels = images(1, 64, 64)

    ours = load(config, tmp_path)({"pixels": pixels}).pooled

    theirs = reference.double().resnet(pixels).pooler_output.flatten(1)
    assert relative_error(ours.detach(), theirs.detach()) <= FLOAT64


def test_statistics_of_batch_norm_matter_to_the_output(tmp_path: Path) -> None:
    reference = timm_reference(BASIC)
    state = reference.state_dict()
    pixels = images(1, 64, 64)
    outputs = []
    for name in (None, "layer2.1.bn2.running_mean", "layer4.0.downsample.1.running_var"):
        changed = dict(state) if name is None else {**state, name: state[name] + 0.5}
        save_file(changed, tmp_path / "model.safetensors")
        outputs.append(load(BASIC, tmp_path)({"pixels": pixels}).pooled.detach())

    assert relative_error(outputs[1], outputs[0]) > 1e-3
    assert relative_error(outputs[2], outputs[0]) > 1e-3


def test_a_missing_statistic_is_an_error_that_names_it(tmp_path: Path) -> None:
    state = timm_reference(BASIC).state_dict()
    del state["layer3.0.bn1.running_mean"]
    save_file(state, tmp_path / "model.safetensors")

    with pytest.raises(KeyMapError, match=r"blocks\.2\.0\.layers\.0\.norm\.running_mean"):
        load(BASIC, tmp_path)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_full_size_keys_and_shapes_cover_the_network_both_ways(row: ModelSpec) -> None:
    name = row.name.replace("-", "")
    with torch.device("meta"):
        wanted = row.config.build().state_dict()
        references = {
            "timm": timm.create_model(name).state_dict(),
            "torchvision": getattr(torchvision.models, name)().state_dict(),
        }

    for state in references.values():
        plan = make_plan(
            RESNET.keymaps,
            {key: tuple(tensor.shape) for key, tensor in state.items()},
            {key: tuple(tensor.shape) for key, tensor in wanted.items()},
        )
        used = {source for assignment in plan.assignments for source in assignment.sources}
        assert set(state) - used == {"fc.weight", "fc.bias"}
        assert dict(plan.dropped).keys() == {"fc.weight", "fc.bias"}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_facts_of_a_row_are_timms(row: ModelSpec) -> None:
    name = row.name.replace("-", "")
    theirs = timm.models.get_pretrained_cfg(f"{name}.a1_in1k")

    recipe = row.preprocess
    assert row.weights.repo == theirs.hf_hub_id
    assert recipe.size == theirs.input_size[1:]
    assert recipe.resize == int(theirs.input_size[1] / theirs.crop_pct)
    assert recipe.resample == theirs.interpolation
    assert (recipe.mean, recipe.std) == (theirs.mean, theirs.std)
    with torch.device("meta"):
        headless = timm.create_model(name, num_classes=0)
    assert row.params == sum(parameter.numel() for parameter in headless.parameters())


def test_blocks_are_the_four_stages(tmp_path: Path) -> None:
    save_file(timm_reference(BASIC).state_dict(), tmp_path / "model.safetensors")
    encoder = load(BASIC, tmp_path)
    batch = {"pixels": images(1, 64, 96)}

    first, last = encoder.blocks(batch, indices=[0, -1])

    pyramid = encoder(batch).pyramid
    torch.testing.assert_close(first, pyramid[0], rtol=0, atol=0)
    torch.testing.assert_close(last, pyramid[3], rtol=0, atol=0)
    assert encoder.spec.grid(64, 96) == last.shape[2:] == (2, 3)


def test_the_pyramid_is_encoded_image_by_image() -> None:
    encoder = zoo.load("resnet-18", weights="random")
    pictures = [torch.randint(0, 256, (3, 40, 50), dtype=torch.uint8) for _ in range(2)]

    pyramid = encoder.encode(pictures, output="pyramid")

    shapes = [level.shape for level in pyramid[1]]
    assert shapes == [(64, 56, 56), (128, 28, 28), (256, 14, 14), (512, 7, 7)]
