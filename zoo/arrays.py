"""Arrays and tensors of any library as numpy arrays. Torch is not imported: a tensor is asked."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.errors import InputError


def to_numpy(value: Any) -> NDArray[Any]:  # noqa: ANN401  anything that has or is numbers
    """Return the numbers of an array, a tensor on any device, or a list; bfloat16 as float32.

    Raises:
        InputError: It has none.
    """
    try:
        if hasattr(value, "detach"):
            value = value.detach().cpu()
            if "bfloat16" in str(value.dtype):  # numpy has no such type
                value = value.float()
        return np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{type(value).__name__} gives no array: {error}.") from error
