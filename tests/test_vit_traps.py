"""What is peculiar to one system of the ViT family and easily lost."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from tests.reference import FLOAT64, images, relative_error
from zoo.errors import InputError
from zoo.loading import random_module
from zoo.nn.attention import SelfAttention
from zoo.registry import default_registry
from zoo.spec import Dim, ImagePreprocess, ModelSpec
from zoo_vision.families import deit, dino, dinov2, ijepa, mae, moco_v3, vit
from zoo_vision.nets.vit import ViT
from zoo_vision.vit_config import ViTConfig

FAMILIES = (vit, deit, dino, dinov2, mae, moco_v3, ijepa)
ROWS = [row for family in FAMILIES for row in family.ROWS]
PLAIN = ViTConfig(width=16, depth=1, heads=2, hidden=8, image_size=(16, 16), patch=4)


def config(name: str) -> ViTConfig:
    found = default_registry().row(name).config
    assert isinstance(found, ViTConfig)
    return found


def test_moco_v3s_small_vit_has_twelve_heads() -> None:
    assert config("moco-v3-s16").heads == 12
    assert config("dino-s16").heads == config("deit-s16").heads == config("vit-s16").heads == 6


def test_masked_models_pool_the_patches_and_the_others_the_class_token() -> None:
    pooling = {row.name: config(row.name).pooling for row in ROWS}

    assert {name for name, way in pooling.items() if way == "mean"} == {
        row.name for row in (*mae.ROWS, *ijepa.ROWS)
    }
    assert {name for name, way in pooling.items() if way == "cls_dist"} == {"deit-b16-dist"}


def test_only_ijepa_has_no_class_token() -> None:
    assert {row.name for row in ROWS if not config(row.name).class_token} == {
        row.name for row in ijepa.ROWS
    }


def test_registers_come_with_a_class_token_without_a_position() -> None:
    for row in dinov2.ROWS:
        this = config(row.name)
        assert this.class_position == (this.registers == 0), row.name
        assert this.registers in (0, 4)
        assert this.layer_scale


def test_dinov2s_giant_is_gated() -> None:
    for row in dinov2.ROWS:
        assert config(row.name).swiglu == (config(row.name).width == 1536)


def test_positions_are_resampled_as_each_systems_authors_do() -> None:
    for row in ROWS:
        this = config(row.name)
        found = this.position_mode, this.position_antialias, this.position_offset
        expected = {
            "vit": ("linear_corners", False, 0.0),
            "dino": ("bicubic", False, 0.1),
            "dinov2": ("bicubic", True, 0.0) if this.registers else ("bicubic", False, 0.1),
        }.get(row.family.name, ("bicubic", False, 0.0))
        assert found == expected, row.name


def test_augreg_is_normalised_by_halves_and_the_others_by_imagenet() -> None:
    for row in ROWS:
        recipe = row.preprocess
        assert isinstance(recipe, ImagePreprocess)
        halves = (0.5, 0.5, 0.5)
        assert (recipe.mean == recipe.std == halves) == (row.family.name == "vit"), row.name


def test_dinov2_preprocesses_to_224_though_its_grid_is_518() -> None:
    for row in dinov2.ROWS:
        assert isinstance(row.preprocess, ImagePreprocess)
        assert row.preprocess.size == (224, 224)
        assert config(row.name).image_size == (518, 518)


def test_every_norm_has_epsilon_1e_6() -> None:
    assert {config(row.name).norm_eps for row in ROWS} == {1e-6}
    module = config("deit-t16").tiny().build()
    norms = [part for part in module.modules() if isinstance(part, torch.nn.LayerNorm)]
    assert {norm.eps for norm in norms} == {1e-6}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_sizes_are_multiples_of_the_patch_and_the_grid_follows(row: ModelSpec) -> None:
    patch = config(row.name).patch
    (pixels,) = row.inputs
    height, width = pixels.shape[2:]
    assert isinstance(height, Dim)
    assert isinstance(width, Dim)
    assert isinstance(row.preprocess, ImagePreprocess)

    assert height.multiple == width.multiple == patch
    assert height.typical == row.preprocess.size[0]
    assert row.grid(2 * patch, 3 * patch) == (2, 3)


def test_a_size_that_is_no_multiple_of_the_patch_is_refused() -> None:
    net = PLAIN.build()

    with pytest.raises(InputError, match="multiples of 4"):
        net(torch.zeros(1, 3, 16, 18))


def test_class_token_and_registers_are_no_patches() -> None:
    net = config("dinov2-b14-reg").tiny().build().eval()

    out = net(images(2, 16, 24, torch.float32))

    assert out.prefix is not None
    assert out.prefix.shape == (2, 5, 16)
    assert out.tokens is not None
    assert out.tokens.shape == (2, 24, 16)
    assert out.pooled is not None
    assert torch.equal(out.pooled, out.prefix[:, 0])


@pytest.mark.parametrize("name", ["vit-b16", "deit-b16-dist", "dinov2-g14-reg", "mae-b16"])
@torch.no_grad()
def test_the_vector_alone_is_the_vector_of_all(name: str) -> None:
    row = default_registry().row(name)
    net = random_module(replace(row, config=config(name).tiny())).double()
    pixels = images(3, 24, 16)
    everything = net(pixels)

    net.pooled_only = True  # type: ignore[assignment]  # a plain attribute
    alone = net(pixels)

    assert relative_error(alone.pooled, everything.pooled) <= FLOAT64
    assert alone.tokens is None
    assert alone.prefix is None


@torch.no_grad()
def test_attention_of_the_first_tokens_is_that_of_all() -> None:
    attention = SelfAttention(16, 4, qkv_bias=False).double()
    x = torch.randn(2, 7, 16, dtype=torch.float64)

    assert relative_error(attention.first_tokens(x, 3), attention(x)[:, :3]) <= FLOAT64


@torch.no_grad()
def test_an_image_does_not_depend_on_its_batch() -> None:
    net = random_module(default_registry().row("vit-t16")).double()
    batch = images(3, 32, 48)

    together = net(batch).pooled
    alone = torch.cat([net(image[None]).pooled for image in batch])

    assert (together - alone).abs().max() <= 1e-12


@pytest.mark.parametrize(
    "fields",
    [
        {"heads": 3},
        {"image_size": (16, 18)},
        {"class_token": False},
        {"pooling": "cls_dist"},
        {"position_offset": 0.1, "position_antialias": True},
    ],
    ids=lambda fields: "+".join(fields),
)
def test_numbers_that_contradict_each_other_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"multiple|class token|distillation|plain bicubic"):
        replace(PLAIN, **fields)  # type: ignore[arg-type]


def test_vectors_come_normalised_where_the_config_says_so() -> None:
    net = replace(PLAIN, normalize=True, projection=12).build()
    assert isinstance(net, ViT)
    torch.nn.init.normal_(net.patches.weight)

    pooled = net(images(2, 16, 16, torch.float32)).pooled

    assert pooled is not None
    assert pooled.shape == (2, 12)
    assert torch.allclose(pooled.norm(dim=1), torch.ones(2))


def test_gradients_flow_into_every_parameter() -> None:
    net = config("dinov2-g14-reg").tiny().build()
    torch.manual_seed(0)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.5)

    out = net(images(2, 24, 16, torch.float32))
    (out.pooled.square().sum() + out.tokens.square().sum()).backward()  # type: ignore[union-attr]

    assert all(p.grad is not None and bool(p.grad.any()) for p in net.parameters())


def test_the_network_is_exported_with_any_batch() -> None:
    net = config("dinov2-b14").tiny().build().eval()
    pixels = images(3, 24, 16, torch.float32)
    batch = torch.export.Dim("batch", min=1, max=64)

    program = torch.export.export(net, (pixels,), dynamic_shapes=({0: batch},))

    other = images(5, 24, 16, torch.float32)
    assert torch.allclose(program.module()(other).pooled, net(other).pooled, atol=1e-6)
