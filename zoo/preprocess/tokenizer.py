"""Build a fast tokenizer out of the files that checkpoints ship. No torch.

Four kinds: `tokenizer.json` (any kind, complete), a word-piece `vocab.txt` (BERT's), `vocab.json`
beside `merges.txt` (RoBERTa's byte-level pairs), and a SentencePiece `spm.model` (DeBERTa's). The
last three say little or nothing of special tokens; they get those of the authors' own tokenizers.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers.models import BPE, WordPiece

from zoo.errors import FormatError
from zoo.preprocess.sentencepiece import sentence_piece_tokenizer
from zoo.spec import COMPANIONS

_WORD_PIECE_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_BYTE_PAIR_SPECIAL = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")


def read_tokenizer(path: Path, *, lower: bool) -> Tokenizer:
    """Return the tokenizer of a file, with neither padding nor truncation.

    Args:
        path: A `tokenizer.json`, `vocab.txt`, `spm.model` (DeBERTa's), `spiece.model` (which says
            nothing of special tokens), or `vocab.json` with `merges.txt` beside it.
        lower: Lower-case and strip accents; only for `vocab.txt`, which does not say.

    Raises:
        FormatError: The file is broken, or lacks a special token.
    """
    with rust_errors(f"{path} is no tokenizer that can be read"):
        if path.name.endswith("vocab.txt"):
            tokenizer = _word_piece(path, lower=lower)
        elif path.name.endswith("spm.model"):
            tokenizer = _sentence_piece(path)
        elif path.name.endswith("spiece.model"):
            tokenizer = sentence_piece_tokenizer(path.read_bytes())
        elif path.name in COMPANIONS:
            tokenizer = _byte_pairs(path, path.with_name(COMPANIONS[path.name]))
        else:
            tokenizer = Tokenizer.from_file(str(path))
        tokenizer.no_padding()
        tokenizer.no_truncation()
    return tokenizer


@contextmanager
def rust_errors(what: str) -> Iterator[None]:
    """Turn whatever the tokenizers library raises into FormatError.

    It raises plain Exception for faults that it expects, and a PanicException, which is not even
    an Exception, for those that it does not.
    """
    try:
        yield
    except FormatError:
        raise
    except Exception as error:
        raise FormatError(f"{what}: {error}") from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise FormatError(f"{what}: the tokenizers library panicked: {error}") from error


def _word_piece(path: Path, *, lower: bool) -> Tokenizer:
    # Lines end at \n alone: vocabularies hold characters that splitlines() would cut at.
    lines = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    vocab = {line: index for index, line in enumerate(lines)}
    _require(path, vocab, _WORD_PIECE_SPECIAL)
    tokenizer = Tokenizer(WordPiece(vocab, unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(
        clean_text=True, handle_chinese_chars=True, strip_accents=None, lowercase=lower
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        special_tokens=[("[CLS]", vocab["[CLS]"]), ("[SEP]", vocab["[SEP]"])],
    )
    tokenizer.add_special_tokens(list(_WORD_PIECE_SPECIAL))
    return tokenizer


def _sentence_piece(path: Path) -> Tokenizer:
    tokenizer = sentence_piece_tokenizer(path.read_bytes())
    vocab = tokenizer.get_vocab()
    _require(path, vocab, _WORD_PIECE_SPECIAL[:-1])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        special_tokens=[("[CLS]", vocab["[CLS]"]), ("[SEP]", vocab["[SEP]"])],
    )
    tokenizer.add_special_tokens(["[MASK]"])  # after the last piece, where the authors have it
    return tokenizer


def _byte_pairs(path: Path, merges: Path) -> Tokenizer:
    if not merges.is_file():
        raise FormatError(f"{path} needs {merges.name} beside it; there is none.")
    vocab = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(vocab, dict):
        raise FormatError(f"{path} holds {type(vocab).__name__}, not a table of tokens.")
    _require(path, vocab, _BYTE_PAIR_SPECIAL)
    tokenizer = Tokenizer(BPE.from_file(str(path), str(merges)))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", vocab["<s>"]), ("</s>", vocab["</s>"])]
    )
    # <mask> takes the space before it along, as in the authors' tokenizer.
    tokenizer.add_special_tokens(
        [AddedToken(token, normalized=False, lstrip=token == "<mask>")
         for token in _BYTE_PAIR_SPECIAL]
    )  # fmt: skip
    return tokenizer


def _require(path: Path, vocab: dict[str, int], tokens: tuple[str, ...]) -> None:
    lost = [token for token in tokens if token not in vocab]
    if lost:
        raise FormatError(f"{path} lacks the special token(s) {', '.join(lost)}.")
