"""`st:NAME`: a row for a folder or a repository of sentence-transformers."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from zoo.spec import BATCH, Dim, Family, ModelSpec, TensorSpec, TextPreprocess
from zoo.weights.repo import Repo
from zoo_sentence_transformers.config import FILES, FolderConfig
from zoo_sentence_transformers.files import open_files, places, skeleton, weights_of
from zoo_text.modules import read_prompts

FAMILY = Family(
    name="sentence-transformers",
    title="Sentence-BERT: Sentence Embeddings using Siamese BERT-Networks",
    authors="Reimers, Nils and Gurevych, Iryna",
    arxiv="1908.10084",
    year=2019,
    objective="stated in the repository's model card",
    license="unknown",
    modality="text",
)


class SentenceTransformers:
    """The folders and repositories of sentence-transformers."""

    prefix = "st"
    summary = "any folder or repository of sentence-transformers"

    def resolve(self, rest: str) -> tuple[ModelSpec, ...]:
        """Return the row of a folder, of `org/repo`, or of a name such as `all-mpnet-base-v2`.

        Raises:
            UnsupportedCheckpointError: It is none, or does what the bridge does not.
            WeightsError: Files cannot be fetched.
        """
        files = open_files(rest)
        local = not files.source.startswith("hf:")
        name = f"st:{Path(rest).expanduser().resolve().name if local else rest}"
        modules = places(files, name)
        return (_row(name, files, modules),)

    def search(self, pattern: str) -> list[str]:
        """Return nothing: any folder or repository may be asked for."""
        return []


def _row(name: str, files: Repo, modules: list[str]) -> ModelSpec:
    from zoo_sentence_transformers.net import facts_of

    with skeleton(files, name) as folder:
        facts = facts_of(folder, name)
    checkpoint = f"{name}@{_hash(files, modules)}"
    FILES[checkpoint] = files
    prompts = read_prompts(files)
    config = FolderConfig(
        checkpoint=checkpoint,
        dim=facts.dim,
        vocab=facts.vocab,
        longest=facts.longest,
        normalize=facts.normalize,
    )
    length = Dim(name="length", min=1, typical=min(128, facts.longest), max=facts.longest)
    return FAMILY.model(
        name,
        config=config,
        weights=weights_of(files, modules),
        preprocess=TextPreprocess(
            max_length=facts.longest,
            pad_id=facts.pad_id,
            clean="lower" if facts.lower else "none",
            prompts=prompts.stored,
            roles=prompts.roles,
            default_role=prompts.default,
        ),
        inputs=(
            TensorSpec(name="input_ids", dtype="int64", shape=(BATCH, length), padding="masked"),
            TensorSpec(name="attention_mask", dtype="int64", shape=(BATCH, length), skippable=True),
        ),
        params=facts.params,
        opaque=True,
        source="https://sbert.net",
    )


def _hash(files: Repo, modules: list[str]) -> str:
    """Return what tells this configuration from others of the same name."""
    folders = {"", *modules}
    names = [
        name
        for name in sorted(files.names())
        if name.rpartition("/")[0] in folders
        and name.endswith(".json")
        and not name.endswith("tokenizer.json")
    ]
    configuration = json.dumps([files.json(name) for name in names])
    return hashlib.sha256(configuration.encode()).hexdigest()[:16]
