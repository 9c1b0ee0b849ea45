"""`zoo info`: all that is known about one model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

import zoo
from zoo.bundle import is_bundle, read_manifest
from zoo.cli.complete import model_names
from zoo.cli.lazy import example
from zoo.cli.output import count, echo_json, listing
from zoo.describe import preparation_of, row_to_dict, space_to_dict
from zoo.manifest import Manifest
from zoo.records import to_plain
from zoo.spec import (
    Dim,
    ModelSpec,
    Preprocess,
    Role,
    Space,
    TensorSpec,
    TextPreprocess,
    WeightsSpec,
)


@click.command(
    "info",
    short_help="Show what is known about a model or a bundle.",
    epilog=example(
        "zoo info all-minilm-l6-v2",
        "zoo info clip-b16 --json",
        "zoo info dist/minilm",
    ),
)
@click.argument("name", metavar="NAME|DIR", shell_complete=model_names)
@click.option("--json", "as_json", is_flag=True, help="Every field, as a JSON object.")
def command(name: str, as_json: bool) -> None:
    """Show what is known about the model or joint space NAME, or the bundle in DIR.

    NAME may also be a repository, `hf:org/repo`, or a folder with a checkpoint.
    """
    if is_bundle(name):
        manifest = read_manifest(Path(name).expanduser())
        if as_json:
            echo_json(to_plain(manifest))
        else:
            click.echo(listing(_bundle(manifest)))
        return
    rows = zoo.resolve(name)
    space = rows[0].space if len(rows) > 1 else None
    if as_json:
        echo_json(row_to_dict(rows[0]) if space is None else space_to_dict(space, rows))
        return
    if space is not None:
        click.echo(listing(_space(space)) + "\n")
    click.echo("\n\n".join(listing(_row(row)) for row in rows))


def _bundle(manifest: Manifest) -> Iterator[tuple[str, str]]:
    facts, graph = manifest.facts, manifest.graph
    yield "name", facts.name
    yield "license", facts.license
    yield "modality", facts.modality
    yield "vector", f"{facts.dim} wide, {facts.pooling} pooling"
    yield "precision", graph.dtype
    yield "outputs", ", ".join(graph.outputs)
    for spec in facts.inputs:
        yield "input", _input(spec)
    yield from _preprocess(facts.preprocess)
    yield "weights", f"{manifest.weights.source} {manifest.weights.revision or ''}".rstrip()
    yield "verdict", manifest.verdict.line
    if (engine := manifest.engine) is not None:
        yield "engine", f"{engine.target} {engine.version} for {', '.join(engine.devices)}"
        yield "engine's verdict", engine.verdict.line
    yield "made with", ", ".join(f"{name} {one}" for name, one in manifest.toolchain.items())


def _space(space: Space) -> Iterator[tuple[str, str]]:
    yield "name", space.name
    yield "aliases", ", ".join(space.aliases)
    yield "towers", ", ".join(space.towers.values())
    yield "similarity", f"{space.similarity}, then {space.activation} over labels"
    yield "template", space.template


def _row(row: ModelSpec) -> Iterator[tuple[str, str]]:
    yield "name", row.name
    yield "aliases", ", ".join(row.aliases)
    yield "family", f"{row.family.name}: {row.family.title} ({row.year})"
    yield "paper", f"arXiv:{row.family.arxiv}" if row.family.arxiv else row.family.url
    yield "license", row.license
    yield "modality", row.modality
    yield "objective", row.objective
    yield "parameters", f"{count(row.params)} ({row.params:,})"
    yield "vector", _vector(row)
    yield "cut to", ", ".join(map(str, row.matryoshka))
    yield "outputs", ", ".join(row.outputs)
    for spec in row.inputs:
        yield "input", _input(spec)
    yield from _preprocess(row.preprocess)
    yield "space", "" if row.space is None else row.space.name
    yield from _weights(row.weights)
    yield "export", row.export
    yield "note", row.note
    yield "source", row.source


def _vector(row: ModelSpec) -> str:
    if row.pooling == "none":
        return f"{row.dim} wide, one a token"
    return f"{row.dim} wide, {row.pooling} pooling" + (
        ", unit length" if row.config.normalize else ""
    )


def _input(spec: TensorSpec) -> str:
    return f"{spec.name} {spec.dtype} ({', '.join(map(_axis, spec.shape))})"


def _axis(size: int | Dim) -> str:
    if not isinstance(size, Dim):
        return str(size)
    if size.max == size.min:
        return f"{size.name} {size.min}"
    steps = f" in steps of {size.multiple}" if size.multiple > 1 else ""
    return f"{size.name} {size.min}..{size.max}{steps}"


def _preprocess(recipe: Preprocess | None) -> Iterator[tuple[str, str]]:
    if recipe is None:
        return
    yield preparation_of(recipe)
    if isinstance(recipe, TextPreprocess):
        for name, prompt in recipe.prompts.items():
            yield "prompt", f"{name}: {prompt!r}"
        for name, role in recipe.roles.items():
            default = " (default)" if name == recipe.default_role else ""
            yield "role", f"{name}{default}: {_role(role)}"


def _role(role: Role) -> str:
    said = {
        repr(role.prompt): role.prompt,
        f"marked {role.marker}": role.marker,
        f"cut at {role.max_length} tokens": role.max_length,
        f"filled up with {role.fill}": role.fill,
    }
    return ", ".join(text for text, there in said.items() if there) or "no prompt"


def _weights(weights: WeightsSpec) -> Iterator[tuple[str, str]]:
    if weights.source == "none":
        yield "weights", f"none: {weights.reason}"
        return
    yield "weights", f"{weights.source}/{weights.subfolder}".rstrip("/")
    unlocked = "main, locked at the first load" if weights.repo else ""
    yield "revision", weights.revision or unlocked
    yield "files", " or ".join(weights.files)
    yield "layout", weights.layout
    for file, digest in weights.sha256.items():
        yield "sha256", f"{digest}  {file}"
    yield "gated", "yes: accept the licence on the Hub and set HF_TOKEN" if weights.gated else ""
    yield "weights note", weights.note
