"""What `zoo parity` was asked to judge: the model, the artefacts, and the shapes of both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import nn

import zoo
from zoo.backends.eager import EagerBackend
from zoo.bundle import MANIFEST, read_manifest
from zoo.encoded import Encoded
from zoo.encoder import Encoder
from zoo.errors import OptionError
from zoo.loading import load_row
from zoo.spec import ModelSpec
from zoo_export.binding import bind
from zoo_export.outputs import named_outputs
from zoo_export.parity.candidate import Candidate
from zoo_export.parity.offers import Offer, offer
from zoo_export.parity.profile import Profile, Range, default_profile
from zoo_export.tracing import choose_outputs, example_inputs

RANDOM = "random, seed "  # as a bundle says whose weights it has


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A model and what is held against it.

    Attributes:
        row: The model, bound to the profile.
        encoder: Eager, in float32.
        candidates: What is judged, by the names that the report gives them.
        profile: Shapes that all of them are made for.
        outputs: Names of what all of them give.
    """

    row: ModelSpec
    encoder: Encoder
    candidates: Mapping[str, Candidate]
    profile: Profile
    outputs: tuple[str, ...]


def open_subjects(name: str, against: Sequence[str], weights: str | None) -> Iterator[Subject]:
    """Load a model, and open what is held against it; of a joint space, a tower at a time.

    Args:
        name: A model, a joint space, or the folder of a bundle, which is judged itself if nothing
            else is named.
        against: As `offer` takes it. For a joint space a folder that holds a bundle a tower, as
            `zoo export` writes it.
        weights: As for `zoo.load`; of a bundle, by default what it was made from.

    Raises:
        OptionError: There is no such thing to judge, or it does not fit the model.
    """
    seed = 0
    if Path(name, MANIFEST).is_file():
        against = against or (name,)
        own = read_manifest(Path(name))
        name = own.facts.name
        if weights is None and own.weights.source.startswith(RANDOM):
            weights, seed = "random", int(own.weights.source.removeprefix(RANDOM))
    rows = zoo.resolve(name)
    for row in rows:
        mine = against if len(rows) == 1 else [_of_tower(row, rows, word) for word in against]
        yield _subject(row, [offer(row, word) for word in mine], weights, seed)


def _of_tower(row: ModelSpec, rows: Sequence[ModelSpec], against: str) -> str:
    """Return a tower's part of what is held against a joint space."""
    path, at, device = against.partition("@")
    if Path(path).is_file() or (Path(path) / MANIFEST).is_file():
        towers = ", ".join(other.name for other in rows)
        raise OptionError(f"{path} is one graph. Judge one of the towers by it: {towers}.")
    return str(Path(path) / row.name) + at + device if Path(path).is_dir() else against


def _subject(row: ModelSpec, offers: Sequence[Offer], weights: str | None, seed: int) -> Subject:
    profile = _profile(row, offers)
    row = bind(row, profile)
    encoder = load_row(row, weights=weights, seed=seed)
    module = cast(EagerBackend, encoder.backend).module
    outputs = _outputs(row, module, offers)
    candidates: dict[str, Candidate] = {}
    for one in offers:
        candidates[_free(one.label, candidates)] = one.make(row, module, outputs)
    return Subject(
        row=row, encoder=encoder, candidates=candidates, profile=profile, outputs=outputs
    )


def _free(label: str, taken: Mapping[str, Candidate]) -> str:
    """Return a label that no other candidate has: two bundles may have folders of one name."""
    number = 2
    free = label
    while free in taken:
        free, number = f"{label} ({number})", number + 1
    return free


def _profile(row: ModelSpec, offers: Sequence[Offer]) -> Profile:
    """Return the shapes that all take: of the first bundle, or the default ones, less the rest."""
    bundles = [one for one in offers if one.manifest is not None]
    ranges = dict(bundles[0].ranges if bundles else default_profile(row).ranges)
    for one in offers:
        for axis, theirs in one.ranges.items():
            ours = ranges.get(axis, theirs)
            least, most = max(ours.min, theirs.min), min(ours.max, theirs.max)
            if theirs.fixed and not bundles:
                least = most = theirs.min  # the default is only a default
            if least > most:
                raise OptionError(
                    f"{one.label} takes a {axis} of {theirs.min}..{theirs.max}, the others of "
                    f"{ours.min}..{ours.max}. Judge them one at a time."
                )
            typical = min(max(ours.typical, least), most)
            ranges[axis] = Range(min=least, typical=typical, max=most, multiple=theirs.multiple)
    return Profile(ranges=ranges)


def _outputs(row: ModelSpec, module: nn.Module, offers: Sequence[Offer]) -> tuple[str, ...]:
    """Return what the network and all candidates give."""
    if all(one.outputs is None for one in offers):
        return choose_outputs(row, module, None)[0]
    bundles = [one for one in offers if one.manifest is not None]
    if bundles and len(offers) == 1 and bundles[0].outputs is not None:
        return bundles[0].outputs
    with torch.inference_mode():
        named = list(named_outputs(cast(Encoded, module(**example_inputs(row, {})))))
    for one in offers:
        found = [name for name in named if one.outputs is None or name in one.outputs]
        if not found:
            raise OptionError(
                f"{one.label} gives {', '.join(one.outputs or ())}; the model gives "
                f"{', '.join(named)}. Give an output the name of what it is."
            )
        named = found
    return tuple(named)
