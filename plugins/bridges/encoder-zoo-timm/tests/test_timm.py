"""timm's models behind `timm:` give timm's numbers, from timm's files, and export."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file
from timm.models import save_for_hf

import zoo
from zoo import samples
from zoo.encoder import Encoder
from zoo.errors import (
    KeyMapError,
    OfflineError,
    UnknownModelError,
    UnsupportedCheckpointError,
)
from zoo.registry import default_registry

# One with a class token, one of maps, one that keeps its maps channels-last, one with two tokens,
# two that do not say how many, one whose classifier has a norm, one with timm's oldest filter.
NAMES = (
    "test_vit",
    "test_resnet",
    "swin_tiny_patch4_window7_224",
    "deit_tiny_distilled_patch16_224",
    "pit_ti_224",
    "coat_lite_tiny",
    "repvit_m1",
    "regnetx_002",
)
PASSES = ("test_vit", "test_resnet", "test_convnext")

pytest_plugins = ["zoo.testing.fixtures"]


def save(name: str, folder: Path, **arguments: Any) -> Any:
    """Write files as timm publishes them, the classifier included; returns the network."""
    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=7, **arguments).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    save_for_hf(model, folder, model_args=arguments or None)
    return model


def load(name: str, weights: Path | str | None) -> Encoder:
    encoder = zoo.load(f"timm:{name}", weights=weights)
    assert isinstance(encoder, Encoder)
    return encoder


@pytest.mark.parametrize("name", NAMES)
def test_a_published_file_gives_timms_features(name: str, tmp_path: Path) -> None:
    model = save(name, tmp_path)
    encoder = load(name, tmp_path)
    pixels = torch.randn(2, 3, *encoder.spec.preprocess.size)

    with torch.inference_mode():
        features = model.forward_features(pixels)
        pooled = model.forward_head(features, pre_logits=True)
        found = encoder.module(pixels)

    assert torch.equal(found.pooled, pooled)
    assert found.pooled.shape == (2, encoder.spec.dim)
    assert ("pyramid" in encoder.spec.outputs) == (found.pyramid is not None)
    if found.prefix is not None:
        parts = [part for part in (found.prefix, found.tokens) if part is not None]
        assert torch.equal(torch.cat(parts, dim=1), features)
    if found.tokens is not None:
        rows, columns = encoder.spec.grid(*encoder.spec.preprocess.size)
        assert found.tokens.shape[1] == rows * columns


def test_a_pyramid_is_that_of_timm(tmp_path: Path) -> None:
    model = save("test_resnet", tmp_path)
    encoder = load("test_resnet", tmp_path)
    pixels = torch.randn(1, 3, 160, 160)

    with torch.inference_mode():
        levels = model.forward_intermediates(pixels, intermediates_only=True)
        found = encoder.module(pixels).pyramid

    assert len(found) == len(levels) > 1
    assert all(torch.equal(one, other) for one, other in zip(found, levels, strict=True))


def test_an_older_file_is_read_as_timm_reads_it(tmp_path: Path) -> None:
    model = save("swin_tiny_patch4_window7_224", tmp_path)
    state = {name.replace("head.fc.", "head."): value for name, value in model.state_dict().items()}
    for stage in range(3):  # they stood at the end of the stage before
        for name in [name for name in state if f"layers.{stage + 1}.downsample" in name]:
            state[name.replace(f"layers.{stage + 1}", f"layers.{stage}")] = state.pop(name)
    state["layers.0.blocks.1.attn_mask"] = torch.zeros(64, 49, 49)
    save_file(state, tmp_path / "model.safetensors")

    found = dict(load("swin_tiny_patch4_window7_224", tmp_path).module.net.named_parameters())

    wanted = dict(model.named_parameters())
    assert found.keys() == {name for name in wanted if not name.startswith("head.fc")}
    assert all(torch.equal(found[name], wanted[name]) for name in found)


def test_a_saved_model_is_built_with_its_own_arguments(tmp_path: Path) -> None:
    model = save("test_vit", tmp_path, img_size=96, class_token=False, global_pool="avg")
    facts = json.loads((tmp_path / "config.json").read_text())
    facts["pretrained_cfg"]["input_size"] = [3, 96, 96]
    (tmp_path / "config.json").write_text(json.dumps(facts))
    encoder = load(f"local-dir:{tmp_path}", None)
    pixels = torch.randn(2, 3, 96, 96)

    with torch.inference_mode():
        wanted = model.forward_head(model.forward_features(pixels), pre_logits=True)
        found = encoder.module(pixels)

    assert encoder.spec.inputs[0].shape[1:] == (3, 96, 96)
    assert str(tmp_path) not in encoder.spec.name
    assert torch.equal(found.pooled, wanted)
    assert found.prefix is None


def test_a_repository_is_named_as_timm_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    with pytest.raises(OfflineError, match="hf:nobody/nothing"):
        zoo.resolve("timm:hf-hub:nobody/nothing")


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedCheckpointError, match=r"has no config\.json"):
        zoo.resolve(f"timm:local-dir:{tmp_path}")
    (tmp_path / "config.json").write_text('{"architecture": "nonesuch"}')
    with pytest.raises(UnknownModelError, match="names 'nonesuch', which timm"):
        zoo.resolve(f"timm:local-dir:{tmp_path}")


def test_a_network_without_features_is_refused() -> None:
    with pytest.raises(UnsupportedCheckpointError, match="gives no features of 768 x 768 pixels"):
        zoo.resolve("timm:qwen3_vit_88m_enc")


def test_blocks_can_be_looked_into() -> None:
    encoder = load("test_vit", "random")
    batch = encoder.preprocess(samples.images()[:2])

    last = encoder.blocks(batch, indices=[-1])[0]

    assert torch.equal(encoder.module.net.norm(last)[:, 1:], encoder(batch).tokens)


@pytest.mark.parametrize(
    "name",
    [
        "test_vit",
        "resnet18.a1_in1k",
        "vit_base_patch16_siglip_224",  # squashed
        "dm_nfnet_f0",  # squashed, then cut
        "volo_d4_448.sail_in1k",  # smaller than what is cut out: a border
    ],
)
def test_preprocessing_is_that_of_timms_configuration(name: str) -> None:
    row = zoo.resolve(f"timm:{name}")[0]
    facts = timm.get_pretrained_cfg(name).to_dict()
    transform = timm.data.create_transform(**timm.data.resolve_data_config(pretrained_cfg=facts))
    photo = Image.open(samples.images()[0]).convert("RGB")
    from zoo.preprocess import preprocessor_for

    prepared = preprocessor_for(row).prepare([photo])[0]

    np.testing.assert_array_equal(prepared.arrays["pixels"], transform(photo).numpy())


@pytest.mark.parametrize("name", PASSES)
def test_a_model_exports_and_its_bundle_encodes_alike(name: str, zoo_cache: Path) -> None:
    eager = load(name, "random")
    bundle = zoo.load(f"timm:{name}", weights="random", backend="onnx")
    photos = samples.images()[:3]

    difference = np.abs(bundle.encode(photos) - eager.encode(photos)).max()

    assert difference < 1e-4 * np.abs(eager.encode(photos)).max()


def test_a_file_of_another_model_is_refused(tmp_path: Path) -> None:
    save("test_resnet", tmp_path)

    with pytest.raises(KeyMapError, match=r"does not fit timm:test_vit\. Not in the file: net\."):
        load("test_vit", tmp_path)


def test_a_name_that_timm_does_not_have_is_refused_with_near_ones() -> None:
    with pytest.raises(UnknownModelError, match=r"no model 'resnet19'\. Did you mean timm:resnet"):
        zoo.load("timm:resnet19")
    with pytest.raises(UnknownModelError, match=r"no weights 'resnet18\.nobody'.*has a1_in1k, "):
        zoo.load("timm:resnet18.nobody")


def test_a_crop_that_pads_is_refused() -> None:
    facts = map(timm.get_pretrained_cfg, timm.list_models())
    padding = next(f.architecture for f in facts if f is not None and f.crop_mode == "border")

    with pytest.raises(UnsupportedCheckpointError, match="crop_mode"):
        zoo.resolve(f"timm:{padding}")


def test_listing_the_zoo_does_not_import_timm() -> None:
    code = "import sys, zoo; zoo.list(); sys.exit('timm' in sys.modules or 'torch' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_pattern_lists_names_of_timm() -> None:
    names = default_registry().namespace("timm")[0].search("test_vit*")

    assert {"test_vit", "test_vit.r160_in1k"} <= set(names)
    assert all(name.startswith("test_vit") for name in names)
