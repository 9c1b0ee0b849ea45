"""MoCo v3: contrastive learning of ViTs without a queue.

Chen, Xie, He, arXiv 2104.02057. Numbers: facebookresearch/moco-v3, vits.py, commit 1c6b717.
That code builds its fixed sine table for one size only; for others it is resampled as timm 0.4.9,
which it runs on, does: plain bicubic to the new size.
"""

from __future__ import annotations

from zoo.keys import drop
from zoo.spec import Family, ImagePreprocess, WeightsSpec
from zoo_vision.families.vit_layouts import fused_layout, pixels
from zoo_vision.vit_config import ViTConfig

PROJECTOR = "projection head of the training"
SOURCE = (
    "https://github.com/facebookresearch/moco-v3/blob/"
    "1c6b717e5591bc11ce8a0c093dcdedcd6dc07ca6/vits.py"
)

MOCO_V3 = Family(
    name="moco-v3",
    title="An Empirical Study of Training Self-Supervised Vision Transformers",
    authors="Chen, Xinlei and Xie, Saining and He, Kaiming",
    arxiv="2104.02057",
    year=2021,
    objective="symmetric InfoNCE without a queue, 300 epochs of ImageNet-1k",
    license="cc-by-nc-4.0",
    modality="image",
    keymaps=(
        fused_layout(
            drop("head.*", PROJECTOR),
            drop("module.predictor.*", "prediction head of the training"),
            drop("module.momentum_encoder.*", "the slow copy that gives the targets"),
            prefixes=("base_encoder.",),
        ),
    ),
)

MIRROR = "The authors publish at dl.fbaipublicfiles.com/moco-v3; this is NYU's copy of it."

ROWS = (
    MOCO_V3.model(
        "moco-v3-s16",
        # 12 heads of 32, not the 6 of other small ViTs: six load without a word and give noise
        config=ViTConfig(width=384, depth=12, heads=12, hidden=1536),
        weights=WeightsSpec(
            source="none",
            files=("vit-s-300ep.pth.tar", "model.safetensors"),
            layout="timm",
            reason="no repository holds them, and no hash is known of the authors' file "
            "https://dl.fbaipublicfiles.com/moco-v3/vit-s-300ep/vit-s-300ep.pth.tar; "
            "fetch it yourself and pass weights=PATH",
        ),
        preprocess=ImagePreprocess(size=(224, 224), resize=256, resample="bilinear"),
        inputs=pixels(16),
        params=21_665_664,
        note="Has 12 heads, where DeiT's and timm's small ViT have 6.",
        source=SOURCE,
    ),
    MOCO_V3.model(
        "moco-v3-b16",
        config=ViTConfig(width=768, depth=12, heads=12, hidden=3072),
        weights=WeightsSpec(
            source="hf:nyu-visionx/moco-v3-vit-b",
            revision="7d091cd70772c5c0ecf7f00b5f12ca609a99d69d",
            layout="timm",
            note=MIRROR,
        ),
        preprocess=ImagePreprocess(size=(224, 224), resize=256),
        inputs=pixels(16),
        params=85_798_656,
        aliases=("moco-v3",),
        source=SOURCE,
    ),
    MOCO_V3.model(
        "moco-v3-l16",
        config=ViTConfig(width=1024, depth=24, heads=16, hidden=4096),
        weights=WeightsSpec(
            source="hf:nyu-visionx/moco-v3-vit-l",
            revision="7bf75358d616f39b9716148bf4e3425f3bd35b47",
            layout="timm",
            note=MIRROR,
        ),
        preprocess=ImagePreprocess(size=(224, 224), resize=256),
        inputs=pixels(16),
        params=303_301_632,
        source=SOURCE,
    ),
)
