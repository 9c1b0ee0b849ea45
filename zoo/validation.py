"""What is wrong with a row: missing facts, a network that does not build, keys without a rule.

`zoo plugins validate` prints it, `zoo.testing.check_row` asserts that there is nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, get_args

from zoo.keys import KeyMap, template_pattern
from zoo.spec import ModelSpec, OutputName

if TYPE_CHECKING:
    from torch import nn

NAME = re.compile(r"[a-z0-9][a-z0-9.+-]*")
COMMIT = re.compile(r"[0-9a-f]{40}")
SHA256 = re.compile(r"[0-9a-f]{64}")
ARXIV = re.compile(r"\d{4}\.\d{4,5}")
AUTHORS = re.compile(r"[^,]+, [^,]+( and ([^,]+, [^,]+|others))*")
LANGUAGE = re.compile("[a-z]{2}|multilingual")
FIRST, LAST = 1970, 2100  # years
TINY = 200_000  # parameters


def fact_problems(row: ModelSpec) -> list[str]:
    """Return what is missing or wrong among the facts of a row. No torch."""
    return list(_facts(row))


def network_problems(row: ModelSpec) -> list[str]:
    """Return what is wrong with the row's network and its key maps; needs torch."""
    from zoo.nn.meta import on_meta

    try:
        with on_meta():
            module = row.config.build()
        small = row.config.tiny().build()
    except (Exception, SystemExit) as error:  # whatever the row's own code raises
        return [f"its network cannot be built: {type(error).__name__}: {error}"]
    return [*_sizes(row, module, small), *_keys(row, module)]


def uncovered(keymap: KeyMap, names: Iterable[str]) -> list[str]:
    """Return the parameters and buffers that no rule of a layout fills."""
    targets = [template_pattern(target) for rule in keymap.rules for target in rule.targets]
    tied = {target for target, _ in keymap.ties}
    return [
        name
        for name in names
        if name not in tied and not any(target.fullmatch(name) for target in targets)
    ]


def _facts(row: ModelSpec) -> Iterator[str]:
    family, weights = row.family, row.weights
    for name in (row.name, *row.aliases):
        if not NAME.fullmatch(name):
            yield f"the name {name!r} is not lower case letters, digits, dots, plus and hyphens"
    if not family.title:
        yield "its family has no title"
    if not family.arxiv and not family.url:
        yield "its family names neither an arXiv entry nor a URL"
    if family.arxiv and not ARXIV.fullmatch(family.arxiv):
        yield f"{family.arxiv!r} is no arXiv identifier"
    for paper in (family.paper, *row.papers):
        if paper.authors and not AUTHORS.fullmatch(paper.authors):
            yield (
                f"the authors {paper.authors!r} are not written as BibTeX has them, such as "
                "`Oquab, Maxime and others`"
            )
    for language in row.languages:
        if not LANGUAGE.fullmatch(language):
            yield f"{language!r} is neither an ISO 639-1 code nor `multilingual`"
    if not FIRST <= row.year <= LAST:
        yield f"the year {row.year} cannot be right"
    if not row.objective:
        yield "it does not say what the training optimised"
    if not row.license:
        yield "it has no licence; say `unknown` or `none` if that is so"
    if not row.inputs:
        yield "it has no inputs"
    if not set(row.outputs) <= set(get_args(OutputName)):
        yield f"its outputs {row.outputs} are not among {get_args(OutputName)}"
    if weights.source == "none":
        if not weights.reason:
            yield "it has no weights and gives no reason"
    elif not row.source.startswith("https://"):
        yield "it does not say where its numbers were copied from (source)"
    if weights.revision is not None and not COMMIT.fullmatch(weights.revision):
        yield f"the revision {weights.revision!r} is no commit of 40 hex digits"
    for file, digest in weights.sha256.items():
        if not SHA256.fullmatch(digest):
            yield f"the sha256 of {file} is not 64 hex digits"


def _sizes(row: ModelSpec, module: nn.Module, small: nn.Module) -> Iterator[str]:
    parameters = sum(parameter.numel() for parameter in module.parameters())
    if parameters != row.params:
        yield f"it says {row.params:,} parameters; its network has {parameters:,}"
    if not hasattr(module, "normalize"):
        yield "its network has no attribute `normalize`"
    tiny = row.config.tiny()
    if (tiny.pooling, tiny.normalize) != (row.config.pooling, row.config.normalize):
        yield "its tiny config pools or normalises differently"
    size = sum(parameter.numel() for parameter in small.parameters())
    if size > TINY:
        yield f"its tiny config has {size:,} parameters; keep it below {TINY:,}"


def _keys(row: ModelSpec, module: nn.Module) -> Iterator[str]:
    names = list(module.state_dict())
    if names and not row.family.keymaps:
        yield "its family has no key map, so no file can be loaded into it"
    missing = [uncovered(keymap, names) for keymap in row.family.keymaps]
    if missing and all(missing):
        keymap, lost = min(zip(row.family.keymaps, missing, strict=True), key=lambda p: len(p[1]))
        more = f" and {len(lost) - 3} more" if len(lost) > 3 else ""
        yield f"no rule of the layout {keymap.name!r} fills {', '.join(lost[:3])}{more}"
