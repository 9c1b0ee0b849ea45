"""DeBERTa v3: what is easily done wrong, and its SentencePiece vocabulary."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
import torch
from safetensors.torch import load_file

from tests.bert_references import edit_json
from tests.reference import FLOAT64, make_live, relative_error
from tests.test_text_preprocess import NASTY
from tests.text_kinds import DEBERTA, ids_and_mask, live, load, reference, run, save
from zoo.errors import FormatError, UnsupportedCheckpointError
from zoo.preprocess import Sample
from zoo.preprocess.text import TextPreprocessor
from zoo.spec import TextPreprocess
from zoo_text.families.deberta import BASE, MODELS
from zoo_text.nets.deberta import Attention, Deberta

SPECIAL = ("[CLS]", "[SEP]", "[MASK]", "[PAD]", "[UNK]")


def net_of(**changes: Any) -> Deberta:
    net = live(replace(DEBERTA, **changes))
    assert isinstance(net, Deberta)
    return net


@torch.no_grad()
def test_a_score_is_three_parts_over_the_root_of_three_head_widths() -> None:
    attention = make_live(Attention(DEBERTA).double())
    net, tokens = net_of(), 30
    x = torch.randn(1, tokens, 32, dtype=torch.float64)
    table, rows = net.distances(tokens)

    def heads(name: str, value: torch.Tensor) -> torch.Tensor:
        return getattr(attention, name)(value)[0].reshape(-1, 4, 8).transpose(0, 1)  # (H, N, E)

    q, k, v, far_q, far_k = (heads("q", x), heads("k", x), heads("v", x), heads("q", table),
                             heads("k", table))  # fmt: skip
    scores = torch.empty(4, tokens, tokens, dtype=torch.float64)
    for query in range(tokens):
        for key in range(tokens):
            row = DEBERTA.bucket(key - query)
            scores[:, query, key] = (
                (q[:, query] * k[:, key]).sum(-1)
                + (q[:, query] * far_k[:, row]).sum(-1)
                + (far_q[:, row] * k[:, key]).sum(-1)
            ) / (3 * 8) ** 0.5
    expected = (scores.softmax(-1) @ v).transpose(0, 1).flatten(1)

    found = attention(x, table, rows, None)[0]
    assert relative_error(found, getattr(attention, "proj")(expected)) <= FLOAT64  # noqa: B009


@pytest.mark.parametrize("config", [BASE, DEBERTA, BASE.tiny()], ids=["base", "test", "tiny"])
def test_each_distance_has_the_references_row(config: Any) -> None:
    from transformers.models.deberta_v2.modeling_deberta_v2 import make_log_bucket_position

    distances = torch.arange(-1200, 1201)
    rows = make_log_bucket_position(-distances, config.buckets, config.max_distance).long()
    expected = (rows + config.buckets).clamp(0, 2 * config.buckets - 1)

    assert [config.bucket(distance) for distance in distances.tolist()] == expected.tolist()
    far = config.max_distance
    assert config.bucket(far) == config.bucket(5 * far) == 0
    assert config.bucket(-far) == config.bucket(-5 * far) == 2 * config.buckets - 1


@torch.no_grad()
def test_the_table_of_distances_is_normalised() -> None:
    net = net_of()
    table, _ = net.distances(5)

    weight = net.distances.table.weight
    expected = torch.nn.functional.layer_norm(
        weight, (32,), net.distances.norm.weight, net.distances.norm.bias, 1e-7
    )

    assert relative_error(table[0], expected) <= FLOAT64
    assert relative_error(table[0], weight) > 0.1


def test_no_position_is_added_to_the_input() -> None:
    names = [name for name, _ in net_of().named_parameters()]

    assert [name for name in names if name.startswith("embeddings")] == [
        "embeddings.words.weight", "embeddings.norm.weight", "embeddings.norm.bias",
    ]  # fmt: skip


def test_a_pickle_in_half_precision_is_computed_in_full(tmp_path: Path) -> None:
    folder = save(reference("deberta", headed=True, dtype=torch.float16), tmp_path)
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    ids, mask = ids_and_mask(DEBERTA, 9)
    found = []
    for dtype in (torch.float16, torch.float64):
        torch.save({key: tensor.to(dtype) for key, tensor in tensors.items()},
                   folder / "pytorch_model.bin")  # fmt: skip
        found.append(run(load(folder), ids, mask).pooled)

    assert tensors["deberta.encoder.rel_embeddings.weight"].dtype == torch.float16
    assert relative_error(*found) <= FLOAT64


def save_pieces(folder: Path) -> Path:
    """Train a SentencePiece model with DeBERTa's special pieces by its own library."""
    made = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([text.replace("\0", "") for text in NASTY * 5]),
        model_writer=made,
        vocab_size=220,
        model_type="unigram",
        pad_id=0,
        bos_id=1,
        eos_id=2,
        unk_id=3,
        pad_piece="[PAD]",
        bos_piece="[CLS]",
        eos_piece="[SEP]",
        unk_piece="[UNK]",
        user_defined_symbols=["naive"],
        hard_vocab_limit=False,
        max_sentence_length=10000,
        minloglevel=2,
    )
    path = folder / "spm.model"
    path.write_bytes(made.getvalue())
    return path


@pytest.fixture(scope="module")
def pieces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_pieces(tmp_path_factory.mktemp("pieces"))


def ids_of(path: Path, texts: list[str], max_length: int = 4096) -> list[Any]:
    ours = TextPreprocessor(TextPreprocess(max_length=max_length), path)
    return [sample.arrays["input_ids"].tolist()
            for sample in ours.prepare(texts) if isinstance(sample, Sample)]  # fmt: skip


def test_pieces_equal_those_of_the_library(pieces: Path) -> None:
    library = sentencepiece.SentencePieceProcessor(model_file=str(pieces))
    plain = [text for text in NASTY if not any(one in text for one in SPECIAL)]
    assert len(plain) >= len(NASTY) - 1

    found = ids_of(pieces, plain)

    assert found == [[1, *library.encode(text), 2] for text in plain]
    assert len({token for row in found for token in row}) > 100


def test_special_tokens_in_a_text_are_special_as_in_transformers(pieces: Path) -> None:
    library = sentencepiece.SentencePieceProcessor(model_file=str(pieces))
    (mask,) = {library.get_piece_size()}

    assert ids_of(pieces, ["[SEP]", "[MASK]"]) == [[1, 2, 2], [1, mask, 2]]


def test_a_piece_that_its_makers_asked_for_is_never_cut(pieces: Path) -> None:
    library = sentencepiece.SentencePieceProcessor(model_file=str(pieces))
    (symbol,) = [library.piece_to_id("naive")]

    assert symbol in library.encode("so naive a")
    assert symbol in ids_of(pieces, ["so naive a"])[0]


def test_the_mask_comes_after_the_last_piece_and_the_table_has_rows_to_spare(pieces: Path) -> None:
    library = sentencepiece.SentencePieceProcessor(model_file=str(pieces))
    tokenizer = TextPreprocessor(TextPreprocess(max_length=8), pieces).tokenizer

    assert tokenizer.token_to_id("[MASK]") == library.get_piece_size()
    assert {row.config.vocab for row in MODELS if row.name != "mdeberta-v3-base"} == {128_100}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: b"", "no SentencePiece model"),
        (lambda data: data[: len(data) // 2], "cut off"),
        (lambda data: b"\x0a\x03\x12\x01a", "piece .* is broken"),
        (lambda data: b"\x0b", "wire type 3"),
        (lambda data: b"\xff" * 12, "more than 64 bits"),
        (lambda data: b"\x08\x01", "number where a message"),
        (lambda data: data.replace(b"[CLS]", b"[CLX]"), r"lacks the special token\(s\) \[CLS\]"),
    ],
)
def test_a_broken_model_of_pieces_is_a_format_error(
    pieces: Path, change: Any, message: str, tmp_path: Path
) -> None:
    (tmp_path / "spm.model").write_bytes(change(pieces.read_bytes()))

    with pytest.raises(FormatError, match=message):
        TextPreprocessor(TextPreprocess(max_length=8), tmp_path / "spm.model")


def test_a_folder_with_pieces_alone_is_loaded(pieces: Path, tmp_path: Path) -> None:
    small = replace(DEBERTA, vocab=220)
    from tests.text_kinds import KINDS

    model = make_live(KINDS["deberta"].make(small))
    folder = save(model, tmp_path / "model")
    (folder / "tokenizer.json").unlink()
    (folder / "spm.model").write_bytes(pieces.read_bytes())

    assert load(folder, torch.float32).encode(["plain words", ""]).shape == (2, 32)


@pytest.mark.parametrize(
    "changes",
    [
        {"share_att_key": False},
        {"pos_att_type": "c2p"},
        {"norm_rel_ebd": "none"},
        {"position_biased_input": True},
        {"relative_attention": False},
        {"type_vocab_size": 2},
        {"conv_kernel_size": 3},
        {"embedding_size": 16},
    ],
)
def test_what_version_three_does_not_compute_is_refused(
    changes: dict[str, Any], tmp_path: Path
) -> None:
    folder = save(reference("deberta"), tmp_path)
    edit_json(folder / "config.json", **changes)

    with pytest.raises(UnsupportedCheckpointError, match=next(iter(changes))):
        load(folder)
