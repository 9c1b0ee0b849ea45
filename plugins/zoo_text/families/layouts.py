"""Key tables of the BERT-like checkpoints. No torch.

Names come from files that transformers 5.23 writes and from the published all-MiniLM-L6-v2; older
spellings (`gamma`, `beta`, buffers of positions) from the loaders of transformers 4.30.
"""

from __future__ import annotations

from zoo.keys import KeyMap, Rule, drop, merge, move

# Old TensorFlow names of a norm's scale and shift; google-bert's files still have them.
GAMMA_BETA = (("LayerNorm.gamma", "LayerNorm.weight"), ("LayerNorm.beta", "LayerNorm.bias"))

_EMBEDDINGS = (
    move("embeddings.word_embeddings.weight", "embeddings.words.weight"),
    move("embeddings.position_embeddings.weight", "embeddings.positions.weight"),
    move("embeddings.token_type_embeddings.weight", "embeddings.types.weight"),
    move("embeddings.LayerNorm.{wb}", "embeddings.norm.{wb}"),
    drop("embeddings.position_ids", "a buffer of consecutive numbers"),
    drop("embeddings.token_type_ids", "a buffer of zeros"),
)
# Written by sentence-transformers into a file of its own; the row says under which prefix.
DENSE = (move("dense.{i}.linear.{wb}", "dense.{i}.{wb}"),)

_HEADS = tuple(
    drop(head, "a head of pretraining or of a task")
    for head in (
        "cls.*",
        "lm_head.*",
        "classifier.*",
        "qa_outputs.*",
        "discriminator_predictions.*",
        "generator_predictions.*",
        "generator_lm_head.*",
        "vocab_transform.*",
        "vocab_layer_norm.*",
        "vocab_projector.*",
        "pre_classifier.*",
    )
)


def _blocks() -> tuple[Rule, ...]:
    layer, block = "encoder.layer.{i}.", "blocks.{i}."
    names = ("query", "key", "value")
    return (
        *(merge([f"{layer}attention.self.{name}.{kind}" for name in names],
                f"{block}attention.qkv.{kind}") for kind in ("weight", "bias")),
        move(layer + "attention.output.dense.{wb}", block + "attention.proj.{wb}"),
        move(layer + "attention.output.LayerNorm.{wb}", block + "attention_norm.{wb}"),
        move(layer + "intermediate.dense.{wb}", block + "mlp.fc1.{wb}"),
        move(layer + "output.dense.{wb}", block + "mlp.fc2.{wb}"),
        move(layer + "output.LayerNorm.{wb}", block + "mlp_norm.{wb}"),
    )  # fmt: skip


def _distil_blocks(layer: str) -> tuple[Rule, ...]:
    block = "blocks.{i}."
    return (
        *(merge([f"{layer}attention.{name}_lin.{kind}" for name in "qkv"],
                f"{block}attention.qkv.{kind}") for kind in ("weight", "bias")),
        move(layer + "attention.out_lin.{wb}", block + "attention.proj.{wb}"),
        move(layer + "sa_layer_norm.{wb}", block + "attention_norm.{wb}"),
        move(layer + "ffn.lin1.{wb}", block + "mlp.fc1.{wb}"),
        move(layer + "ffn.lin2.{wb}", block + "mlp.fc2.{wb}"),
        move(layer + "output_layer_norm.{wb}", block + "mlp_norm.{wb}"),
    )  # fmt: skip


def _bert(name: str, pooler: Rule) -> KeyMap:
    return KeyMap(
        name=name,
        prefixes=("bert.", "roberta.", "electra."),
        renames=GAMMA_BETA,
        rules=(
            *_EMBEDDINGS,
            move("embeddings_project.{wb}", "project.{wb}"),
            *_blocks(),
            pooler,
            *DENSE,
            *_HEADS,
        ),
    )


# The same file serves a network with a pooler and one without: the one that fits exactly is taken.
BERT = (
    _bert("transformers BERT, pooler left out", drop("pooler.dense.{wb}", "pooling is another")),
    _bert("transformers BERT, with its pooler", move("pooler.dense.{wb}", "pooler.{wb}")),
)
DISTILBERT = (
    KeyMap(
        name="transformers DistilBERT",
        prefixes=("distilbert.",),
        rules=(
            *_EMBEDDINGS,
            *_distil_blocks("transformer.layer.{i}."),
            *_distil_blocks("encoder.layer.{i}."),
            *DENSE,
            *_HEADS,
        ),
    ),
)
