"""From a row to an encoder: meta device, exact coverage, memory-mapped tensors."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from zoo.backends.eager import EagerBackend, parse_device, parse_dtype
from zoo.doors import OWN
from zoo.encoder import Encoder
from zoo.errors import KeyMapError, OptionError, PluginError, ZooError
from zoo.keys import Assignment, Plan, make_plan
from zoo.nn.live import make_live
from zoo.nn.meta import on_meta
from zoo.plugins import explain
from zoo.prepared import fetched_preprocessor
from zoo.preprocess import Preprocessor, preprocessor_for
from zoo.preprocess.terms import TermPreprocessor
from zoo.registry import NOTEBOOK, default_registry
from zoo.sources import RANDOM
from zoo.spec import ModelSpec, TermPreprocess, WeightsSpec
from zoo.weights import (
    Checkpoint,
    Fetched,
    fetch_weights,
    local_weights,
    open_checkpoint,
)

if TYPE_CHECKING:
    from zoo.backends import Backend
    from zoo.fitting import Fit


def load_row(
    spec: ModelSpec,
    *,
    device: str | torch.device = "cpu",
    dtype: str | torch.dtype = "float32",
    weights: str | Path | None = None,
    seed: int = 0,
    progress: bool = True,
) -> Encoder:
    """Load one row.

    Args:
        spec: The row.
        device: Where it runs.
        dtype: Type of its parameters and activations.
        weights: `random` for seeded live weights, or a folder or file to read instead of the row's.
        seed: Of random weights.
        progress: Whether downloads show a bar on a terminal.

    Raises:
        WeightsError: Files cannot be fetched, verified, read or fitted.
        OptionError: Device or dtype cannot be had.
    """
    target, kind = parse_device(device), parse_dtype(dtype)
    own = spec.weights
    if weights is not None and str(weights) != RANDOM:
        spec = replace(spec, weights=local_weights(own, Path(weights)))
    fetched: Fetched | None = None
    if str(weights) == RANDOM or not spec.params:
        module = random_module(spec, seed=seed, dtype=kind).to(target)
    else:
        fetched = fetch_weights(spec.weights, progress=progress)
        checkpoint = open_checkpoint(fetched.weights, fetched.parts)
        module = load_module(spec, checkpoint, dtype=kind, device=target)
    return Encoder(
        spec,
        preprocessor=fetched_preprocessor(
            spec, fetched, home=_words_home(own, weights), progress=progress
        ),
        backend=EagerBackend(spec, module, device=target, dtype=kind),
        revision=None if fetched is None else fetched.revision,
    )


def _words_home(own: WeightsSpec, weights: str | Path | None) -> WeightsSpec | None:
    """Return where words lie if a lone file of weights has none beside it."""
    return own if weights is not None and Path(weights).is_file() else None


def build(spec: ModelSpec) -> nn.Module:
    """Return the row's network as its config builds it.

    Raises:
        PluginError: It is a plugin's, and fails.
    """
    try:
        return spec.config.build()
    except ZooError:
        raise
    except Exception as error:
        guests = set(default_registry().owners(spec.name)) - {OWN, NOTEBOOK}
        if not guests:
            raise
        raise PluginError(
            f"The network of {spec.name!r}, which {' and '.join(sorted(guests))} brings, cannot be "
            f"built: {explain(error)}. Update or uninstall it."
        ) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """A row whose checkpoint fits, of which no tensor has been read.

    Attributes:
        module: Its network on the meta device, in evaluation mode.
        checkpoint: Its files.
        plan: Where each tensor of the network comes from.
        preprocessor: Of the row.
    """

    module: nn.Module
    checkpoint: Checkpoint
    plan: Plan
    preprocessor: Preprocessor

    def carry_out(self, assignment: Assignment) -> list[Tensor]:
        """Return the tensors that a step of the plan makes, in the dtype of the file."""
        return _apply(assignment, [self.checkpoint.tensor(name) for name in assignment.sources])

    def load(self, spec: ModelSpec) -> nn.Module:
        """Return the row's network in float32 on the processor, with all its tensors."""
        return load_module(spec, self.checkpoint, dtype=torch.float32, device=torch.device("cpu"))


def open_row(
    spec: ModelSpec, *, weights: str | Path | None = None, progress: bool = True
) -> Unread:
    """Open the checkpoint of one row, to read single tensors of it; arguments as for `load_row`.

    Raises:
        WeightsError: Files cannot be fetched or verified, or do not fit.
    """
    own = spec.weights
    if weights is not None:
        spec = replace(spec, weights=local_weights(own, Path(weights)))
    fetched = fetch_weights(spec.weights, progress=progress)
    checkpoint = open_checkpoint(fetched.weights, fetched.parts)
    module, plan = _planned(spec, checkpoint)
    _tie(module, plan)
    return Unread(
        module=module.eval(),
        checkpoint=checkpoint,
        plan=plan,
        preprocessor=fetched_preprocessor(
            spec, fetched, home=_words_home(own, weights), progress=progress
        ),
    )


def fitted_parts(
    spec: ModelSpec, fit: Fit, backend: Backend
) -> tuple[ModelSpec, Preprocessor, Backend]:
    """Return what an encoder consists of after fitting.

    Args:
        spec: The row as it is now.
        fit: What was learnt.
        backend: That of the encoder, for its device and type.
    """
    if not isinstance(backend, EagerBackend):
        raise OptionError("A bundle cannot be fitted; fit what zoo.load gives, and export that.")
    module = build(spec).to(backend.device, backend.dtype).eval()
    module.load_state_dict({name: torch.from_numpy(array) for name, array in fit.tensors.items()})
    preprocessor = preprocessor_for(spec)
    if fit.terms is not None:
        names = tuple(tensor.name for tensor in spec.inputs)
        assert isinstance(spec.preprocess, TermPreprocess), "terms are learnt of texts alone"
        preprocessor = TermPreprocessor(
            spec.preprocess, fit.terms, name=spec.name, inputs=names, columns=len(fit.terms)
        )
    return spec, preprocessor, EagerBackend(
        spec, module, device=backend.device, dtype=backend.dtype
    )  # fmt: skip


def random_module(
    spec: ModelSpec, *, seed: int = 0, dtype: torch.dtype = torch.float32
) -> nn.Module:
    """Return the row's network with seeded live weights, in evaluation mode."""
    module = build(spec).eval()
    make_live(module, seed)
    return module.to(dtype)


def load_module(
    spec: ModelSpec, checkpoint: Checkpoint, *, dtype: torch.dtype, device: torch.device
) -> nn.Module:
    """Return the row's network filled from a checkpoint, in evaluation mode.

    Raises:
        KeyMapError: The file does not cover the network exactly.
    """
    if spec.opaque:
        return _load_opaque(spec, checkpoint, dtype=dtype, device=device)
    module, plan = _planned(spec, checkpoint)
    state = module.state_dict()
    tensors = {
        name: tensor.to(device, dtype if state[name].is_floating_point() else state[name].dtype)
        for name, tensor in read_tensors(plan, checkpoint).items()
    }
    tied = {target: tensors[original] for target, original in plan.keymap.ties}
    module.load_state_dict({**tensors, **tied}, strict=True, assign=True)
    _tie(module, plan)
    return finish(module, device)


def _planned(spec: ModelSpec, checkpoint: Checkpoint) -> tuple[nn.Module, Plan]:
    """Return the row's network on the meta device, and where its tensors come from.

    Raises:
        KeyMapError: The file does not cover it exactly, or would lose numbers that matter.
    """
    with on_meta():
        module = build(spec)
    wanted = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    plan = make_plan(spec.family.keymaps, checkpoint.header, wanted)
    for name, why in plan.zeros:
        if checkpoint.tensor(name).any():
            raise KeyMapError(
                f"{name!r} in the file is not all zeros, so the network of {spec.name}, which has "
                f"no place for it, would give other vectors. Left out are {why}."
            )
    return module, plan


def _load_opaque(
    spec: ModelSpec, checkpoint: Checkpoint, *, dtype: torch.dtype, device: torch.device
) -> nn.Module:
    """Return another library's network, filled by the names that it gives its tensors itself."""
    own = getattr(spec.config, "load", None)
    if own is not None:
        return finish(own(spec.weights).to(device, dtype), device)
    module = build(spec)
    tensors = {name: checkpoint.tensor(name) for name in checkpoint.header}
    try:
        missing, extra = module.load_state_dict(tensors, strict=False)
    except RuntimeError as error:  # torch's, for shapes
        raise KeyMapError(f"The file does not fit {spec.name}: {error}") from error
    if missing or extra:
        raise KeyMapError(
            f"The file does not fit {spec.name}. Not in the file: {', '.join(missing[:5]) or '-'}. "
            f"Not in the network: {', '.join(extra[:5]) or '-'}."
        )
    return finish(module.to(device, dtype), device)


def read_tensors(plan: Plan, checkpoint: Checkpoint) -> dict[str, Tensor]:
    """Carry out a plan; tensors that are merely renamed stay mapped to the file."""
    tensors: dict[str, Tensor] = {}
    for assignment in plan.assignments:
        parts = _apply(assignment, [checkpoint.tensor(name) for name in assignment.sources])
        tensors.update(zip(assignment.targets, parts, strict=True))
    return tensors


def finish(module: nn.Module, device: torch.device) -> nn.Module:
    """Make what no checkpoint holds and check that nothing is left on the meta device.

    A network with non-persistent buffers fills them in `make_buffers(device)`.
    """
    for part in module.modules():
        make_buffers = getattr(part, "make_buffers", None)
        if make_buffers is not None:
            make_buffers(device)
    left = [name for name, tensor in (*module.named_parameters(), *module.named_buffers())
            if tensor.is_meta]  # fmt: skip
    if left:
        raise KeyMapError(f"Nothing fills {', '.join(left[:5])}: still on the meta device.")
    return module.eval()


def _apply(assignment: Assignment, sources: list[Tensor]) -> list[Tensor]:
    rule = assignment.rule
    tensor = sources[0] if len(sources) == 1 else torch.cat(sources, dim=rule.axis)
    if rule.flatten:
        tensor = tensor.flatten(1)
    if rule.transpose:
        tensor = tensor.t().contiguous()
    if rule.shape is not None:
        tensor = tensor.reshape(rule.shape)
    if rule.lead:
        tensor = tensor[(None,) * rule.lead]
    if len(assignment.targets) == 1:
        return [tensor]
    return [part.contiguous() for part in tensor.chunk(len(assignment.targets), dim=rule.axis)]


def _tie(module: nn.Module, plan: Plan) -> None:
    """Make tied names one Parameter again: assigning from meta gave each its own."""
    for target, original in plan.keymap.ties:
        owner, _, name = target.rpartition(".")
        setattr(module.get_submodule(owner), name, module.get_parameter(original))
