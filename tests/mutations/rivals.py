"""What other tools would say of the same pair, modelled on their documented comparisons.

Not the tools themselves: their arithmetic and thresholds, applied to one batch (as they do) or to
every batch of the lattice (as they do not). True means that the tool objects.

- optimum 2.x, `validate_model_outputs`: numpy.allclose, atol 1e-5, rtol 1e-5; it only warns.
- torch.onnx 2.13, `verify=True`: warns at an absolute difference of 5e-3 or a relative one of 0.1.
- polygraphy 0.53, `simple`: each number within 1e-5, absolute or relative.
- polygraphy 0.53, `cosine_similarity`: 0.997 over the whole output.
- a test for cosine > 0.99 of the vectors, as serving stacks have it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from zoo.preprocess import Array

Outputs = Mapping[str, Array]


def _cosine(one: Array, other: Array) -> float:
    one, other = one.astype(np.float64).ravel(), other.astype(np.float64).ravel()
    norms = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) / max(norms, 1e-300)


def _allclose(one: Array, other: Array) -> bool:
    return not np.allclose(other, one, atol=1e-5, rtol=1e-5)


def _torch_verify(one: Array, other: Array) -> bool:
    absolute = np.abs(one - other)
    relative = absolute / np.maximum(np.abs(one), 1e-300)
    return not (absolute.max() < 5e-3 and relative.max() < 1e-1)


def _simple(one: Array, other: Array) -> bool:
    absolute = np.abs(one - other)
    good = (absolute <= 1e-5) | (absolute <= 1e-5 * np.abs(one))
    return not good.all()


RIVALS: Mapping[str, Callable[[Array, Array], bool]] = {
    "optimum allclose 1e-5": _allclose,
    "torch.onnx verify": _torch_verify,
    "polygraphy simple 1e-5": _simple,
    "polygraphy cosine 0.997": lambda one, other: not _cosine(one, other) >= 0.997,
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
