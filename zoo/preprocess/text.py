"""Texts to token ids: prompts, tokenizer, truncation, padding. No torch.

Length and padding are the row's. Whatever the tokenizer file says of them is switched off:
all-MiniLM-L6-v2, for one, ships a file that pads everything to 128 tokens.
"""

from __future__ import annotations

import html
import string
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from tokenizers import Tokenizer

from zoo.errors import FormatError, InputError, OptionError
from zoo.preprocess import PLAIN, Array, Ask, Batch, Sample
from zoo.preprocess.tokenizer import read_tokenizer, rust_errors
from zoo.spec import Role, TextPreprocess

# Characters that are tokenised at a time. The library keeps what truncation cuts off, about 100
# bytes a token, until the whole call returns: whole books must not meet in one call.
CHUNK = 2_000_000

# What every caller may ask for; a model without roles treats both alike.
ROLES = ("query", "document")

Entry = TypeVar("Entry")


class TextPreprocessor:
    """Tokenises texts for one model.

    Args:
        recipe: Its row's preprocessing.
        tokenizer: The tokenizer file (a second one it needs lies beside it), or a tokenizer.
        inputs: Names of the network's inputs: the ids, the mask of what is attended to, the mask of
            what gives a vector; as many as it has.
        vocab: Number of the network's word embeddings, to refuse a tokenizer that does not fit.

    Attributes:
        recipe: Its row's preprocessing.
        tokenizer: The tokenizer.
        file: The file that it was read from, or None.

    Raises:
        FormatError: The file is broken.
    """

    # So many, sorted, leave hardly any padding, and an interrupt loses no more than these.
    window = 1024

    def __init__(
        self,
        recipe: TextPreprocess,
        tokenizer: Path | Tokenizer,
        *,
        inputs: Sequence[str] = ("input_ids", "attention_mask"),
        vocab: int | None = None,
    ) -> None:
        self.recipe = recipe
        self.tokenizer = (
            read_tokenizer(tokenizer, lower=recipe.lower)
            if isinstance(tokenizer, Path)
            else tokenizer
        )
        self.file = tokenizer if isinstance(tokenizer, Path) else None
        self._ids, *self._masks = inputs
        self._vocab = vocab
        # Truncation is a state of the tokenizer, and roles may differ in length.
        self._lock = threading.Lock()
        self._ending: list[int] = []
        if recipe.ending:
            ending = self._id(recipe.ending)
            if self.tokenizer.encode("").ids[-1:] != [ending]:
                self._ending = [ending]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_lock": None}  # a lock can be neither copied nor pickled

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock())

    def save_tokenizer(self, path: Path) -> None:
        """Write the tokenizer as one `tokenizer.json`, whatever files it was made of."""
        with self._lock:
            self.tokenizer.no_truncation()
            self.tokenizer.save(str(path))

    def prepare(self, items: Sequence[Any], ask: Ask = PLAIN) -> list[Sample | InputError]:
        """Tokenise texts; what is no text gives its error in its place.

        Raises:
            OptionError: There is no such role or prompt, or more than one was asked for.
            FormatError: The tokenizer fails.
        """
        role = resolve_role(self.recipe, ask)
        clean = _CLEANERS[self.recipe.clean]
        results: list[Sample | InputError | None] = []
        texts: list[str] = []
        for item in items:
            error = text_problem(item)
            results.append(error)
            if error is None:
                texts.append(clean(role.prompt + item))
        encoded = self._encode(texts, role)
        return [next(encoded) if result is None else result for result in results]

    def collate(self, samples: Sequence[Sample]) -> Batch:
        """Pad ids on the right to the longest text, or to the row's length; the mask says where.

        Raises:
            FormatError: The tokenizer gave an id that the network has no embedding for.
        """
        lengths = [len(sample.arrays[self._ids]) for sample in samples]
        longest = self.recipe.max_length if self.recipe.pad_to_max else max(lengths)
        batch: Batch = {}
        for name in (self._ids, *self._masks):
            pad = self.recipe.pad_id if name == self._ids else 0
            batch[name] = np.full((len(samples), longest), pad, dtype=np.int64)  # (B, N)
            for target, sample, length in zip(batch[name], samples, lengths, strict=True):
                target[:length] = sample.arrays.get(name, 1)
        most = int(batch[self._ids].max())
        if self._vocab is not None and most >= self._vocab:
            raise FormatError(
                f"{self.file or 'the tokenizer'} gives the token id {most}, but the network has "
                f"{self._vocab} embeddings: these files do not belong together."
            )
        return batch

    def _encode(self, texts: Sequence[str], role: Role) -> Iterator[Sample | InputError]:
        """Yield one sample a text."""
        length = role.max_length or self.recipe.max_length
        marker = [self._id(role.marker)] if role.marker else []
        fill = self._id(role.fill) if role.fill else None
        skip = self._skipped(role.skip) if role.skip else None
        for chunk in _chunks(texts):
            with self._lock, rust_errors(f"{self.file or 'the tokenizer'} cannot tokenise"):
                self.tokenizer.enable_truncation(length - len(marker))
                rows = [encoding.ids for encoding in self.tokenizer.encode_batch_fast(chunk)]
            for row in rows:
                if marker:
                    row = [*row[:1], *marker, *row[1:]]
                if self._ending:
                    row = [*row[: length - 1], *self._ending]
                yield self._sample(np.array(row, dtype=np.int64), length, fill, skip)

    def _sample(
        self, ids: Array, length: int, fill: int | None, skip: Array | None
    ) -> Sample | InputError:
        if not len(ids):
            return InputError("The tokenizer makes no token of this text.")
        arrays = {self._ids: ids}
        if fill is not None:
            attended, _ = self._masks
            arrays[self._ids] = np.pad(ids, (0, length - len(ids)), constant_values=fill)
            arrays[attended] = (np.arange(length) < len(ids)).astype(np.int64)
        if skip is not None:
            _, vectors = self._masks
            arrays[vectors] = (~np.isin(ids, skip)).astype(np.int64)
        size = self.recipe.max_length if self.recipe.pad_to_max else len(arrays[self._ids])
        return Sample(arrays, size)

    def _id(self, token: str) -> int:
        """Return the id of a special token."""
        found: int | None = self.tokenizer.token_to_id(token)
        if found is None:
            raise FormatError(f"{self.file or 'the tokenizer'} lacks the token {token!r}.")
        return found

    def _skipped(self, characters: str) -> Array:
        """Return the first id of each character alone, and the padding's, as ColBERT does."""
        ids = [self.tokenizer.encode(one, add_special_tokens=False).ids[0] for one in characters]
        return np.array([*ids, self.recipe.pad_id])


def resolve_role(recipe: TextPreprocess, ask: Ask) -> Role:
    """Return the prompt and the length that were asked for.

    A prompt replaces the one of the role; the role's length stays.

    Raises:
        OptionError: There is no such role or prompt, two prompts were given, or one is no text.
    """
    if ask.prompt is not None and ask.prompt_name is not None:
        raise OptionError(
            f"prompt={ask.prompt!r} and prompt_name={ask.prompt_name!r} each say what stands "
            "before a text. Give one of them."
        )
    prompt = ask.prompt
    problem = None if prompt is None else text_problem(prompt)
    if problem is not None:
        raise OptionError(f"prompt={prompt!r}: {problem}")
    if ask.prompt_name is not None:
        stored = {name: role.prompt for name, role in recipe.roles.items()} | dict(recipe.prompts)
        prompt = _known(stored, ask.prompt_name, "prompt")
    name = ask.role or (recipe.default_role if prompt is None else None)
    if name is None or (not recipe.roles and name in ROLES):
        role = Role()
    else:
        role = _known(recipe.roles, name, "role")
    return role if prompt is None else replace(role, prompt=prompt)


def _known(table: Mapping[str, Entry], name: str, kind: str) -> Entry:
    if name not in table:
        there = f"It has {', '.join(sorted(table))}." if table else "It has none."
        raise OptionError(f"This model has no {kind} {name!r}. {there}")
    return table[name]


def refuse_prompts(ask: Ask) -> None:
    """Refuse a prompt, for models that take texts as they are; to them both roles are the same.

    Raises:
        OptionError: A prompt or another role was asked for.
    """
    if ask.prompt is not None or ask.prompt_name is not None or ask.role not in (None, *ROLES):
        raise OptionError("This model has no prompts and no roles of its own. Leave them out.")


def text_problem(item: object) -> InputError | None:
    """Return what is wrong with an item that should be a text, or None."""
    if not isinstance(item, str):
        hint = ": decode it, item.decode()" if isinstance(item, bytes) else ""
        return InputError(f"A text must be a str, not {type(item).__name__}{hint}.")
    try:
        item.encode()
    except UnicodeEncodeError as error:
        return InputError(
            f"The text holds a lone surrogate at character {error.start}, which is no Unicode "
            "text. Replace it: item.encode('utf-8', 'replace').decode()."
        )
    return None


def _clean_clip(text: str) -> str:
    """Clean up as CLIP's authors do (open_clip/tokenizer.py, `_clean_lower`).

    ftfy does more than repair wrong encodings: it makes curly quotes straight, splits ligatures and
    narrows full-width letters, so that many texts would come out with other tokens without it.
    """
    import ftfy  # slow to import, and few models need it

    text = html.unescape(html.unescape(ftfy.fix_text(text)))
    return " ".join(text.split()).lower()


def _lower(text: str) -> str:
    """Lower-case each character by itself, as tokenizers do: str.lower() looks at neighbours."""
    return "".join(map(str.lower, text))


def _canonical(text: str) -> str:
    """Clean up as SigLIP's authors do (big_vision, evaluators/proj/image_text)."""
    return " ".join(text.lower().translate(_NO_PUNCTUATION).split())


_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)

_CLEANERS: Mapping[str, Callable[[str], str]] = {
    "none": str,
    "lower": _lower,
    "clip": _clean_clip,
    "canonical": _canonical,
}


def _chunks(texts: Sequence[str]) -> Iterator[list[str]]:
    chunk: list[str] = []
    size = 0
    for text in texts:
        chunk.append(text)
        size += len(text)
        if size >= CHUNK:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk
