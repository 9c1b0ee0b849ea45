"""What other tools would say of the same pair: their own code where it installs.

Each is given the arrays of one batch (as the tools do) or of every batch of the lattice (as they do
not), never another precision or provider than what it compares. True means that the tool objects.

- polygraphy 0.53, run: its `SimpleCompareFunc` (each number within 1e-5, absolute or relative) and
  its `CosineSimilarityCompareFunc` (0.997), with their defaults.
- torch.onnx 2.13, run: the `VerificationInfo` that `verify=True` computes; it warns at an absolute
  difference of 5e-3 or a relative one of 0.1. As a tool, `verify=True` compares a graph with the
  very module that it was traced from, so it sees no bug of that module; here it is given what it
  never has: the right module's outputs.
- optimum-onnx 0.1, modelled: the one line that compares values in its `validate_model_outputs`,
  `numpy.allclose(reference, output, atol=1e-5)`, whose rtol is 1e-5; its `main_export` only warns.
  The rest of that function belongs to transformers' models.
- a test for cosine > 0.99 of the vectors, as serving stacks have it, ours.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

import numpy as np
import torch
from polygraphy.comparator import CosineSimilarityCompareFunc, IterationResult, SimpleCompareFunc
from polygraphy.logger import G_LOGGER
from torch.onnx.verification import VerificationInfo

from zoo.preprocess import Array

Outputs = Mapping[str, Array]
G_LOGGER.module_severity = {"": logging.CRITICAL}
# torch/onnx/_internal/exporter/_core.py, step 6 of an export with verify=True
ABSOLUTE, RELATIVE = 5e-3, 1e-1


def _cosine(one: Array, other: Array) -> float:
    one, other = one.astype(np.float64).ravel(), other.astype(np.float64).ravel()
    norms = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) / max(norms, 1e-300)


def _optimum(eager: Array, candidate: Array) -> bool:
    return not np.allclose(eager, candidate, atol=1e-5)


def _torch(eager: Array, candidate: Array) -> bool:
    info = VerificationInfo.from_tensors(
        "output", torch.from_numpy(eager.copy()), torch.from_numpy(candidate.copy())
    )
    # warns where a difference is as large; one that is not a number is not
    return info.max_abs_diff >= ABSOLUTE or info.max_rel_diff >= RELATIVE


def _polygraphy(kind: Callable[[], Callable[..., Mapping[str, object]]]) -> Callable[..., bool]:
    def compare(eager: Array, candidate: Array) -> bool:
        one, other = (
            IterationResult({"output": np.ascontiguousarray(array)}) for array in (eager, candidate)
        )
        return not all(kind()(one, other).values())

    return compare


RIVALS: Mapping[str, Callable[[Array, Array], bool]] = {
    "polygraphy simple (run)": _polygraphy(SimpleCompareFunc),
    "polygraphy cosine (run)": _polygraphy(CosineSimilarityCompareFunc),
    "torch.onnx verify (run)": _torch,
    "optimum allclose (modelled)": _optimum,
    "cosine > 0.99": lambda one, other: not _cosine(one, other) > 0.99,
}


def objects(rival: str, eager: Outputs, candidate: Outputs) -> bool:
    """Return whether a tool objects to a candidate's outputs of one batch.

    Names, shapes and dtypes that are wrong count as seen by all of them.
    """
    for name, array in eager.items():
        other = candidate.get(name)
        if other is None or other.shape != array.shape or other.dtype != array.dtype:
            return True
        with np.errstate(all="ignore"):  # some mutants are not finite
            if array.dtype.kind == "f" and RIVALS[rival](array, other):
                return True
    return False
