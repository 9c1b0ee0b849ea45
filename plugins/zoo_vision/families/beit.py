"""BEiT, BEiT v2 and data2vec for images: relative positions, one table a block or one for all.

Bao et al., arXiv 2106.08254; Peng et al., arXiv 2208.06366; Baevski et al., arXiv 2202.03555.
Numbers: timm's beit.py (version 1.0.31), and transformers' configuration_beit.py and
configuration_data2vec_vision.py (version 5.23).
"""

from __future__ import annotations

from zoo.keys import KeyMap, drop, merge, move
from zoo.spec import Family, ImagePreprocess, ModelSpec, WeightsSpec
from zoo_vision.families.vit_layouts import CLASSIFIER, fused_layout, pixels
from zoo_vision.processing import HALVES
from zoo_vision.vit_config import ViTConfig

TIMM_SOURCE = "https://github.com/huggingface/pytorch-image-models/blob/v1.0.31/timm/models/beit.py"
TRANSFORMERS_SOURCE = (
    "https://github.com/huggingface/transformers/tree/v5.23.0/src/transformers/models/"
)
MASK = "token of masked image modelling, unused when encoding"
HEAD = "head of masked image modelling"
BUFFER = "buffer that is made, not learned"


def _fused() -> KeyMap:
    """Return timm's names, which are the authors'."""
    block, attention = "blocks.{i}", "blocks.{i}.attn"
    return fused_layout(
        move(f"{attention}.q_bias", f"{block}.attention.q_bias"),
        move(f"{attention}.v_bias", f"{block}.attention.v_bias"),
        move(f"{attention}.relative_position_bias_table", f"{block}.relative.table"),
        drop(f"{attention}.relative_position_index", BUFFER),
        move("rel_pos_bias.relative_position_bias_table", "relative.table"),
        drop("rel_pos_bias.relative_position_index", BUFFER),
        move(f"{block}.gamma_1", f"{block}.scale1.scale"),
        move(f"{block}.gamma_2", f"{block}.scale2.scale"),
        drop("mask_token", MASK),
        drop("lm_head.{wb}", HEAD),
        drop("cls_pt_layers.*", HEAD),
    )


def _split() -> KeyMap:
    """Return the names in files of transformers."""
    theirs, ours = "encoder.layer.{i}", "blocks.{i}"
    attention = f"{theirs}.attention.attention"
    return KeyMap(
        name="transformers",
        rules=(
            move("embeddings.cls_token", "class_token"),
            drop("embeddings.mask_token", MASK),
            move("embeddings.patch_embeddings.projection.{wb}", "patches.{wb}"),
            move(
                "encoder.relative_position_bias.relative_position_bias_table",
                "relative.table",
            ),
            drop("encoder.relative_position_bias.relative_position_index", BUFFER),
            move(f"{theirs}.layernorm_before.{{wb}}", f"{ours}.norm1.{{wb}}"),
            merge(
                [f"{attention}.{part}.weight" for part in ("query", "key", "value")],
                f"{ours}.attention.qkv.weight",
            ),
            move(f"{attention}.query.bias", f"{ours}.attention.q_bias"),
            move(f"{attention}.value.bias", f"{ours}.attention.v_bias"),
            move(
                f"{attention}.relative_position_bias.relative_position_bias_table",
                f"{ours}.relative.table",
            ),
            drop(f"{attention}.relative_position_bias.relative_position_index", BUFFER),
            move(f"{theirs}.attention.output.dense.{{wb}}", f"{ours}.attention.proj.{{wb}}"),
            move(f"{theirs}.lambda_1", f"{ours}.scale1.scale"),
            move(f"{theirs}.layernorm_after.{{wb}}", f"{ours}.norm2.{{wb}}"),
            move(f"{theirs}.intermediate.dense.{{wb}}", f"{ours}.mlp.fc1.{{wb}}"),
            move(f"{theirs}.output.dense.{{wb}}", f"{ours}.mlp.fc2.{{wb}}"),
            move(f"{theirs}.lambda_2", f"{ours}.scale2.scale"),
            # behind the tokens where masked patches were predicted, behind their mean where labels
            move("layernorm.{wb}", "norm.{wb}"),
            move("pooler.layernorm.{wb}", "pool_norm.{wb}"),
            drop("lm_head.{wb}", HEAD),
            drop("classifier.{wb}", CLASSIFIER),
        ),
        prefixes=("beit.", "data2vec_vision."),
    )


KEYMAPS = (_fused(), _split())

BEIT = Family(
    name="beit",
    title="BEiT: BERT Pre-Training of Image Transformers",
    authors="Bao, Hangbo and Dong, Li and Piao, Songhao and Wei, Furu",
    arxiv="2106.08254",
    year=2021,
    objective="masked image modelling (tokens of a discrete VAE), ImageNet-22k",
    license="apache-2.0",
    modality="image",
    keymaps=KEYMAPS,
)
BEITV2 = Family(
    name="beitv2",
    title="BEiT v2: Masked Image Modeling with Vector-Quantized Visual Tokenizers",
    authors="Peng, Zhiliang and Dong, Li and Bao, Hangbo and Ye, Qixiang and Wei, Furu",
    arxiv="2208.06366",
    year=2022,
    objective="masked image modelling (vector-quantised tokens) on ImageNet-1k, "
    "then supervised ImageNet-22k",
    license="apache-2.0",
    modality="image",
    keymaps=KEYMAPS,
)
DATA2VEC = Family(
    name="data2vec-vision",
    title="data2vec: A General Framework for Self-supervised Learning in Speech, Vision and "
    "Language",
    authors="Baevski, Alexei and others",
    arxiv="2202.03555",
    year=2022,
    objective="masked prediction of a teacher's features, ImageNet-1k",
    license="apache-2.0",
    modality="image",
    keymaps=KEYMAPS,
)

FINE_TUNED = ImagePreprocess(size=(224, 224), resize=248, mean=HALVES, std=HALVES)
SQUASHED = ImagePreprocess(size=(224, 224), resize=None, mean=HALVES, std=HALVES)
IMAGENET = ImagePreprocess(size=(224, 224), resize=248)

NOTE = "Its table of relative positions was learned at 224 x 224; other sizes resample it linearly."


def fine_tuned(width: int, depth: int, heads: int) -> ViTConfig:
    """Return a network whose patches' mean is normalised, with a table in each block."""
    return ViTConfig(
        width=width,
        depth=depth,
        heads=heads,
        hidden=4 * width,
        key_bias=False,
        layer_scale=True,
        positions="relative",
        final_norm=False,
        pool_norm=True,
        pooling="mean",
    )


def pretrained(width: int, depth: int, heads: int) -> ViTConfig:
    """Return a network whose tokens are normalised before their mean, with one table for all."""
    return ViTConfig(
        width=width,
        depth=depth,
        heads=heads,
        hidden=4 * width,
        key_bias=False,
        layer_scale=True,
        positions="relative_shared",
        pooling="mean",
    )


def _timm(
    family: Family,
    name: str,
    repo: str,
    config: ViTConfig,
    params: int,
    preprocess: ImagePreprocess,
    objective: str | None = None,
) -> ModelSpec:
    return family.model(
        name,
        config=config,
        weights=WeightsSpec(source=repo, layout="timm"),
        preprocess=preprocess,
        inputs=pixels(16),
        params=params,
        objective=objective,
        note=NOTE,
        source=TIMM_SOURCE,
    )


def _transformers(
    family: Family, name: str, repo: str, config: ViTConfig, params: int, folder: str
) -> ModelSpec:
    return family.model(
        name,
        config=config,
        weights=WeightsSpec(source=repo, layout="transformers"),
        preprocess=SQUASHED,
        inputs=pixels(16),
        params=params,
        note=NOTE,
        source=TRANSFORMERS_SOURCE + folder,
    )


LABELLED = "masked image modelling (tokens of a discrete VAE), then supervised, ImageNet-22k"

ROWS = (
    _timm(
        BEIT,
        "beit-b16",
        "hf:timm/beit_base_patch16_224.in22k_ft_in22k",
        fine_tuned(768, 12, 12),
        85_761_984,
        FINE_TUNED,
        LABELLED,
    ),
    _timm(
        BEIT,
        "beit-l16",
        "hf:timm/beit_large_patch16_224.in22k_ft_in22k",
        fine_tuned(1024, 24, 16),
        303_405_568,
        FINE_TUNED,
        LABELLED,
    ),
    _transformers(
        BEIT,
        "beit-b16-pt",
        "hf:microsoft/beit-base-patch16-224-pt22k",
        pretrained(768, 12, 12),
        85_665_360,
        "beit",
    ),
    _transformers(
        BEIT,
        "beit-l16-pt",
        "hf:microsoft/beit-large-patch16-224-pt22k",
        pretrained(1024, 24, 16),
        303_136_192,
        "beit",
    ),
    _timm(
        BEITV2,
        "beitv2-b16",
        "hf:timm/beitv2_base_patch16_224.in1k_ft_in22k",
        fine_tuned(768, 12, 12),
        85_761_984,
        IMAGENET,
    ),
    _timm(
        BEITV2,
        "beitv2-l16",
        "hf:timm/beitv2_large_patch16_224.in1k_ft_in22k",
        fine_tuned(1024, 24, 16),
        303_405_568,
        IMAGENET,
    ),
    _transformers(
        DATA2VEC,
        "data2vec-b16",
        "hf:facebook/data2vec-vision-base",
        pretrained(768, 12, 12),
        85_665_360,
        "data2vec",
    ),
    _transformers(
        DATA2VEC,
        "data2vec-l16",
        "hf:facebook/data2vec-vision-large",
        pretrained(1024, 24, 16),
        303_136_192,
        "data2vec",
    ),
)
