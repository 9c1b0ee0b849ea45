"""CLIP: OpenAI's image and text towers, trained to agree on 400 million pairs.

Numbers: open_clip's model_configs/ViT-*-quickgelu.json (version 3.3.0).
"""

from __future__ import annotations

from zoo.spec import Family, ModelSpec, WeightsSpec
from zoo_multimodal.clip_text_config import ClipTextConfig
from zoo_multimodal.families.clip_keys import IMAGE_KEYMAPS, TEXT_KEYMAPS
from zoo_multimodal.families.towers import Pair, families, towers
from zoo_vision.vit_config import ViTConfig

SOURCE = "https://github.com/mlfoundations/open_clip/tree/v3.3.0/src/open_clip/model_configs"

CLIP = families(
    Family(
        name="clip",
        title="Learning Transferable Visual Models From Natural Language Supervision",
        authors="Radford, Alec and others",
        arxiv="2103.00020",
        year=2021,
        objective="image-text contrastive (InfoNCE), WIT-400M",
        license="mit",
        modality="image",
        keymaps=IMAGE_KEYMAPS,
    ),
    text_keymaps=TEXT_KEYMAPS,
    languages=("en",),
)

NOTE = (
    "Trained with quick_gelu. The weights are OpenAI's own repository in transformers' layout, "
    "since its commits are known and those of timm's copy are not. All CLIPs share one tokenizer "
    "file. The licence is that of OpenAI's release; the repository names none. Vectors are not "
    "normalised, as in the authors' encode_image."
)


def image_config(
    width: int, depth: int, heads: int, *, patch: int, projection: int, size: int = 224
) -> ViTConfig:
    """Return an image tower of CLIP."""
    return ViTConfig(
        width=width,
        depth=depth,
        heads=heads,
        hidden=4 * width,
        image_size=(size, size),
        patch=patch,
        activation="quick_gelu",
        norm_eps=1e-5,
        patch_bias=False,
        pre_norm=True,
        position_antialias=True,
        projection=projection,
    )


def text_config(width: int, depth: int, heads: int, *, projection: int) -> ClipTextConfig:
    """Return a text tower of CLIP."""
    return ClipTextConfig(
        width=width,
        depth=depth,
        heads=heads,
        hidden=4 * width,
        projection=projection,
        activation="quick_gelu",
    )


B32 = Pair(
    image=image_config(768, 12, 12, patch=32, projection=512),
    text=text_config(512, 12, 8, projection=512),
)
B16 = Pair(
    image=image_config(768, 12, 12, patch=16, projection=512),
    text=text_config(512, 12, 8, projection=512),
)
L14 = Pair(
    image=image_config(1024, 24, 16, patch=14, projection=768),
    text=text_config(768, 12, 12, projection=768),
)
L14_336 = Pair(
    image=image_config(1024, 24, 16, patch=14, projection=768, size=336),
    text=text_config(768, 12, 12, projection=768),
)


def _weights(repo: str, revision: str | None) -> WeightsSpec:
    return WeightsSpec(source=repo, revision=revision, layout="transformers")


ROWS: tuple[ModelSpec, ...] = (
    *towers(
        CLIP,
        "clip-b32",
        image="clip-b32-image",
        text="clip-b32-text",
        pair=B32,
        weights=_weights(
            "hf:openai/clip-vit-base-patch32", "3d74acf9a28c67741b2f4f2ea7635f0aaf6f0268"
        ),
        params=(87_849_216, 63_428_096),
        aliases=("clip",),
        note=NOTE,
        source=SOURCE,
    ),
    *towers(
        CLIP,
        "clip-b16",
        image="clip-b16-image",
        text="clip-b16-text",
        pair=B16,
        weights=_weights(
            "hf:openai/clip-vit-base-patch16", "57c216476eefef5ab752ec549e440a49ae4ae5f3"
        ),
        params=(86_192_640, 63_428_096),
        note=NOTE,
        source=SOURCE,
    ),
    *towers(
        CLIP,
        "clip-l14",
        image="clip-l14-image",
        text="clip-l14-text",
        pair=L14,
        weights=_weights(
            "hf:openai/clip-vit-large-patch14", "32bd64288804d66eefd0ccbe215aa642df71cc41"
        ),
        params=(303_966_208, 123_650_304),
        note=NOTE,
        source=SOURCE,
    ),
    *towers(
        CLIP,
        "clip-l14-336",
        image="clip-l14-336-image",
        text="clip-l14-336-text",
        pair=L14_336,
        weights=_weights("hf:openai/clip-vit-large-patch14-336", None),
        params=(304_293_888, 123_650_304),
        note=NOTE,
        source=SOURCE,
    ),
)
