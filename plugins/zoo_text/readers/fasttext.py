"""fastText's own binary files: words and the rows of words and character sequences.

facebookresearch/fastText, src/fasttext.cc, src/args.cc, src/dictionary.cc, src/densematrix.cc
(MIT): version 12, little endian. No torch at import.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from zoo.errors import FormatError
from zoo.weights.cache import disk_errors
from zoo_text.readers.packing import pack_words

if TYPE_CHECKING:
    import torch

MAGIC, VERSION = 793712314, 12
SUPERVISED = 3  # of the kinds of model: 1 CBOW, 2 skip-gram
LONGEST_WORD = 65_536  # bytes


def read_model(path: Path, *, entry: str) -> Mapping[str, torch.Tensor]:
    """Return `input` and the words; a file of PyTorch's with the same ending is read as such.

    The matrix of the training's output is left out. `entry` is for PyTorch's files.

    Raises:
        FormatError: It is broken, quantised, supervised or of another version.
    """
    import torch

    from zoo.weights import pickles

    with disk_errors(path), path.open("rb") as file:
        if file.read(4) != struct.pack("<i", MAGIC):
            return pickles.read_tensors(path, entry=entry)
        try:
            words, numbers = _read_head(file, path)
            quantised, rows, columns = struct.unpack("<?qq", file.read(17))
        except struct.error as error:
            raise FormatError(f"{path} ends early: {error}. Fetch it again.") from error
        start = file.tell()
    if quantised:
        raise FormatError(f"{path} is quantised; only plain vectors are read.")
    size = path.stat().st_size
    if rows < 1 or columns < 1 or start + 4 * rows * columns > size:
        raise FormatError(f"{path} announces {rows} x {columns} numbers, more than it holds.")
    matrix = np.memmap(path, "<f4", mode="c", offset=start, shape=(rows, columns))
    packed = pack_words(words, path)
    return {
        "input": torch.from_numpy(matrix),
        "ngrams": torch.tensor(numbers, dtype=torch.int64),
        **{f"vocab.{name}": tensor for name, tensor in packed.items()},
    }


def _read_head(file: BinaryIO, path: Path) -> tuple[list[bytes], list[int]]:
    """Return the words, and fewest and most characters of a sequence with their buckets."""
    (version,) = struct.unpack("<i", file.read(4))
    if version != VERSION:
        raise FormatError(f"{path} is of fastText's version {version}; {VERSION} is read.")
    # dim, ws, epoch, minCount, neg, wordNgrams, loss, model, bucket, minn, maxn, lrUpdateRate, t
    numbers = struct.unpack("<12id", file.read(56))
    kind, buckets, least, most = numbers[7:11]
    if kind == SUPERVISED:
        raise FormatError(f"{path} is a classifier; only vectors of words are read.")
    size, count, labels, _tokens, pruned = struct.unpack("<iiiqq", file.read(28))
    if labels or size != count or pruned > 0:
        raise FormatError(f"{path} has labels or pruned sequences; plain vectors have neither.")
    words = []
    for _ in range(size):
        words.append(_read_word(file, path))
        struct.unpack("<qb", file.read(9))  # how often it was seen, and what it is
    return words, [least, most, buckets]


def _read_word(file: BinaryIO, path: Path) -> bytes:
    word = bytearray()
    while (byte := file.read(1)) != b"\0":
        word += byte
        if not byte or len(word) > LONGEST_WORD:
            raise FormatError(f"{path} ends, or never does, within a word. Fetch it again.")
    return bytes(word)
