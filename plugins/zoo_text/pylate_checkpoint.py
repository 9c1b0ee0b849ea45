"""Recognise late interaction as PyLate saves it: a sentence-transformers folder. No torch.

`modules.json` lists a transformer and Dense layers over its tokens; how texts are prepared stands
in `config_sentence_transformers.json` (lightonai/pylate, models/colbert.py at 00b0c52).
"""

from __future__ import annotations

import string
from dataclasses import replace

from zoo.errors import UnsupportedCheckpointError
from zoo.fields import Fields, read_optional
from zoo.hookspecs import RepoFiles
from zoo.spec import ModelSpec, TextPreprocess
from zoo_text.colbert_checkpoint import of_tokens, role_length
from zoo_text.configs import BertConfig
from zoo_text.families.colbert import DEFAULT, FAMILY, QUERY_LENGTH, colbert_roles
from zoo_text.modules import SETTINGS
from zoo_text.rotary_config import RotaryConfig

_DOCUMENT_LENGTH = 180  # tokens, PyLate's default


def late_interaction_of_pylate(row: ModelSpec, files: RepoFiles) -> ModelSpec:
    """Return the row of a ColBERT, made of that of its body and its Dense layers.

    Raises:
        UnsupportedCheckpointError: It asks for what is not supported.
        FormatError: `config_sentence_transformers.json` is broken.
    """
    fields = read_optional(files, SETTINGS)
    config, recipe = row.config, row.preprocess
    if not isinstance(config, BertConfig | RotaryConfig):
        raise UnsupportedCheckpointError(
            f"{files.source} is a ColBERT over {row.family.name}; supported are those over BERT "
            "and ModernBERT."
        )
    assert isinstance(recipe, TextPreprocess), "its body encodes texts"

    query = role_length(fields, "query_length", QUERY_LENGTH, config.longest)
    document = role_length(fields, "document_length", _DOCUMENT_LENGTH, config.longest)
    filled = fields.flag("do_query_expansion", True)
    if filled:
        fields.require("attend_to_expansion_tokens", False)
        if isinstance(config, RotaryConfig) and config.window and query > config.window + 1:
            raise UnsupportedCheckpointError(
                f"{files.source} fills queries up to {query} tokens, of which a block sees "
                f"{config.window} on each side: the last would see none of the text."
            )
    roles = colbert_roles(
        query_length=query,
        document_length=document,
        query_mark=fields.text("query_prefix", "[Q] "),
        document_mark=fields.text("document_prefix", "[D] "),
        fill="[MASK]" if filled else "",
        skip=_skipped(fields),
    )
    prompted = {
        name: replace(role, prompt=recipe.roles[name].prompt) for name, role in roles.items()
    }
    recipe = replace(
        recipe,
        max_length=max(query, document),
        roles={**recipe.roles, **prompted},
        default_role=recipe.default_role or DEFAULT,
    )
    return of_tokens(replace(row, family=replace(FAMILY, keymaps=row.family.keymaps)), recipe)


def _skipped(fields: Fields) -> str:
    """Return the characters whose tokens give no vector.

    Raises:
        UnsupportedCheckpointError: There are words among them.
    """
    words = fields.get("skiplist_words")
    if words is None:
        return string.punctuation
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise fields.wrong("skiplist_words", "a list of texts")
    if any(len(word) != 1 for word in words):
        raise UnsupportedCheckpointError(
            f"{fields.file} leaves out the vectors of whole words; supported are characters."
        )
    return "".join(words)
