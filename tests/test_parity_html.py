"""The page about a report: whole, self-contained, and true to the report."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser

import pytest

from tests.mutations.bench import reference
from tests.mutations.catalog import MUTATIONS
from zoo_export.parity import Report, TorchCandidate, judge_against
from zoo_export.parity.curve import curve, words
from zoo_export.parity.html import html
from zoo_export.parity.report import CaseRecord, ModuleRecord

VOID = {"meta", "link", "br", "img", "hr", "input"}
MUTANT = 'a "graph" <b>&.onnx'


class Page(HTMLParser):
    """Reads a page: the tags must close in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def count(self, tag: str) -> int:
        return sum(found == tag for found, _ in self.tags)


@cache
def report() -> Report:
    """Return a report of a mutant and of a right candidate."""
    base = reference("vit-b16")
    mutation = next(m for m in MUTATIONS if m.kind == "tanh for exact gelu")
    candidates = {
        MUTANT: mutation.candidate(base.spec, base.module, base.outputs),
        "right": TorchCandidate(base.spec, base.module, base.outputs),
    }
    found = judge_against(base, candidates, layers=True)
    not_run = CaseRecord(name="batch 600 of <all>", samples=(), tokens=9600, ran=False)
    return replace(found, cases=(*found.cases, not_run))


def test_the_page_is_whole_and_brings_everything_with_it() -> None:
    text = html([report()])

    page = Page(text)
    assert text.startswith("<!DOCTYPE html>")
    assert page.count("title") >= 1
    assert page.count("script") == page.count("img") == page.count("link") == 0
    assert not re.search(r"https?:|src=|url\(|@import", text)
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text


def test_names_are_text_and_never_markup() -> None:
    text = html([report()])

    assert "<b>" not in text
    assert "<all>" not in text
    assert MUTANT in Page(text).text


def test_the_page_says_all_that_the_report_knows() -> None:
    found = report()
    text = Page(html([found])).text

    mutant, right = found.candidates
    assert mutant.finding is not None
    facts = [found.model, found.verdict, found.line(), mutant.finding.text, mutant.finding.cause]
    for candidate in (mutant, right):
        for output in candidate.outputs:
            facts += [output.output, output.where, f"{output.norm:.6f}"]
            facts += [f"{output.cosine:.3g}", f"{output.ratio:.3g}"]
    facts += [case.name for case in found.cases] + list(found.samples)
    facts += [word for pair in found.versions.items() for word in pair]
    facts += [f"{value:.2f} s" for value in found.seconds.values()]
    facts += [f"{found.thresholds.floor:.3g}", "Limits", "How to read this"]
    assert [fact for fact in facts if " ".join(fact.split()) not in text] == []


def test_the_curve_has_a_point_for_every_boundary_and_marks_the_first_drop() -> None:
    found = report()
    page = Page(html([found]))

    mutant, right = (c.finding.modules for c in found.candidates if c.finding is not None)
    dots = [attrs for tag, attrs in page.tags if tag == "circle" and attrs["class"] == "dot"]
    marks = [attrs for tag, attrs in page.tags if tag == "circle" and attrs["class"] == "mark"]
    assert len(dots) == len(mutant) + len(right)
    assert len(marks) == 1
    assert page.count("polyline") == 4
    assert "blocks.1.mlp.fc2 in: 74 dB" in page.text


def test_a_curve_stays_inside_its_drawing_whatever_the_numbers() -> None:
    values = (300.0, 140.0, -300.0, 60.0)
    records = [ModuleRecord(module=f"m{i}", side="out", sqnr=v, yardstick=140.0)
               for i, v in enumerate(values)]  # fmt: skip

    drawing = curve(records, "m2")

    assert drawing is not None
    assert all(0 <= p.x <= 960 and 0 <= p.y <= 300 for p in drawing.candidate)
    assert drawing.first == drawing.candidate[2]
    assert curve(records[:1], "") is None
    assert words(300.0) == "exact"


@pytest.mark.parametrize("deferred", [True, False])
def test_a_report_without_numbers_is_a_page_too(deferred: bool) -> None:
    class Broken:
        def run(self, batch: object) -> dict[str, object]:
            raise RuntimeError("no kernel")

    found = judge_against(reference("vit-b16"), {"broken": Broken()})  # type: ignore[dict-item]
    if deferred:
        found = replace(found, verdict="deferred", candidates=(), reason="too large for 1.0 GB")

    text = Page(html([found])).text

    assert ("too large for 1.0 GB" if deferred else "no kernel") in text
