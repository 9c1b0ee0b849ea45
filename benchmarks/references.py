"""What it takes to import the reference libraries beside a CPU build of torch."""

from __future__ import annotations

import runpy
from pathlib import Path

OPERATORS = Path(__file__).parent.parent / "tests" / "torchvision_operators.py"


def allow_torchvision() -> object:
    """Define the operators that torchvision expects, where this torch lacks them, as tests do.

    Without them `import torchvision` fails, and with it transformers, timm and
    sentence-transformers. Keep what is returned: the operators go when it does.
    """
    return runpy.run_path(str(OPERATORS))
