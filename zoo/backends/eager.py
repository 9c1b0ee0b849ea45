"""Run the network as it is, in PyTorch."""

from __future__ import annotations

import copy
import threading
from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from zoo.backends import budgets
from zoo.encoded import Encoded
from zoo.errors import OptionError
from zoo.preprocess import Array, Batch
from zoo.spec import ModelSpec

# Most batches at a time on a processor; each needs memory for its activations.
LANES = 8


class EagerBackend:
    """A module on a device.

    Args:
        spec: The row, for its inputs.
        module: The network, in evaluation mode.
        device: Where it runs, if it has no parameters that say so.
        dtype: Type of its floating-point inputs, likewise.
    """

    name = "eager"

    def __init__(
        self, spec: ModelSpec, module: nn.Module, *, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.spec = spec
        self.module = module
        self._device = device
        self._dtype = dtype

    @property
    def device(self) -> torch.device:
        """Where the network is now: users move `encoder.module` themselves."""
        parameter = self._parameter()
        return self._device if parameter is None else parameter.device

    @property
    def dtype(self) -> torch.dtype:
        """Type that the network computes in now, and takes its floating-point inputs in."""
        parameter = self._parameter()
        return self._dtype if parameter is None else parameter.dtype

    def _parameter(self) -> nn.Parameter | None:
        floats = (each for each in self.module.parameters() if each.is_floating_point())
        return next(floats, None)

    def budget(self) -> int:
        """Return tokens (text), pixels (images) or samples (sounds) of one batch."""
        budget = budgets.GPU
        if self.device.type == "cpu":
            budget = budgets.PROCESSOR_16_BIT if self.dtype.itemsize == 2 else budgets.PROCESSOR
        return budget.of(self.spec.modality)

    def tensors(self, batch: Mapping[str, Array | Tensor]) -> dict[str, Tensor]:
        """Return a batch on the device, floats in the module's dtype.

        A mask that masks nothing is left out: attention without one is faster.
        """
        tensors = {}
        for spec in self.spec.inputs:
            value = batch[spec.name]
            if spec.skippable and bool(value.all()):
                continue
            tensor = value if isinstance(value, Tensor) else torch.from_numpy(value)
            dtype = self.dtype if tensor.is_floating_point() else tensor.dtype
            tensors[spec.name] = tensor.to(self.device, dtype)
        return tensors

    def forward(self, batch: Mapping[str, Array | Tensor]) -> Encoded:
        """Run with gradients, if the caller wants them."""
        return cast(Encoded, self.module(**self.tensors(batch)))

    @torch.inference_mode()
    def run(self, batch: Batch, *, normalize: bool, pooled_only: bool = False) -> Encoded:
        """Run one batch without gradients."""
        module = self.switched(normalize=normalize, pooled_only=pooled_only)
        return cast(Encoded, module(**self.tensors(batch)))

    def switched(self, *, normalize: bool, pooled_only: bool) -> nn.Module:
        """Return the module, or a copy that shares every parameter and only switches differently.

        Args:
            normalize: As for `run`.
            pooled_only: As for `run`; some networks have no such switch.
        """
        module = self.module
        if (
            getattr(module, "normalize", False) != normalize
            or getattr(module, "pooled_only", pooled_only) != pooled_only
        ):
            module = copy.copy(module)
            module.normalize = normalize  # type: ignore[assignment]  # a plain attribute of every net
            module.pooled_only = pooled_only  # type: ignore[assignment]  # and this one of some
        return module

    def lanes(self) -> list[EagerBackend]:
        """Return runners that split a processor's threads between them.

        Two batches on a thread each are done sooner than one after the other on both: nobody waits
        for the slower thread at the end of each operation, which costs most where other work, such
        as decoding, takes turns on the same processors.
        """
        threads = torch.get_num_threads()
        if self.device.type != "cpu" or threads == 1:
            return []
        lanes = min(threads, LANES)
        return [_Lane(self, threads // lanes) for _ in range(lanes)]

    def numpy(self, value: Any) -> Array:  # noqa: ANN401  the protocol's signature
        """Return a tensor as numpy; bfloat16 and float16 become float32."""
        tensor = cast(Tensor, value).detach()
        if tensor.dtype in (torch.bfloat16, torch.float16):
            tensor = tensor.float()
        return tensor.cpu().numpy()

    def replicas(self, devices: Sequence[str]) -> list[EagerBackend]:
        """Return a copy of the module on each device."""
        return [
            EagerBackend(
                self.spec,
                copy.deepcopy(self.module).to(device),
                device=device,
                dtype=self.dtype,
            )
            for device in map(parse_device, devices)
        ]


class _Lane(EagerBackend):
    """The same module on few threads.

    Args:
        whole: What it shares the module with.
        threads: How many it takes.
    """

    def __init__(self, whole: EagerBackend, threads: int) -> None:
        super().__init__(whole.spec, whole.module, device=whole.device, dtype=whole.dtype)
        self._threads = threads

    def budget(self) -> int:
        """Return tokens (text), pixels (images) or samples (sounds) of one batch of a lane."""
        budget = budgets.LANE_16_BIT if self.dtype.itemsize == 2 else budgets.LANE
        return budget.of(self.spec.modality)

    def run(self, batch: Batch, *, normalize: bool, pooled_only: bool = False) -> Encoded:
        """Run one batch on the calling thread and its few helpers."""
        before = torch.get_num_threads()
        if before != self._threads:
            # Holds for this thread, but also becomes what threads to come start with; another
            # thread puts that back.
            torch.set_num_threads(self._threads)
            helper = threading.Thread(target=torch.set_num_threads, args=(before,))
            helper.start()
            helper.join()
        return super().run(batch, normalize=normalize, pooled_only=pooled_only)


def parse_device(device: str | torch.device) -> torch.device:
    """Return a torch device that is there.

    Raises:
        OptionError: The name is none, or this machine has no such device.
    """
    try:
        parsed = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise OptionError(
            f"{device!r} is no device. Use 'cpu', 'cuda', 'cuda:1' or 'mps'."
        ) from error
    if parsed.type == "meta":
        raise OptionError("The device 'meta' holds no numbers, so nothing can be encoded on it.")
    if parsed.type == "cuda" and not torch.cuda.is_available():
        raise OptionError("This machine has no CUDA device that torch can use. Use device='cpu'.")
    if parsed.type == "cuda" and (parsed.index or 0) >= torch.cuda.device_count():
        raise OptionError(
            f"There is no {device!r}: torch sees {torch.cuda.device_count()} device(s)."
        )
    if parsed.type == "mps" and not torch.backends.mps.is_available():
        raise OptionError("This machine has no Metal device that torch can use. Use device='cpu'.")
    return parsed


def parse_dtype(dtype: str | torch.dtype) -> torch.dtype:
    """Return a floating-point dtype.

    Raises:
        OptionError: The name is none of float32, float64, float16, bfloat16.
    """
    names = {
        "float32": torch.float32,
        "fp32": torch.float32,
        "float64": torch.float64,
        "float16": torch.float16,
        "fp16": torch.float16,
        "bfloat16": torch.bfloat16,
        "bf16": torch.bfloat16,
    }
    if isinstance(dtype, torch.dtype) and dtype in names.values():
        return dtype
    if isinstance(dtype, str) and dtype in names:
        return names[dtype]
    raise OptionError(f"dtype {dtype!r} is none of {', '.join(names)}.")
