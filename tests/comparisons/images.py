"""Encoders of images against timm, transformers and open_clip."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import save_file
from torch import Tensor

import zoo
from tests import (
    clip_reference,
    siglip_reference,
    swin_reference,
    test_autoencoder,
    test_beit,
    test_convnext,
    test_dinov3,
    test_imagegpt,
)
from tests.comparisons.registry import compares
from tests.reference import images, make_live, relative_error
from tests.test_resnet import timm_reference
from tests.test_swin import timms_maps
from tests.vit_reference import NATIVE, load, noise, small_row, timm_model
from zoo.encoded import Encoded
from zoo.spec import ModelSpec


def _sequence_error(ours: Encoded, sequence: Tensor, pooled: Tensor) -> float:
    parts: list[Any] = [ours.tokens] if ours.prefix is None else [ours.prefix, ours.tokens]
    return max(
        relative_error(torch.cat(parts, dim=1), sequence), relative_error(ours.pooled, pooled)
    )


@compares("timm", "vit", "deit", "dino", "dinov2", "mae", "moco-v3", "ijepa")
def _vits(row: ModelSpec, folder: Path, dtype: torch.dtype) -> float:
    row = small_row(row.name)
    config: Any = row.config
    reference: Any = make_live(timm_model(config)).to(dtype)
    save_file(reference.state_dict(), folder / "model.safetensors")
    pixels = noise(NATIVE, dtype)
    sequence = reference.forward_features(pixels)
    return _sequence_error(
        load(row, folder, dtype)({"pixels": pixels}),
        sequence,
        reference.forward_head(sequence, pre_logits=True),
    )


@compares("timm", "dinov3")
def _dinov3(row: ModelSpec, folder: Path, dtype: torch.dtype) -> float:
    row = test_dinov3.small_row(row.name)
    config = test_dinov3.config_of(row)
    reference = test_dinov3.timm_model(config).to(dtype).eval()
    test_dinov3.exact_periods(reference, config, dtype)
    pixels = noise(test_dinov3.OTHER, dtype)
    sequence = reference.forward_features(pixels)
    return _sequence_error(
        load(row, swin_reference.save(reference.state_dict(), folder), dtype)({"pixels": pixels}),
        sequence,
        reference.forward_head(sequence, pre_logits=True),
    )


@compares("transformers", "beit", "beitv2", "data2vec-vision")
def _beits(row: ModelSpec, folder: Path, dtype: torch.dtype) -> float:
    row = test_beit.small_row(row.name)
    config = test_beit.config_of(row)
    reference: Any = make_live(test_beit.transformers_model(row)).to(dtype)
    reference.save_pretrained(folder)
    body: Any = reference.base_model
    pixels = noise(test_beit.OTHER, dtype)
    sequence = body(pixels).last_hidden_state
    if isinstance(reference, transformers.BeitForMaskedImageModeling):  # the norm is the head's
        sequence = reference.layernorm(sequence)
    patches = sequence[:, 1:].mean(dim=1)
    return _sequence_error(
        load(row, folder, dtype)({"pixels": pixels}),
        sequence,
        body.pooler.layernorm(patches) if config.pool_norm else patches,
    )


@compares("timm", "swin", "simmim")
def _swins(row: ModelSpec, folder: Path, dtype: torch.dtype) -> float:
    row = replace(row, config=row.config.tiny())
    reference = swin_reference.live_timm(row, dtype)
    pixels = swin_reference.noise(swin_reference.NATIVE, dtype)
    encoder = swin_reference.load(row, swin_reference.save(reference.state_dict(), folder), dtype)
    ours, (maps, last) = encoder({"pixels": pixels}), timms_maps(reference.eval(), pixels)
    assert ours.pyramid is not None
    return max(
        relative_error(ours.pooled, last.mean(dim=(2, 3))),
        *(relative_error(*pair) for pair in zip(ours.pyramid, maps, strict=True)),
    )


@compares("timm", "dinov3-convnext")
def _convnexts(row: ModelSpec, folder: Path, dtype: torch.dtype) -> float:
    row = test_convnext.tiny_convnext(row)
    reference = test_convnext.live_timm(row).to(dtype)
    pixels = images(2, *test_convnext.WIDE, dtype)
    encoder = swin_reference.load(row, swin_reference.save(reference.state_dict(), folder), dtype)
    ours = encoder({"pixels": pixels})
    maps, tokens, pooled = test_convnext.timms_outputs(reference, pixels)
    assert ours.pyramid is not None
    return max(
        _sequence_error(ours, tokens, pooled),
        *(relative_error(*pair) for pair in zip(ours.pyramid, maps, strict=True)),
    )


@compares("timm", "resnet")
def _resnets(row: ModelSpec, folder: Path, dtype: torch.dtype) -> float:
    config: Any = row.config
    sizes = (64, 16, 24, 32) if config.block == "basic" else (32, 48, 64, 80)
    row = replace(row, config=replace(config, depths=(1, 2, 1, 1), widths=sizes))
    reference: Any = timm_reference(row.config)  # type: ignore[arg-type]
    save_file(reference.state_dict(), folder / "model.safetensors")
    pixels = images(3, 65, 97, dtype=dtype)
    encoder: Any = zoo.load(row, weights=folder, dtype=dtype)
    ours = encoder({"pixels": pixels})
    pyramid = reference.to(dtype).forward_intermediates(
        pixels, indices=[1, 2, 3, 4], intermediates_only=True
    )
    return max(relative_error(*pair) for pair in zip(ours.pyramid, pyramid, strict=True))


@compares("open_clip_torch", "clip", "openclip")
def _clips(row: ModelSpec, folder: Path, dtype: torch.dtype) -> float:
    config: Any = row.config
    pair = clip_reference.tiny_pair(quick_gelu=config.activation == "quick_gelu", vocab=120)
    reference: Any = clip_reference.open_clip_reference(pair)
    clip_reference.save_open_clip(reference, folder)
    clip_reference.save_tokenizer(folder)
    image, text = clip_reference.load(pair, folder, dtype=str(dtype).removeprefix("torch."))
    reference.to(dtype)
    if row.modality == "image":
        pixels = images(3, 16, 16, dtype=dtype)
        return relative_error(image({"pixels": pixels}).pooled, reference.encode_image(pixels))
    ids = clip_reference.text_ids(120)
    return relative_error(text({"input_ids": ids}).pooled, reference.encode_text(ids))


@compares("transformers", "siglip", "siglip2")
def _siglips(row: ModelSpec, folder: Path, dtype: torch.dtype) -> float:
    config: Any = row.config
    pair = siglip_reference.tiny_pair(activation=config.activation)
    reference = siglip_reference.transformers_model(pair)
    reference.save_pretrained(folder)
    image, text = siglip_reference.load(pair, folder, str(dtype).removeprefix("torch."))
    reference.to(dtype)
    if row.modality == "image":
        pixels = images(3, 16, 16, dtype=dtype)
        ours = image({"pixels": pixels})
        theirs = reference.vision_model(pixel_values=pixels)
    else:
        ids = siglip_reference.text_ids()
        ours, theirs = text({"input_ids": ids}), reference.text_model(input_ids=ids)
    return _sequence_error(ours, theirs.last_hidden_state, theirs.pooler_output)


@compares("transformers", "igpt")
def _igpts(row: ModelSpec, folder: Path, dtype: torch.dtype) -> float:
    depth = 2
    reference = test_imagegpt.live_igpt(folder, dtype)
    photos = test_imagegpt.photos()
    ids = test_imagegpt.shifted(test_imagegpt.their_colours(photos))
    expected = test_imagegpt.their_tokens(reference, ids, depth)
    encoder = test_imagegpt.load(test_imagegpt.igpt(depth), folder, dtype)
    ours = encoder({"pixels": test_imagegpt.our_pixels(photos, dtype)})
    return _sequence_error(ours, expected, expected.mean(dim=1))


@compares("diffusers", "vae")
def _autoencoders(row: ModelSpec, folder: Path, dtype: torch.dtype) -> float:
    reference: Any = test_autoencoder.live_vae(dtype)
    reference.save_pretrained(folder)
    pixels = images(2, *test_autoencoder.SIZE, dtype)
    expected = test_autoencoder.posterior_mean(reference, pixels)
    ours = test_autoencoder.load(folder, dtype)({"pixels": pixels})
    return _sequence_error(ours, expected.flatten(2).transpose(1, 2), expected.mean(dim=(2, 3)))
