"""Run the network as `torch.compile` makes it: fused kernels, from one C++ or Triton build.

The first batch of a kind waits for a compiler: seconds on a GPU, up to a minute on a processor.
Sizes that a row's inputs leave open are declared, so that another batch or length needs no further
build; a size of 1 has one of its own, which torch insists on.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any, cast

import torch
from torch import Tensor, nn

from zoo.backends.eager import EagerBackend
from zoo.encoded import Encoded
from zoo.encoder import Encoder
from zoo.errors import OptionError
from zoo.preprocess import Array, Batch
from zoo.spec import Dim, ModelSpec, TensorSpec

# Builds of one network: with and without mask, norm and gradients, and sizes of 1. Torch counts
# those of all encoders of an architecture together, and gives up at 8.
BUILDS = 64


class CompileBackend(EagerBackend):
    """A module on a device, compiled when a batch of a new kind comes.

    Args:
        spec: The row, for its inputs.
        module: The network, in evaluation mode; stays as it is.
        device: Where its parameters are.
        dtype: Type of its floating-point inputs.

    Raises:
        OptionError: There is no compiler for the device.
    """

    name = "compile"

    def __init__(
        self, spec: ModelSpec, module: nn.Module, *, device: torch.device, dtype: torch.dtype
    ) -> None:
        check_compiler(device.type)
        super().__init__(spec, module, device=device, dtype=dtype)
        self._compiled: dict[tuple[bool, bool], nn.Module] = {}

    @classmethod
    def of(cls, backend: EagerBackend) -> CompileBackend:
        """Return a backend that compiles what another runs as it is."""
        return cls(backend.spec, backend.module, device=backend.device, dtype=backend.dtype)

    def switched(self, *, normalize: bool, pooled_only: bool) -> nn.Module:
        """Return the compiled module of a kind; each is compiled once."""
        module = super().switched(normalize=normalize, pooled_only=pooled_only)
        kind = (bool(getattr(module, "normalize", False)), bool(getattr(module, "pooled_only", 0)))
        if kind not in self._compiled:
            self._compiled[kind] = cast(nn.Module, torch.compile(module, fullgraph=True))
        return self._compiled[kind]

    def tensors(self, batch: Mapping[str, Array | Tensor]) -> dict[str, Tensor]:
        """Return a batch on the device, with the axes declared that differ between batches."""
        tensors = super().tensors(batch)
        for spec in self.spec.inputs:
            if spec.name in tensors:
                tensor = tensors[spec.name]
                for axis in open_axes(self.spec, spec, tuple(tensor.shape)):
                    torch._dynamo.mark_dynamic(tensor, axis)
        return tensors

    def run(self, batch: Batch, *, normalize: bool, pooled_only: bool = False) -> Encoded:
        """Run one batch without gradients.

        Raises:
            OptionError: The network cannot be compiled.
        """
        with _compiling(self.spec.name):
            return super().run(batch, normalize=normalize, pooled_only=pooled_only)

    def forward(self, batch: Mapping[str, Array | Tensor]) -> Encoded:
        """Run with gradients, if the caller wants them.

        Raises:
            OptionError: The network cannot be compiled.
        """
        module = self.switched(
            normalize=bool(getattr(self.module, "normalize", False)),
            pooled_only=bool(getattr(self.module, "pooled_only", False)),
        )
        with _compiling(self.spec.name):
            return cast(Encoded, module(**self.tensors(batch)))

    def lanes(self) -> list[EagerBackend]:
        """Return none: a build is made for the threads that torch has."""
        return []

    def replicas(self, devices: Sequence[str]) -> list[EagerBackend]:
        """Return a copy on each device; each is compiled for its own."""
        return [CompileBackend.of(copy) for copy in super().replicas(devices)]


def compiled(encoder: Encoder) -> Encoder:
    """Return an encoder like an eager one that compiles its network at the first batch.

    Raises:
        OptionError: There is no compiler for its device.
    """
    return Encoder(
        encoder.spec,
        preprocessor=encoder.preprocessor,
        backend=CompileBackend.of(cast(EagerBackend, encoder.backend)),
        revision=encoder.revision,
    )


def open_axes(row: ModelSpec, tensor: TensorSpec, shape: Sequence[int]) -> list[int]:
    """Return the axes that one build serves at every size.

    An image's height and width are not among them: encoders prepare all images in one size, for
    which a build is faster.

    Args:
        row: Whose input it is.
        tensor: The input.
        shape: Of a batch; an axis of 1 always has a build of its own.
    """
    return [
        axis
        for axis, size in enumerate(tensor.shape)
        if isinstance(size, Dim) and shape[axis] > 1 and (axis == 0 or row.modality != "image")
    ]


def check_compiler(kind: str, environment: Mapping[str, str] = os.environ) -> None:
    """Refuse a device that nothing here compiles for.

    Args:
        kind: `cpu`, `cuda` or `mps`.
        environment: For CXX and PATH.

    Raises:
        OptionError: Says what is missing.
    """
    if kind == "cuda" and find_spec("triton") is None:
        raise OptionError(
            "backend='compile' needs Triton on a GPU, and it is not installed: it comes with "
            "torch for CUDA on Linux. Use backend='eager'."
        )
    compiler = environment.get("CXX") or ("clang++" if sys.platform == "darwin" else "g++")
    if os.name == "posix" and not shutil.which(compiler, path=environment.get("PATH")):
        raise OptionError(
            f"backend='compile' needs a C++ compiler, and there is no {compiler!r} here. Install "
            "one (such as `apt install g++`), name yours in CXX, or use backend='eager'."
        )


class _compiling:
    """Allow for many builds, and say in one sentence what cannot be built."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._limit: Any = torch._dynamo.config.patch(recompile_limit=BUILDS)

    def __enter__(self) -> None:
        self._limit.__enter__()

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._limit.__exit__(kind, error, trace)
        if isinstance(error, torch._dynamo.exc.TorchDynamoException):
            why = " ".join(str(error).partition("\n\n")[0].split())
            raise OptionError(
                f"torch cannot compile {self._name}: {why} Use backend='eager'."
            ) from error
