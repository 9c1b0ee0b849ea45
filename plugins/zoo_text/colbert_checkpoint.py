"""Recognise late interaction as ColBERT's authors lay it out: BERT's files and one more. No torch.

`config.json` names the architecture `HF_ColBERT`, `artifact.metadata` says how texts are prepared,
and the projection lies among BERT's weights.
"""

from __future__ import annotations

import string
from dataclasses import replace

from zoo.errors import UnsupportedCheckpointError
from zoo.fields import Fields, read_optional
from zoo.hookspecs import RepoFiles
from zoo.spec import ModelSpec, TextPreprocess
from zoo_text.configs import BertConfig
from zoo_text.families.colbert import DEFAULT, FAMILY, NOTE, QUERY_LENGTH, colbert_roles, several
from zoo_text.families.rows import VECTOR_MASKS, text_inputs

_METADATA = "artifact.metadata"
_LENGTH, _DOCUMENT_LENGTH = 10_000, 220  # tokens: the most that is believed, the authors' default
_SHORTEST = 4  # three special tokens and one of the text


def is_colbert(fields: Fields) -> bool:
    """Whether a configuration is that of ColBERT's authors."""
    names = fields.get("architectures")
    return isinstance(names, list) and "HF_ColBERT" in names


def late_interaction(row: ModelSpec, files: RepoFiles) -> ModelSpec:
    """Return the row of a ColBERT, made of that of its body.

    Raises:
        UnsupportedCheckpointError: It asks for what is not supported.
        FormatError: `artifact.metadata` is broken.
    """
    fields = read_optional(files, _METADATA)
    fields.require("attend_to_mask_tokens", False)
    fields.require("similarity", "cosine")
    if not isinstance(row.config, BertConfig):
        raise UnsupportedCheckpointError(
            f"{files.source} is a ColBERT over {row.family.name}; supported are those over BERT."
        )
    assert isinstance(row.preprocess, TextPreprocess), "its body encodes texts"
    config = several(row.config, fields.integer("dim", 128, most=_LENGTH))
    longest = row.preprocess.max_length

    roles = colbert_roles(
        query_length=role_length(fields, "query_maxlen", QUERY_LENGTH, longest),
        document_length=role_length(fields, "doc_maxlen", _DOCUMENT_LENGTH, longest),
        query_mark=fields.text("query_token_id", "[unused0]"),
        document_mark=fields.text("doc_token_id", "[unused1]"),
        skip=string.punctuation if fields.flag("mask_punctuation", True) else "",
    )
    recipe = replace(row.preprocess, roles=roles, default_role=DEFAULT)
    row = replace(row, family=FAMILY, config=config, params=config.params)
    return of_tokens(row, recipe)


def role_length(fields: Fields, name: str, default: int, most: int) -> int:
    """Return the longest text of a role, tokens; what the network cannot take is cut.

    Raises:
        FormatError: It is no sensible number.
    """
    return min(fields.integer(name, default, least=_SHORTEST, most=_LENGTH), most)


def of_tokens(row: ModelSpec, recipe: TextPreprocess) -> ModelSpec:
    """Return a row whose encoder gives a vector a token, of texts prepared by a recipe."""
    return replace(
        row,
        preprocess=recipe,
        inputs=text_inputs(recipe.max_length, masks=VECTOR_MASKS),
        outputs=("tokens",),
        note=NOTE,
    )
