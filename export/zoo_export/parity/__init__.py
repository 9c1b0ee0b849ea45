"""The gate: is an artefact the network that it was made from?

    report = judge(spec, module, {"onnx": candidate}, profile=default_profile(spec),
                   outputs=("pooled", "tokens"), preprocessor=preprocessor)
    report.passed, report.line()

`docs/parity.md` explains the method and the constants.
"""

from __future__ import annotations

from zoo_export.parity.candidate import Candidate
from zoo_export.parity.eager import TorchCandidate
from zoo_export.parity.gate import judge, judge_against
from zoo_export.parity.profile import Profile, Range, default_profile
from zoo_export.parity.reference import prepare
from zoo_export.parity.report import Report
from zoo_export.parity.thresholds import Thresholds

__all__ = [
    "judge",
    "Candidate",
    "Profile",
    "Range",
    "default_profile",
    "Report",
    "Thresholds",
    "TorchCandidate",
    "prepare",
    "judge_against",
]
