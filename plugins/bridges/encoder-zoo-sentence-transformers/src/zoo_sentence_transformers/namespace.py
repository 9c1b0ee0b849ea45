"""`st:NAME`: a row for a folder or a repository of sentence-transformers."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from zoo.errors import UnsupportedCheckpointError
from zoo.hookspecs import RepoFiles
from zoo.spec import BATCH, Dim, Family, ModelSpec, TensorSpec, TextPreprocess, WeightsSpec
from zoo.weights import open_repo
from zoo_sentence_transformers.config import FOLDERS, FolderConfig
from zoo_text.modules import MODULES, read_prompts

FAMILY = Family(
    name="sentence-transformers",
    title="Sentence-BERT: Sentence Embeddings using Siamese BERT-Networks",
    arxiv="1908.10084",
    year=2019,
    objective="stated in the repository's model card",
    license="unknown",
    modality="text",
)
SIDE = (".json", ".txt", ".model", ".safetensors", ".bin")


class SentenceTransformers:
    """The folders and repositories of sentence-transformers."""

    prefix = "st"
    summary = "any folder or repository of sentence-transformers"

    def resolve(self, rest: str) -> tuple[ModelSpec, ...]:
        """Return the row of a folder, or of `org/repo`.

        Raises:
            UnsupportedCheckpointError: It is none, or its tokenizer needs the library itself.
            WeightsError: Files cannot be fetched.
        """
        local = Path(rest).expanduser().is_dir()
        files = open_repo(rest if local else f"hf:{rest}")
        if MODULES not in files.names():
            raise UnsupportedCheckpointError(f"st:{rest} has no {MODULES}. Try hf:{rest}.")
        if "tokenizer.json" not in files.names():
            raise UnsupportedCheckpointError(
                f"st:{rest} has no tokenizer.json. Save its tokenizer with transformers as one."
            )
        folder = Path(rest).expanduser() if local else _fetched(files)
        return (_row(f"st:{Path(rest).name if local else rest}", files, folder),)

    def search(self, pattern: str) -> list[str]:
        """Return nothing: any folder or repository may be asked for."""
        return []


def _row(name: str, files: RepoFiles, folder: Path) -> ModelSpec:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize

    model: Any = SentenceTransformer(
        str(folder), device="cpu", trust_remote_code=False, local_files_only=True
    )
    configuration = json.dumps([files.json(n) for n in sorted(files.names()) if n.endswith(".json")
                                and n != "tokenizer.json"])  # fmt: skip
    checkpoint = f"{name}@{hashlib.sha256(configuration.encode()).hexdigest()[:16]}"
    FOLDERS[checkpoint] = folder
    tokenizer, longest = model.tokenizer, int(model.max_seq_length or 512)
    prompts = read_prompts(files)
    config = FolderConfig(
        checkpoint=checkpoint,
        dim=int(model.get_embedding_dimension()),
        vocab=int(model[0].auto_model.config.vocab_size),
        longest=longest,
        normalize=isinstance(list(model)[-1], Normalize),
    )
    kept = list(model)[:-1] if config.normalize else list(model)
    shape = (BATCH, Dim(name="length", min=2, typical=min(128, longest), max=longest))
    return FAMILY.model(
        name,
        config=config,
        weights=_weights(files),
        preprocess=TextPreprocess(
            max_length=longest,
            pad_id=int(tokenizer.pad_token_id),
            clean="lower" if getattr(model[0], "do_lower_case", False) else "none",
            prompts=prompts.stored,
            roles=prompts.roles,
            default_role=prompts.default,
        ),
        inputs=(
            TensorSpec(name="input_ids", dtype="int64", shape=shape, padding="masked"),
            TensorSpec(name="attention_mask", dtype="int64", shape=shape, skippable=True),
        ),
        params=sum(p.numel() for part in kept for p in part.parameters()),
        opaque=True,
        source="https://sbert.net",
    )


def _weights(files: RepoFiles) -> WeightsSpec:
    """Return where the tensors lie; the network reads them itself, this is for hashes and locks."""
    there = [n for n in ("model.safetensors", "pytorch_model.bin") if n in files.names()]
    return WeightsSpec(
        source=files.source, files=tuple(there), revision=files.revision,
        layout="sentence-transformers",
    )  # fmt: skip


def _fetched(files: Any) -> Path:  # noqa: ANN401  zoo.weights' Repo
    """Bring all files of a repository here, verified; returns their folder."""
    paths = {
        name: files.path(name)
        for name in sorted(files.names())
        if name.endswith(SIDE) and not name.startswith(("onnx/", "openvino/"))
    }
    folder: Path = paths[MODULES].parent
    return folder
