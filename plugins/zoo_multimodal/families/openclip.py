"""OpenCLIP: CLIP trained again, in the open, on LAION-2B and DataComp-1B.

Numbers: open_clip's model_configs/ViT-*.json and pretrained.py (version 3.3.0).
"""

from __future__ import annotations

from dataclasses import replace

from zoo.spec import Family, ImagePreprocess, ModelSpec, Paper, WeightsSpec
from zoo_multimodal.families import clip
from zoo_multimodal.families.clip_keys import IMAGE_KEYMAPS, TEXT_KEYMAPS
from zoo_multimodal.families.towers import Pair, families, image_preprocess, towers
from zoo_vision.processing import HALVES

SOURCE = "https://github.com/mlfoundations/open_clip/blob/v3.3.0/src/open_clip/pretrained.py"

OPENCLIP = families(
    Family(
        name="openclip",
        title="Reproducible scaling laws for contrastive language-image learning",
        authors="Cherti, Mehdi and others",
        arxiv="2212.07143",
        year=2022,
        objective="image-text contrastive (InfoNCE), LAION-2B",
        license="mit",
        modality="image",
        keymaps=IMAGE_KEYMAPS,
    ),
    text_keymaps=TEXT_KEYMAPS,
    languages=("en",),
)
DATACOMP = Paper(
    title="DataComp: In search of the next generation of multimodal datasets",
    authors="Gadre, Samir Yitzhak and others",
    arxiv="2304.14108",
    year=2023,
)
DATACOMP_OBJECTIVE = "image-text contrastive (InfoNCE), DataComp-1B"

NOTE = (
    "Trained with exact GELU, not quick_gelu. Vectors are not normalised, as in open_clip's "
    "encode_image. The tokenizer is OpenAI's, whose file lies in one pinned repository."
)
NOTE_L14 = f"{NOTE} Pixels are scaled to [-1, 1], unlike every other CLIP's."


def _gelu(pair: Pair) -> Pair:
    """Return the same sizes with exact GELU."""
    return Pair(
        image=replace(pair.image, activation="gelu"), text=replace(pair.text, activation="gelu")
    )


B32 = _gelu(clip.B32)
B16 = _gelu(clip.B16)
L14 = _gelu(clip.L14)
H14 = _gelu(
    Pair(
        image=clip.image_config(1280, 32, 16, patch=14, projection=1024),
        text=clip.text_config(1024, 24, 16, projection=1024),
    )
)
BIGG14 = _gelu(
    Pair(
        image=replace(
            clip.image_config(1664, 48, 16, patch=14, projection=1280), hidden=8192
        ),  # 4.9231 * 1664
        text=clip.text_config(1280, 32, 20, projection=1280),
    )
)


def _rows(
    name: str,
    *,
    image: str,
    text: str,
    pair: Pair,
    repo: str,
    revision: str | None,
    params: tuple[int, int],
    preprocess: ImagePreprocess | None = None,
    objective: str | None = None,
    papers: tuple[Paper, ...] = (),
    aliases: tuple[str, ...] = (),
    note: str = NOTE,
) -> tuple[ModelSpec, ModelSpec]:
    return towers(
        OPENCLIP,
        name,
        image=image,
        text=text,
        pair=pair,
        weights=WeightsSpec(
            source=repo,
            files=("open_clip_model.safetensors", "open_clip_pytorch_model.bin"),
            revision=revision,
            layout="open_clip",
        ),
        params=params,
        preprocess=preprocess,
        objective=objective,
        papers=papers,
        aliases=aliases,
        note=note,
        source=SOURCE,
    )


ROWS: tuple[ModelSpec, ...] = (
    *_rows(
        "openclip-b32",
        image="openclip-b32-image",
        text="openclip-b32-text",
        pair=B32,
        repo="hf:laion/CLIP-ViT-B-32-laion2B-s34B-b79K",
        revision="08f73555f1b2fb7c82058aebbd492887a94968ef",
        params=(87_849_216, 63_428_096),
        aliases=("openclip",),
    ),
    *_rows(
        "openclip-b16",
        image="openclip-b16-image",
        text="openclip-b16-text",
        pair=B16,
        repo="hf:laion/CLIP-ViT-B-16-laion2B-s34B-b88K",
        revision=None,
        params=(86_192_640, 63_428_096),
    ),
    *_rows(
        "openclip-b16-datacomp",
        image="openclip-b16-datacomp-image",
        text="openclip-b16-datacomp-text",
        pair=B16,
        repo="hf:laion/CLIP-ViT-B-16-DataComp.XL-s13B-b90K",
        revision="d110532e8d4ff91c574ee60a342323f28468b287",
        params=(86_192_640, 63_428_096),
        objective=DATACOMP_OBJECTIVE,
        papers=(DATACOMP,),
    ),
    *_rows(
        "openclip-l14",
        image="openclip-l14-image",
        text="openclip-l14-text",
        pair=L14,
        repo="hf:laion/CLIP-ViT-L-14-laion2B-s32B-b82K",
        revision="1627032197142fbe2a7cfec626f4ced3ae60d07a",
        params=(303_966_208, 123_650_304),
        preprocess=image_preprocess(224, mean=HALVES, std=HALVES),
        note=NOTE_L14,
    ),
    *_rows(
        "openclip-l14-datacomp",
        image="openclip-l14-datacomp-image",
        text="openclip-l14-datacomp-text",
        pair=L14,
        repo="hf:laion/CLIP-ViT-L-14-DataComp.XL-s13B-b90K",
        revision="84c9828e63dc9a9351d1fe637c346d4c1c4db341",
        params=(303_966_208, 123_650_304),
        objective=DATACOMP_OBJECTIVE,
        papers=(DATACOMP,),
    ),
    *_rows(
        "openclip-h14",
        image="openclip-h14-image",
        text="openclip-h14-text",
        pair=H14,
        repo="hf:laion/CLIP-ViT-H-14-laion2B-s32B-b79K",
        revision="de081ac0a0ca8dc9d1533eed1ae884bb8ae1404b",
        params=(632_076_800, 354_032_640),
    ),
    *_rows(
        "openclip-bigg14",
        image="openclip-bigg14-image",
        text="openclip-bigg14-text",
        pair=BIGG14,
        repo="hf:laion/CLIP-ViT-bigG-14-laion2B-39B-b160k",
        revision="bc7788f151930d91b58474715fdce5524ad9a189",
        params=(1_844_907_264, 694_659_840),
    ),
)
