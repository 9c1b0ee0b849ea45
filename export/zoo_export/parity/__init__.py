"""The gate: is an artefact the network that it was made from?

    report = judge(spec, module, {"onnx": candidate}, profile=default_profile(spec),
                   outputs=("pooled", "tokens"), preprocessor=preprocessor)
    report.passed, report.line()

`docs/parity.md` explains the method and the constants. What runs a network is imported when it is
asked for: profiles and reports are read without torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from zoo_export.parity.profile import Profile, Range, default_profile
from zoo_export.parity.report import Report
from zoo_export.parity.thresholds import Thresholds

if TYPE_CHECKING:
    from zoo_export.parity.candidate import Candidate
    from zoo_export.parity.eager import TorchCandidate
    from zoo_export.parity.gate import judge, judge_against
    from zoo_export.parity.onnx_candidate import OnnxCandidate
    from zoo_export.parity.reference import prepare

_LAZY = {
    "judge": "gate",
    "judge_against": "gate",
    "prepare": "reference",
    "Candidate": "candidate",
    "TorchCandidate": "eager",
    "OnnxCandidate": "onnx_candidate",
}

__all__ = [
    "judge",
    "Candidate",
    "Profile",
    "Range",
    "default_profile",
    "Report",
    "Thresholds",
    "TorchCandidate",
    "OnnxCandidate",
    "prepare",
    "judge_against",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401  whatever the name stands for
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
