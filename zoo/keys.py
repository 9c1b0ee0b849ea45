"""Hold key maps against a checkpoint: which layout is it in, what goes where? No torch.

What a family writes, rules and key maps, stands in zoo.rules and is reached from here too. A key
that no rule names is an error, so is a tensor of the network that no key reaches: coverage is
exact, in both directions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import prod

from zoo.errors import KeyMapError
from zoo.rules import (
    KeyMap as KeyMap,
    Rule as Rule,
    Shape as Shape,
    drop as drop,
    drop_zeros as drop_zeros,
    merge as merge,
    move as move,
    split as split,
)

# Wrappers that training scripts leave in front of every key, whatever the architecture.
WRAPPERS = ("module.", "model.", "_orig_mod.")

OWN_LAYOUT = "state dict of encoder.module"

# The shape of a tensor that cannot be made; equal to no network's.
IMPOSSIBLE: Shape = (-1,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """How to make some of the network's tensors out of the file's.

    Attributes:
        sources: Keys as they stand in the file.
        targets: Keys of the network.
        rule: The rule that says what is done on the way.
    """

    sources: tuple[str, ...]
    targets: tuple[str, ...]
    rule: Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What loading does with a file: which layout it is in, what goes where, what stays behind.

    Attributes:
        keymap: The layout.
        assignments: What goes where.
        dropped: What stays behind, each with the reason.
        zeros: What of it has to be all zeros, each with the reason.
    """

    keymap: KeyMap
    assignments: tuple[Assignment, ...]
    dropped: tuple[tuple[str, str], ...]
    zeros: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fit:
    """A key map held against a header, with all that does not fit."""

    plan: Plan
    unknown: tuple[str, ...]
    incomplete: tuple[str, ...]
    missing: tuple[str, ...]
    extra: tuple[str, ...]
    misfits: tuple[str, ...]

    @property
    def problems(self) -> int:
        parts = (self.unknown, self.incomplete, self.missing, self.extra, self.misfits)
        return sum(map(len, parts))


def make_plan(
    keymaps: Sequence[KeyMap], header: Mapping[str, Shape], wanted: Mapping[str, Shape]
) -> Plan:
    """Choose the layout that a file is in and say where each of its tensors goes.

    The last one tried is the network's own: a state dict of `encoder.module`, after training.

    Args:
        keymaps: Layouts in which the family's checkpoints exist.
        header: Names and shapes in the file.
        wanted: Names and shapes of the network's state dict.

    Raises:
        KeyMapError: No layout covers file and network exactly; names the tensors in question.
    """
    if not keymaps:
        raise KeyMapError("The family has no key map, so no file can be loaded into it.")
    fits = []
    for keymap in (*keymaps, _own(wanted, keymaps[0].ties)):
        fit = _fit(keymap, header, wanted)
        if not fit.problems:
            return fit.plan
        fits.append(fit)
    # A layout that knows none of the keys is not near, however few the problems are.
    nearest = min(fits, key=lambda fit: (len(fit.unknown) == len(header), fit.problems))
    raise KeyMapError(_explain(nearest, len(header)))


def _own(wanted: Iterable[str], ties: tuple[tuple[str, str], ...]) -> KeyMap:
    tied = {target for target, _ in ties}
    rules = [move(name, name) for name in wanted if name not in tied]
    rules += [drop(name, "equal to another tensor") for name in tied]
    return KeyMap(name=OWN_LAYOUT, rules=tuple(rules), ties=ties)


def _fit(keymap: KeyMap, header: Mapping[str, Shape], wanted: Mapping[str, Shape]) -> _Fit:
    names = _strip(keymap, header)
    groups: dict[tuple[int, tuple[str, ...]], dict[int, str]] = {}
    dropped, zeros, unknown = [], [], []
    for name, original in names.items():
        found = _lookup(keymap, name)
        if found is None:
            unknown.append(original)
        elif not keymap.rules[found[0]].targets:
            rule = keymap.rules[found[0]]
            dropped.append((original, rule.why))
            zeros += [(original, rule.why)] * rule.zeros
        else:
            index, position, values = found
            groups.setdefault((index, values), {})[position] = original

    assignments: list[Assignment] = []
    incomplete: list[str] = []
    twice: list[str] = []
    produced: dict[str, Shape] = {}
    for (index, values), parts in groups.items():
        rule = keymap.rules[index]
        if len(parts) < len(rule.sources):
            lost = [source for place, source in enumerate(rule.sources) if place not in parts]
            incomplete.extend(_fill(source, values) for source in lost)
            continue
        sources = tuple(parts[p] for p in range(len(rule.sources)))
        targets = tuple(_fill(target, values) for target in rule.targets)
        shapes = _shapes(rule, [header[source] for source in sources])
        twice.extend(f"{target} (filled twice)" for target in targets if target in produced)
        produced.update(zip(targets, shapes, strict=True))
        assignments.append(Assignment(sources=sources, targets=targets, rule=rule))

    tied = {target for target, original in keymap.ties if original in produced}
    return _Fit(
        plan=Plan(
            keymap=keymap,
            assignments=tuple(assignments),
            dropped=tuple(dropped),
            zeros=tuple(zeros),
        ),
        unknown=tuple(unknown),
        incomplete=tuple(incomplete),
        missing=tuple(name for name in wanted if name not in produced and name not in tied),
        extra=tuple(name for name in produced if name not in wanted),
        misfits=(
            *twice,
            *(
                f"{name} (file {list(shape)}, network {list(wanted[name])})"
                for name, shape in produced.items()
                if name in wanted and shape != wanted[name]
            ),
        ),
    )


def _strip(keymap: KeyMap, header: Iterable[str]) -> dict[str, str]:
    """Return normalised name -> name in the file, under the prefix that explains most keys."""
    originals = list(header)
    candidates = [""]
    for prefix in (*keymap.prefixes, *WRAPPERS):
        candidates += [wrapper + prefix for wrapper in ("", *WRAPPERS)]
    best: dict[str, str] = {}
    best_hits = -1
    for prefix in candidates:
        if prefix and not any(name.startswith(prefix) for name in originals):
            continue
        names = {_rename(keymap, name.removeprefix(prefix)): name for name in originals}
        if len(names) < len(originals):  # two keys fell together: not this file's prefix
            continue
        hits = sum(_lookup(keymap, name) is not None for name in names)
        if hits > best_hits:
            best, best_hits = names, hits
    return best


def _rename(keymap: KeyMap, name: str) -> str:
    for old, new in keymap.renames:
        if name.endswith(old):
            return name.removesuffix(old) + new
    return name


def _lookup(keymap: KeyMap, name: str) -> tuple[int, int, tuple[str, ...]] | None:
    """Return the rule's index, the place among its sources, and the placeholders' values."""
    for index, rule in enumerate(keymap.rules):
        for position, source in enumerate(rule.sources):
            match = template_pattern(source).fullmatch(name)
            if match is not None:
                return index, position, match.groups()
    return None


@cache
def template_pattern(template: str) -> re.Pattern[str]:
    """Return what matches the names that a template stands for; placeholders are its groups."""
    special = {"*": ".*", "{wb}": "(weight|bias)"}
    parts = [part for part in re.split(r"(\{\w+\}|\*)", template) if part]
    return re.compile(
        "".join(
            special.get(part, r"(\d+)" if part.startswith("{") else re.escape(part))
            for part in parts
        )
    )


def _fill(template: str, values: Sequence[str]) -> str:
    for value in values:
        template = re.sub(r"\{\w+\}", value, template, count=1)
    return template


def _shapes(rule: Rule, sources: Sequence[Shape]) -> list[Shape]:
    """Return the targets' shapes; a step that these tensors do not allow gives IMPOSSIBLE."""
    shape = list(sources[0])
    if len(sources) > 1:
        if any(_without(source, rule.axis) != _without(shape, rule.axis) for source in sources):
            return [IMPOSSIBLE] * len(rule.targets)
        shape[rule.axis] = sum(source[rule.axis] for source in sources)
    if rule.flatten and shape:
        shape = [shape[0], prod(shape[1:])]
    if rule.transpose:
        shape.reverse()
    if rule.shape is not None:
        shape = list(_reshaped(shape, rule.shape))
    shape = [1] * rule.lead + shape
    if len(rule.targets) > 1:
        if len(shape) <= rule.axis or shape[rule.axis] % len(rule.targets):
            return [IMPOSSIBLE] * len(rule.targets)
        shape[rule.axis] //= len(rule.targets)
    return [tuple(shape)] * len(rule.targets)


def _without(shape: Sequence[int], axis: int) -> tuple[int, ...] | None:
    return (*shape[:axis], *shape[axis + 1 :]) if len(shape) > axis else None


def _reshaped(shape: Sequence[int], new: Shape) -> Shape:
    total, known = prod(shape), prod(size for size in new if size != -1)
    full = tuple(total // known if size == -1 and known else size for size in new)
    return full if prod(full) == total else IMPOSSIBLE


def _explain(fit: _Fit, total: int) -> str:
    name = fit.plan.keymap.name
    lines = [f"The file's {total} tensors do not fit the layout {name!r}, which comes nearest."]
    for title, names in (
        ("No rule for checkpoint key", fit.unknown),
        ("Missing from the file", fit.incomplete),
        ("Nothing in the file fills", fit.missing),
        ("The network has no place for", fit.extra),
        ("Does not fit:", fit.misfits),
    ):
        if names:
            more = f" and {len(names) - 5} more" if len(names) > 5 else ""
            lines.append(f"{title} {', '.join(map(repr, names[:5]))}{more}.")
    lines.append(
        "Check that it was saved from this model, and by itself: encoder.module.state_dict()."
        if name == OWN_LAYOUT
        else "Check that the file belongs to this model; for a new layout add a KeyMap to the "
        "family, for a tensor that is not needed a `drop`."
    )
    return " ".join(lines)
