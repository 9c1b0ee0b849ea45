"""Read a SentencePiece model without its library: a protocol buffer with pieces and their scores.

Fields by number, from sentencepiece_model.proto (github.com/google/sentencepiece, 0.2): 1 pieces
(1 text, 2 score, 3 kind), 2 training (3 algorithm, 40 id of the unknown), 3 normaliser (2 table of
characters). No torch.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from tokenizers import AddedToken, Regex, Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import Unigram

from zoo.errors import FormatError

_UNIGRAM = 1
_UNKNOWN, _CONTROL, _USER_DEFINED = 2, 3, 4
_SPACE = "\u2581"

Value = int | bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A token.

    Attributes:
        text: Its characters, spaces written as U+2581.
        score: Logarithm of its probability.
        kind: 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte.
    """

    text: str
    score: float
    kind: int


def sentence_piece_tokenizer(data: bytes) -> Tokenizer:
    """Return the tokenizer of a model's bytes, without what it puts before and after a text.

    Raises:
        FormatError: They are no such model, or one of another kind than unigrams.
    """
    pieces: list[Piece] = []
    training: dict[int, Value] = {}
    normalizer: dict[int, Value] = {}
    for number, value in _fields(data):
        if number == 1:
            pieces.append(_piece(dict(_fields(_bytes(value)))))
        elif number == 2:
            training = dict(_fields(_bytes(value)))
        elif number == 3:
            normalizer = dict(_fields(_bytes(value)))
    if not pieces or training.get(3, _UNIGRAM) != _UNIGRAM:
        raise FormatError("It is no SentencePiece model of unigrams.")
    unknown = next((i for i, piece in enumerate(pieces) if piece.kind == _UNKNOWN), None)
    model = Unigram([(piece.text, piece.score) for piece in pieces], unk_id=unknown)
    tokenizer = Tokenizer(model)
    table = _bytes(normalizer.get(2, b""))
    tokenizer.normalizer = normalizers.Sequence(
        [
            *([normalizers.Precompiled(table)] if table else []),
            normalizers.Replace(Regex(" {2,}"), " "),
            normalizers.Strip(),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement=_SPACE, prepend_scheme="always")
    tokenizer.add_special_tokens(
        [piece.text for piece in pieces if piece.kind in (_UNKNOWN, _CONTROL)]
    )
    tokenizer.add_tokens(
        [AddedToken(piece.text, normalized=False)
         for piece in pieces if piece.kind == _USER_DEFINED]
    )  # fmt: skip
    return tokenizer


def _piece(fields: dict[int, Value]) -> Piece:
    kind, score = fields.get(3, 1), _bytes(fields.get(2, bytes(4)))
    if not isinstance(kind, int) or len(score) != 4:
        raise FormatError("A piece of the SentencePiece model is broken.")
    (number,) = struct.unpack("<f", score)
    return Piece(text=_bytes(fields.get(1, b"")).decode(), score=number, kind=kind)


def _fields(data: bytes) -> Iterator[tuple[int, Value]]:
    """Yield the number and value of each field of a message."""
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, place = _varint(data, place)
            yield number, value
            continue
        if wire == 2:
            size, place = _varint(data, place)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise FormatError(f"A SentencePiece model has no fields of wire type {wire}.")
        if place + size > len(data):
            raise FormatError("The SentencePiece model is cut off.")
        yield number, data[place : place + size]
        place += size


def _varint(data: bytes, place: int) -> tuple[int, int]:
    """Return a number of seven bits a byte, and the place after it."""
    value = 0
    for shift in range(0, 70, 7):
        if place >= len(data):
            raise FormatError("The SentencePiece model is cut off.")
        byte = data[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, place
    raise FormatError("The SentencePiece model holds a number of more than 64 bits.")


def _bytes(value: Value) -> bytes:
    if not isinstance(value, bytes):
        raise FormatError("The SentencePiece model has a number where a message belongs.")
    return value
