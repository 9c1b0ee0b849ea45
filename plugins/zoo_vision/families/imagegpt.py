"""iGPT: pixels predicted one after the other, read in the middle layer.

Chen et al., Generative Pretraining from Pixels, ICML 2020. Numbers: transformers 5.23,
models/imagegpt; the beginning before the first pixel, and which norm is read: the authors'
src/model.py (openai/image-gpt at 59c875e) and sections 2.3 and 2.4 of the paper.
"""

from __future__ import annotations

from zoo.keys import KeyMap, drop, move
from zoo.spec import BATCH, Family, ImagePreprocess, ModelSpec, TensorSpec, WeightsSpec
from zoo_vision.imagegpt_config import ImageGptConfig

SOURCE = (
    "https://github.com/openai/image-gpt/blob/59c875e031ac635ce774e19d967eb5c99608cf6d/src/model.py"
)
PALETTE = "palette."  # of the keys of preprocessor_config.json
LATER = "after the layer that is read"


def keymap(depth: int) -> KeyMap:
    """Return the names in a file that transformers wrote, read after so many blocks."""
    rules = [
        move(f"{PALETTE}clusters", "palette.clusters"),
        move("wte.weight", "embedding.weight"),
        move("wpe.weight", "positions.weight"),
        drop("h.{i}.attn.bias", "buffer that is made, not learned"),
        drop("h.{i}.attn.masked_bias", "buffer that is made, not learned"),
    ]
    for index in range(depth):
        theirs, ours = f"h.{index}", f"blocks.{index}"
        rules += [
            move(f"{theirs}.ln_1.weight", f"{ours}.norm1.weight"),
            move(f"{theirs}.ln_2.weight", f"{ours}.norm2.weight"),
        ]
        for layer, name in (
            ("attn.c_attn", "attention.qkv"),
            ("attn.c_proj", "attention.proj"),
            ("mlp.c_fc", "mlp.fc1"),
            ("mlp.c_proj", "mlp.fc2"),
        ):  # Conv1D: inputs first
            rules += [
                move(f"{theirs}.{layer}.weight", f"{ours}.{name}.weight", transpose=True),
                move(f"{theirs}.{layer}.bias", f"{ours}.{name}.bias"),
            ]
    rules += [
        move(f"h.{depth}.ln_1.weight", "norm.weight"),
        drop("h.*", LATER),
        drop("ln_f.weight", LATER),
        drop("lm_head.weight", "predicts the next pixel"),
        drop("score.weight", "classifier over labels"),
    ]
    return KeyMap(name=f"transformers, {depth} blocks", rules=tuple(rules),
                  prefixes=("transformer.",))  # fmt: skip


# Half of the blocks of each size.
SMALL = ImageGptConfig(width=512, depth=12, heads=8)
MEDIUM = ImageGptConfig(width=1024, depth=18, heads=8)
LARGE = ImageGptConfig(width=1536, depth=24, heads=16)

IGPT = Family(
    name="igpt",
    title="Generative Pretraining from Pixels",
    authors="Chen, Mark and others",
    url="https://cdn.openai.com/papers/Generative_Pretraining_from_Pixels_V2.pdf",
    year=2020,
    objective="autoregressive prediction of pixels' colours, ImageNet-1k",
    license="apache-2.0",
    modality="image",
    keymaps=tuple(keymap(config.depth) for config in (SMALL, MEDIUM, LARGE)),
)


def _igpt(name: str, repo: str, config: ImageGptConfig, params: int) -> ModelSpec:
    height, width = config.image_size
    return IGPT.model(
        name,
        config=config,
        weights=WeightsSpec(
            source=repo,
            files=("pytorch_model.bin", "model.safetensors"),
            parts={PALETTE: "preprocessor_config.json"},
            layout="transformers",
            note="The colours stand in preprocessor_config.json; without them nothing loads.",
        ),
        preprocess=ImagePreprocess(
            size=config.image_size, resize=None, resample="bilinear", mean=(0.5,) * 3,
            std=(0.5,) * 3,
        ),
        inputs=(TensorSpec(name="pixels", dtype="float32", shape=(BATCH, 3, height, width)),),
        params=params,
        note=f"Read after {config.depth} of {2 * config.depth} blocks, through the norm that the "
        "next one begins with, as the authors' linear probes are; that features are best near the "
        "middle is the paper's, the very middle our choice. Later blocks are not loaded. "
        "In a lower type than float32 pixels and colours are rounded, so that some pixels fall to "
        "a neighbouring colour.",
        source=SOURCE,
    )  # fmt: skip


ROWS = (
    _igpt("igpt-s", "hf:openai/imagegpt-small", SMALL, 38_603_776),
    _igpt("igpt-m", "hf:openai/imagegpt-medium", MEDIUM, 228_270_080),
    _igpt("igpt-l", "hf:openai/imagegpt-large", LARGE, 682_245_120),
)
