"""Recognise a repository or folder of an encoder of sound by its configuration files. No torch.

Only what was understood is loaded: a configuration that asks for something else than the networks
here compute is refused with the reason.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, cast

from zoo.errors import UnsupportedCheckpointError
from zoo.fields import DEEPEST, Fields, read_fields, read_optional, weight_files
from zoo.hookspecs import RepoFiles
from zoo.spec import AudioPreprocess, Family, ModelSpec, WeightsSpec
from zoo_audio.configs import Wav2Vec2Config, WhisperConfig
from zoo_audio.families import data2vec, hubert, wav2vec2, whisper
from zoo_audio.families.rows import ALONE, LONGEST, MEAN, mel_inputs, waveform_inputs

CONFIG, PROCESSOR = "config.json", "preprocessor_config.json"
_WIDEST = 100_000
_WAVEFORM = {
    "wav2vec2": wav2vec2.FAMILY,
    "hubert": hubert.FAMILY,
    "data2vec-audio": data2vec.FAMILY,
}


def recognise(files: RepoFiles) -> tuple[ModelSpec, ...] | None:
    """Return the row of a repository of wav2vec 2.0, HuBERT, data2vec or Whisper, or None.

    Raises:
        UnsupportedCheckpointError: It asks for what is not supported.
        FormatError: One of its files is broken.
    """
    fields = read_fields(files, CONFIG)
    kind = None if fields is None else fields.get("model_type")
    if fields is None or not isinstance(kind, str):
        return None
    if kind in _WAVEFORM:
        return (_waveform(files, fields, _WAVEFORM[kind]),)
    return (_whisper(files, fields),) if kind == "whisper" else None


def _waveform(files: RepoFiles, fields: Fields, family: Family) -> ModelSpec:
    config = _data2vec_config(fields) if family is data2vec.FAMILY else _wav2vec2_config(fields)
    processor = read_optional(files, PROCESSOR)
    processor.require("feature_size", 1)
    recipe = AudioPreprocess(
        rate=processor.integer("sampling_rate", 16_000, least=1_000, most=768_000),
        shortest=config.shortest,
        longest=max(config.shortest, LONGEST),
        normalize=processor.flag("do_normalize", True),
    )
    note = MEAN + (ALONE if config.stem_norm == "group" else "")
    return replace(
        _row(files, family, note),
        config=config,
        preprocess=recipe,
        inputs=waveform_inputs(config),
        params=config.params,
    )


def _wav2vec2_config(fields: Fields) -> Wav2Vec2Config:
    fields.require("hidden_act", "gelu")
    fields.require("feat_extract_activation", "gelu")
    fields.require("add_adapter", False)
    fields.require("adapter_attn_dim")
    fields.require("conv_pos_batch_norm", False)
    fields.require("feat_proj_layer_norm", True)
    fields.require("feat_extract_norm", "group", "layer")
    kernels = fields.integers("conv_kernel", (10, 3, 3, 3, 3, 2, 2), most=1_000)
    channels = fields.integers("conv_dim", (512,) * 7, most=_WIDEST)
    if len(set(channels)) != 1:
        raise UnsupportedCheckpointError(
            f"{fields.file} has layers of {', '.join(map(str, channels))} channels in its stem; "
            "supported is one number for all."
        )
    config = Wav2Vec2Config(
        width=fields.integer("hidden_size", 768, most=_WIDEST),
        depth=fields.integer("num_hidden_layers", 12, most=DEEPEST),
        heads=fields.integer("num_attention_heads", 12, most=_WIDEST),
        hidden=fields.integer("intermediate_size", 3072, most=_WIDEST),
        channels=channels[0],
        kernels=kernels,
        strides=fields.integers("conv_stride", (5, 2, 2, 2, 2, 2, 2), most=1_000),
        stem_norm=cast(Literal["group", "layer"], fields.text("feat_extract_norm", "group")),
        stem_bias=fields.flag("conv_bias", False),
        pre_norm=fields.flag("do_stable_layer_norm", False),
        position_kernel=fields.integer("num_conv_pos_embeddings", 128, most=10_000),
        position_groups=fields.integer("num_conv_pos_embedding_groups", 16, most=_WIDEST),
        eps=fields.positive("layer_norm_eps", 1e-5),
    )
    _divides(fields, config.heads, config.width)
    _divides(fields, config.position_groups, config.width)
    return config


def _data2vec_config(fields: Fields) -> Wav2Vec2Config:
    """Return a config of data2vec, where the same words mean other numbers."""
    return replace(
        _wav2vec2_config(fields),
        stem_norm="layer",
        pre_norm=False,
        position_depth=fields.integer("num_conv_pos_embeddings", 5, most=DEEPEST),
        position_kernel=fields.integer("conv_pos_kernel_size", 19, most=10_000),
    )


def _whisper(files: RepoFiles, fields: Fields) -> ModelSpec:
    fields.require("activation_function", "gelu")
    config = WhisperConfig(
        width=fields.integer("d_model", most=_WIDEST),
        depth=fields.integer("encoder_layers", most=DEEPEST),
        heads=fields.integer("encoder_attention_heads", most=_WIDEST),
        hidden=fields.integer("encoder_ffn_dim", most=_WIDEST),
        mels=fields.integer("num_mel_bins", 80, most=1_000),
        positions=fields.integer("max_source_positions", 1500, most=_WIDEST),
    )
    _divides(fields, config.heads, config.width)
    processor = read_optional(files, PROCESSOR)
    recipe = AudioPreprocess(features="log_mel", mels=config.mels)
    processor.require("feature_size", config.mels)
    processor.require("sampling_rate", recipe.rate)
    processor.require("n_fft", recipe.window)
    processor.require("hop_length", recipe.hop)
    processor.require("dither", 0.0, 0)
    processor.require("do_normalize", False)
    length = config.positions * config.stride * recipe.hop
    return replace(
        _row(files, whisper.FAMILY, whisper.ROWS[0].note),
        config=config,
        preprocess=replace(recipe, length=length),
        inputs=mel_inputs(config),
        params=config.params,
    )


def _row(files: RepoFiles, family: Family, note: str) -> ModelSpec:
    """Return a row of the family that lacks what its config says."""
    template = {"whisper": whisper.ROWS}.get(family.name, wav2vec2.ROWS)[0]
    return replace(
        template,
        name=files.source,
        family=family,
        aliases=(),
        weights=WeightsSpec(
            source=files.source,
            files=weight_files(files),
            revision=files.revision,
            layout="transformers",
        ),
        license="unknown",
        objective="see the repository",
        year=family.year,
        languages=(),
        papers=(),
        note=note,
        source=files.source,
    )


def _divides(fields: Fields, number: int, width: int) -> None:
    if width % number:
        raise UnsupportedCheckpointError(
            f"{fields.file} cannot be built: {number} does not divide the width of {width}."
        )
