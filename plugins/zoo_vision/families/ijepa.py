"""I-JEPA: predict the features of hidden blocks; no class token.

Assran et al., arXiv 2301.08243. Numbers: facebookresearch/ijepa, src/models/vision_transformer.py,
commit 52c1ae9. Its `interpolate_pos_encoding` takes a class token that is not there for granted and
cannot run; positions at other sizes are resampled plainly, bicubic to the new size.
"""

from __future__ import annotations

from zoo.keys import drop
from zoo.spec import Family, ImagePreprocess, ModelSpec, WeightsSpec
from zoo_vision.families.vit_layouts import fused_layout, pixels, split_layout
from zoo_vision.vit_config import ViTConfig

SOURCE = (
    "https://github.com/facebookresearch/ijepa/blob/"
    "52c1ae95d05f743e000e8f10a1f3a79b10cff048/src/models/vision_transformer.py"
)

IJEPA = Family(
    name="ijepa",
    title="Self-Supervised Learning from Images with a Joint-Embedding Predictive Architecture",
    authors="Assran, Mahmoud and others",
    arxiv="2301.08243",
    year=2023,
    objective="latent masked-block prediction, ImageNet-1k",
    license="cc-by-nc-4.0",
    modality="image",
    keymaps=(
        fused_layout(),
        split_layout(
            drop("embeddings.mask_token", "token of masked image modelling"),
            prefixes=("ijepa.",),
        ),
    ),
)


def _row(
    name: str,
    repo: str,
    config: ViTConfig,
    params: int,
    *,
    preprocess: ImagePreprocess,
    objective: str | None = None,
    aliases: tuple[str, ...] = (),
) -> ModelSpec:
    return IJEPA.model(
        name,
        config=config,
        weights=WeightsSpec(source=repo, layout="transformers"),
        preprocess=preprocess,
        inputs=pixels(config.patch, config.image_size[0]),
        params=params,
        objective=objective,
        aliases=aliases,
        note="There is no class token: the vector is the mean of the patches.",
        source=SOURCE,
    )


def _huge(patch: int, size: int) -> ViTConfig:
    return ViTConfig(
        width=1280,
        depth=32,
        heads=16,
        hidden=5120,
        patch=patch,
        image_size=(size, size),
        class_token=False,
        pooling="mean",
    )


IN22K = "latent masked-block prediction, ImageNet-22k"
AT_224 = ImagePreprocess(size=(224, 224), resize=248)
AT_448 = ImagePreprocess(size=(448, 448), resize=448)

ROWS = (
    _row(
        "ijepa-h14",
        "hf:facebook/ijepa_vith14_1k",
        _huge(14, 224),
        630_762_240,
        preprocess=AT_224,
        aliases=("ijepa",),
    ),
    _row(
        "ijepa-h14-22k",
        "hf:facebook/ijepa_vith14_22k",
        _huge(14, 224),
        630_762_240,
        preprocess=AT_224,
        objective=IN22K,
    ),
    _row(
        "ijepa-h16-448",
        "hf:facebook/ijepa_vith16_1k",
        _huge(16, 448),
        631_668_480,
        preprocess=AT_448,
    ),
    _row(
        "ijepa-g16-22k",
        "hf:facebook/ijepa_vitg16_22k",
        ViTConfig(
            width=1408,
            depth=40,
            heads=16,
            hidden=6144,
            class_token=False,
            pooling="mean",
        ),
        1_011_368_576,
        preprocess=AT_224,
        objective=IN22K,
    ),
)
