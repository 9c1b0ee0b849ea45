"""An engine that was built elsewhere is run on its golden cases before it is trusted here.

What passed is remembered in the cache, for this bundle on this device with these versions: the next
open does not run them again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.bundle import MANIFEST, Bundle
from zoo.errors import ParityError
from zoo.weights.cache import cache_root, write_whole

if TYPE_CHECKING:
    from zoo.encoder import Encoder
    from zoo.verify import Check


def is_proven(bundle: Bundle, identity: str) -> bool:
    """Whether the bundle's golden cases have passed here before.

    Args:
        bundle: That is open.
        identity: Of the device and its versions, as the runtime gives it.
    """
    return _note(bundle, identity).is_file()


def prove(bundle: Bundle, encoder: Encoder, identity: str) -> None:
    """Run the golden cases, unless they have passed here before.

    Raises:
        ParityError: An output is farther from the network's than it may be.
    """
    if is_proven(bundle, identity):
        return
    from zoo.verify import golden_checks

    checks = golden_checks(bundle, encoder)
    bad = [check for check in checks if not check.passed]
    if bad:
        worst = max(bad, key=lambda check: check.error)
        raise ParityError(
            f"{bundle.path} does not give on {identity} what it was proven to give: {worst.output} "
            f"is off by {worst.error:.2e}, and may be by {worst.limit:.2e}. It is not run. "
            "zoo.open(path, runtime='onnx') runs the graph itself."
        )
    remember(bundle, identity, checks)


def remember(bundle: Bundle, identity: str, checks: Sequence[Check]) -> None:
    """Note that all golden cases have passed here."""
    lines = [f"{check.case} {check.output} {check.error:.3e} <= {check.limit:.3e}"
             for check in checks]  # fmt: skip
    write_whole(_note(bundle, identity), "\n".join([identity, *lines, ""]).encode())


def _note(bundle: Bundle, identity: str) -> Path:
    """Return the note's place; its name holds the bundle's every byte, and where it was run."""
    digest = hashlib.sha256((bundle.path / MANIFEST).read_bytes() + identity.encode()).hexdigest()
    return cache_root() / "proofs" / f"{digest}.txt"
