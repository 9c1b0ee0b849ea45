"""The test kit for families, ours and those of plugins.

```python
from zoo.testing import check_export, check_reference, check_row, tiny

def test_the_row() -> None:
    check_row(ROW)
```

Fixtures: `pytest_plugins = ["zoo.testing.fixtures"]` in a conftest.py. Needs torch; exporting needs
`encoder-zoo[export,cpu]`.
"""

from __future__ import annotations

from zoo.testing.checks import check_export, check_family, check_reference, check_row
from zoo.testing.close import FLOAT32, FLOAT64, relative_error, tolerance
from zoo.testing.shrink import example_batch, tiny

__all__ = [
    "FLOAT32",
    "FLOAT64",
    "check_export",
    "check_family",
    "check_reference",
    "check_row",
    "example_batch",
    "relative_error",
    "tiny",
    "tolerance",
]
