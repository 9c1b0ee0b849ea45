"""The functions behind `import zoo`. Torch is imported when a model is loaded, not before."""

from __future__ import annotations

import os
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from zoo.contract import rows_of
from zoo.doors import OWN, blamed
from zoo.errors import MissingExtraError, OptionError, UnknownModelError, UnsupportedCheckpointError
from zoo.registry import Registry, default_registry
from zoo.spec import ModelSpec, Space
from zoo.targets import PRECISIONS, device_of, target_of

if TYPE_CHECKING:
    import torch

    from zoo.encoder import Encoder
    from zoo.hookspecs import RepoFiles
    from zoo.joint import JointEncoder
    from zoo.manifest import Precision
    from zoo.preprocess import Array


def list_models(
    pattern: str = "*",
    *,
    modality: str | None = None,
    family: str | None = None,
    license: str | None = None,
    objective: str | None = None,
    dim: int | None = None,
    year: int | None = None,
) -> list[ModelSpec]:
    """Return the rows that match all filters; see `Registry.search`. Exported as `zoo.list`."""
    return default_registry().search(
        pattern,
        modality=modality,
        family=family,
        license=license,
        objective=objective,
        dim=dim,
        year=year,
    )


def maxsim(queries: Any, documents: Any) -> Array:  # noqa: ANN401  arrays, tensors, lists of them
    """Return late interaction's scores (len(queries), len(documents)); see `zoo.similarity`."""
    from zoo import similarity  # numpy would slow down `import zoo`

    return similarity.maxsim(queries, documents)


def info(name: str) -> ModelSpec | Space:
    """Return the row, or the joint space, of a name."""
    return default_registry().find(name)


def register(spec: ModelSpec) -> None:
    """Add a row for this session, from a notebook or a script."""
    default_registry().add(spec)


def resolve(name: str | Path, registry: Registry | None = None) -> tuple[ModelSpec, ...]:
    """Return the rows behind a name: one, or one a tower of a space.

    Args:
        name: A model, an alias, a space, `name@distribution`, `prefix:rest` such as
            `hf:org/repo`, or the path of a folder.
        registry: Where to look; by default everything installed.

    Raises:
        UnknownModelError: No such name; near matches are offered.
        WeightsError: A folder or repository cannot be read, or its architecture is not known.
    """
    registry = registry or default_registry()
    if isinstance(name, Path):
        return _from_folder(registry, str(name))
    if not isinstance(name, str):
        raise UnknownModelError(
            f"A model is asked for by its name, a str, not by {type(name).__name__}."
        )
    if not name:
        raise UnknownModelError("A model's name is empty. See `zoo list`.")
    if name.startswith((".", "/", "~")) or (os.path.isdir(name) and not _known(registry, name)):
        return _from_folder(registry, name)
    prefix, colon, rest = name.partition(":")
    if colon:
        return _from_namespace(registry, prefix, rest)
    return registry.rows(name)


def load(
    name: str | Path | ModelSpec,
    *,
    device: str | torch.device = "cpu",
    dtype: str | torch.dtype = "float32",
    backend: str = "eager",
    weights: str | Path | None = None,
    seed: int = 0,
    progress: bool = True,
) -> Encoder | JointEncoder:
    """Load a pretrained encoder, or all towers of a joint space.

    Args:
        name: What `resolve` takes, or a row.
        device: `cpu`, `cuda`, `cuda:1`, `mps`.
        dtype: `float32`, `bfloat16`, `float16` or `float64`.
        backend: `eager`, the network as it is; `compile`, as torch.compile makes it at the first
            batch; or a target of `zoo export`, which exports it first and keeps the bundle in the
            cache: `onnx`, or `tensorrt` and `tensorrt-rtx`, which run on a GPU, by default the
            first.
        weights: None for the row's own; `random` for seeded live weights without any network; or a
            folder or file.
        seed: Of random weights.
        progress: Whether downloads show a bar, if stderr is a terminal.

    Returns:
        An Encoder; a JointEncoder for a space.

    Raises:
        UnknownModelError: No such name; near matches are offered.
        WeightsError: Files cannot be fetched, verified, read or fitted.
        OptionError: This machine or model cannot do what an option asks for.
    """
    rows = (name,) if isinstance(name, ModelSpec) else resolve(name)
    encoders: list[Encoder]
    if backend in ("eager", "compile"):
        loading = _loading()
        encoders = [
            loading.load_row(
                row, device=device, dtype=dtype, weights=weights, seed=seed, progress=progress
            )
            for row in rows
        ]
        if backend == "compile":
            from zoo.backends.compile import compiled

            encoders = [compiled(encoder) for encoder in encoders]
    else:
        target, precision = target_of(backend), _precision(backend, dtype)
        encoders = [
            open_encoder(
                target.bundle(
                    row, precision=precision, weights=weights, seed=seed, progress=progress
                ),
                device=device_of(backend, str(device)),
            )
            for row in rows
        ]
    space = rows[0].space
    if len(rows) == 1 or space is None:
        return encoders[0]
    from zoo.joint import JointEncoder, space_constants

    scale, bias = space_constants(rows, weights, progress=progress)
    return JointEncoder(
        space,
        {row.modality: encoder for row, encoder in zip(rows, encoders, strict=True)},
        scale=scale,
        bias=bias,
    )


def _precision(backend: str, dtype: object) -> Precision:
    """Return the precision of a graph that a dtype means."""
    name = str(dtype).removeprefix("torch.")
    for short, precision in PRECISIONS.items():
        if name in (short, precision):
            return precision
    known = ", ".join(PRECISIONS.values())
    raise OptionError(f"backend={backend!r} runs in {known}; dtype={dtype!r} does not fit.")


def _loading() -> ModuleType:
    """Return `zoo.loading`, which imports torch."""
    try:
        from zoo import loading
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise MissingExtraError("torch", extra="torch") from error
    return loading


def open_encoder(
    path: str | Path,
    *,
    device: str | None = None,
    threads: int | None = None,
    runtime: str | None = None,
    rebuild: bool = False,
    tf32: bool = False,
) -> Encoder:
    """Open a bundle that `zoo export` wrote: the same `encode`, without torch.

    Args:
        path: Its folder.
        device: `cpu`, `cuda` or `cuda:1`; by default `cpu`, of an engine the first GPU.
        threads: Of the processor; by default one a core.
        runtime: `onnx` for the graph itself, `onnx-tensorrt` for the graph through ONNX Runtime's
            own TensorRT provider; by default the bundle's engine, if it has one.
        rebuild: Whether its engine is built anew for this machine, and kept in the cache.
        tf32: Whether ONNX Runtime may round float32 factors to 11 bits on a GPU; an engine does
            what it was built to.

    Raises:
        BundleError: It is not whole, has been changed, was not proven, or its engine is for another
            machine.
        ParityError: The engine, which had not been run before, does not give what it must.
        OptionError: The device is not there.
        MissingExtraError: The runtime is not installed.
    """
    from zoo import runtime as runtimes

    return runtimes.open_encoder(
        path, device=device, threads=threads, runtime=runtime, rebuild=rebuild, tf32=tf32
    )


def _known(registry: Registry, name: str) -> bool:
    try:
        registry.find(name)
    except LookupError:
        return False
    return True


def _from_folder(registry: Registry, name: str) -> tuple[ModelSpec, ...]:
    from zoo.bundle import is_bundle
    from zoo.weights import open_repo

    folder = os.path.expanduser(name)  # unlike Path's, it bears names that cannot be
    if not os.path.isdir(folder):
        raise UnknownModelError(f"There is no folder {name!r}.")
    try:
        return _recognise(registry, folder, open_repo(folder))
    except UnsupportedCheckpointError as error:
        if is_bundle(folder):
            raise UnknownModelError(
                f"{name!r} is an exported bundle, not a checkpoint: zoo.open({name!r}) runs it."
            ) from error
        raise


def _from_namespace(registry: Registry, prefix: str, rest: str) -> tuple[ModelSpec, ...]:
    if prefix == "hf":
        from zoo.weights import open_repo

        return _recognise(registry, f"hf:{rest}", open_repo(f"hf:{rest}"))
    space, plugin = registry.namespace(prefix)
    with blamed(plugin, f"'{prefix}:{rest}'"):
        return rows_of("resolve", space.resolve(rest))


def _recognise(registry: Registry, source: str, files: RepoFiles) -> tuple[ModelSpec, ...]:
    refused: UnsupportedCheckpointError | None = None
    for plugin in sorted(registry.plugins, key=lambda plugin: plugin.distribution != OWN):
        try:
            found = plugin.checkpoint(files)
        except UnsupportedCheckpointError as error:  # another plugin may support it
            refused = refused or error
        else:
            if found:
                return found
    raise refused or UnsupportedCheckpointError(
        f"{source} names no architecture that an installed plugin knows: {_named(files)}."
    )


def _named(files: RepoFiles) -> str:
    """Return what a repository says of its architecture, for a message."""
    from zoo.fields import read_fields

    fields = read_fields(files, "config.json")
    if fields is None:
        return "it has no config.json"
    for key in ("model_type", "architecture"):  # transformers, timm
        if key in fields:
            return f"its config.json has {key} = {str(fields.get(key))[:80]!r}"
    return "its config.json has no model_type"
