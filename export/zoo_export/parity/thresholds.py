"""Every constant that a verdict hangs on, and why; `docs/parity.md` has the measurements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Self

# A sum of rounded products is no better in one order than in another, so a right graph errs about
# as much as eager PyTorch does: over the zoo the ratio is at most 1.31 where a thousand numbers or
# more are pooled (1.56 at full size), and scatters up to 1.93 where there are fewer. These are the
# ratios of torch's own compiler benchmarks (`torch._dynamo.utils.same`: 2; 3 below a thousand
# elements; more for a handful), and the faintest bugs of the tests lie above 4.
RATIOS: tuple[tuple[int, float], ...] = ((100, 5.0), (1000, 3.0), (10**18, 2.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """What a candidate may differ by; errors are relative to the root mean square of the oracle.

    Attributes:
        ratios: Elements pooled (fewer than) to the largest ratio of the pooled errors.
        row: Factor on top of `ratios` for the worst sample: it is a maximum over samples, each
            pooled over fewer elements.
        vector: Factor on top of `ratios` for the worst single vector (a token of a sample).
        peak: Factor on top of `ratios` for the worst single number.
        floor: Rounding floor, relative: two units of float32's last place. Where eager happens to
            err less than that, a candidate may still round its output.
        peak_floor: The same for a single number, which may be several times the root mean square.
        yardstick_db: Worst signal-to-noise ratio of eager float32 itself; a yardstick that is
            worse could measure nothing.
    """

    ratios: tuple[tuple[int, float], ...] = RATIOS
    row: float = 2.0
    vector: float = 2.0
    peak: float = 2.0
    floor: float = 2 * 2.0**-24
    peak_floor: float = 16 * 2.0**-24
    yardstick_db: float = 20.0

    def ratio(self, elements: int) -> float:
        """Return k, the largest ratio of pooled errors, for a number of pooled elements."""
        return next(k for below, k in self.ratios if elements < below)

    def changed(self, words: Sequence[str]) -> Self:
        """Return limits of which some are others.

        Args:
            words: `NAME=NUMBER` each; `ratio` is k for any number of elements.

        Raises:
            ValueError: There is no such limit, or it is no number.
        """
        names = ("ratio", *(field.name for field in fields(self) if field.name != "ratios"))
        values: dict[str, Any] = {}
        for word in words:
            name, _, number = word.partition("=")
            if name not in names:
                raise ValueError(f"There is no limit {name!r}, only {', '.join(names)}.")
            try:
                values[name] = float(number)
            except ValueError:
                raise ValueError(f"{word!r} must be as in {name}=2.") from None
        if "ratio" in values:
            values["ratios"] = ((10**18, values.pop("ratio")),)
        return replace(self, **values)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return what `to_dict` gave."""
        ratios = tuple((int(below), float(k)) for below, k in values["ratios"])
        return cls(**{**values, "ratios": ratios})


DEFAULT = Thresholds()


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How much the gate may compute.

    Attributes:
        case_tokens: Tokens of one case, batch times positions; larger cases run under `thorough`.
        sample_work: Parameters times tokens of a sample, above which one real sample is enough: a
            ViT-B at 224 pixels takes a second an image for the oracle alone.
        replay_work: Parameters times tokens of one run of the whole network, up to which it is run
            again with one fault after the other to find a cause.
        memory: Part of the free memory that the float64 copy of the network may take.
    """

    case_tokens: int = 4096
    sample_work: float = 1e10
    replay_work: float = 2e10
    memory: float = 0.8


BUDGET = Budget()
