"""Model cards are computed, agree with their rows, and are what lies in model_cards/."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from huggingface_hub import ModelCard as HubCard

from tests.cli_tools import Zoo
from zoo.cards.card import card_of
from zoo.cards.claims import CONDITIONS, all_claims, claims_of
from zoo.cards.measured import Measured, digest_of, measure
from zoo.cards.render import INDEX, index, markdown, page
from zoo.cards.results import FILE, Check, RowResults, read_results, write_results
from zoo.cards.write import make_card, write_all
from zoo.registry import default_registry
from zoo.spec import ModelSpec

ROOT = Path(__file__).parent.parent
CARDS = ROOT / "model_cards"
ROWS = list(default_registry())
MINILM = default_registry().row("all-minilm-l6-v2")
DINO = default_registry().row("dinov2-b14")
NOTHING = Measured(digest="")


@pytest.fixture
def zoo(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Zoo:
    return Zoo(capsys, monkeypatch)


def plain(row: ModelSpec) -> str:
    return markdown(card_of(row, NOTHING, RowResults()))


def test_no_card_has_drifted_from_its_row_or_its_results(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(CARDS, tmp_path / "cards"))

    changed = [path.name for path in write_all(ROWS, folder)]

    assert changed == [], "run `zoo card --all --out model_cards` and commit what it writes"
    assert (folder / FILE).read_text() == (CARDS / FILE).read_text()


def test_a_change_of_a_row_is_noticed_and_a_row_that_is_gone_loses_its_card(
    tmp_path: Path,
) -> None:
    write_all([MINILM, DINO], tmp_path)

    changed = write_all([replace(MINILM, license="mit")], tmp_path)

    assert {path.name for path in changed} == {"all-minilm-l6-v2.md", "dinov2-b14.md", INDEX}
    assert not (tmp_path / "dinov2-b14.md").exists()
    assert "license: mit" in (tmp_path / "all-minilm-l6-v2.md").read_text()
    assert write_all([replace(MINILM, license="mit")], tmp_path) == []


def test_a_change_of_results_is_noticed(tmp_path: Path) -> None:
    write_all([MINILM], tmp_path)
    stored = read_results(tmp_path)["all-minilm-l6-v2"]
    check = Check(name="ONNX parity", outcome="yes", detail="0.78 of eager's error")
    write_results(tmp_path, {"all-minilm-l6-v2": replace(stored, checks=(check,))})

    changed = write_all([MINILM], tmp_path)

    assert [path.name for path in changed] == ["all-minilm-l6-v2.md"]
    assert "| ONNX parity | yes | 0.78 of eager's error |" in changed[0].read_text()


def test_numbers_of_another_config_are_not_taken(tmp_path: Path) -> None:
    write_all([MINILM], tmp_path)
    other = MINILM.with_config(depth=3)

    assert digest_of(other) != digest_of(MINILM)
    stored = read_results(tmp_path)["all-minilm-l6-v2"]
    assert make_card(MINILM, stored).measured is stored.measured
    assert make_card(other, stored).measured.flops < 0.6 * stored.measured.flops


def test_flops_are_those_of_the_textbook() -> None:
    measured = measure(MINILM)
    width, hidden, tokens, depth = 384, 1536, 128, 6
    layers = 2 * tokens * (4 * width**2 + 2 * width * hidden)
    attention = 2 * 2 * tokens**2 * width

    assert measured.input["input_ids"] == (1, tokens)
    assert measured.outputs == {"pooled": (1, width), "tokens": (1, tokens, width)}
    assert measured.flops == pytest.approx(depth * (layers + attention), rel=0.01)


def test_what_cannot_be_measured_says_why() -> None:
    row = default_registry().row("sift")

    measured = measure(row)

    assert measured.problem
    assert measured.problem in markdown(card_of(row, measured, RowResults()))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_card_has_front_matter_of_the_hub_and_all_sections(row: ModelSpec) -> None:
    text = plain(row)
    data = HubCard(text).data.to_dict()

    assert data["library_name"] == "encoder-zoo"
    assert data["license"]
    assert data["license"] != "other" or data["license_name"] == row.license
    assert data["pipeline_tag"]
    assert row.modality in data["tags"]
    assert data.get("base_model") == row.weights.repo
    for title in ("Facts", "What it is good at, and where it misleads", "How it was verified",
                  "Architecture", "Citation"):  # fmt: skip
        assert f"\n## {title}\n" in text
    assert f'zoo.load("{row.name}")' in text
    assert f"{row.params:,}" in text
    assert "None" not in text.split("## Architecture")[0]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_way_of_training_has_a_strength_or_a_trap_with_its_paper(row: ModelSpec) -> None:
    claims = claims_of(row)

    assert claims
    assert [claim.side for claim in claims] == sorted(claim.side for claim in claims)


def test_claims_have_a_condition_and_a_paper() -> None:
    assert set(all_claims()) == set(CONDITIONS)
    for claims in all_claims().values():
        for claim in claims:
            assert re.fullmatch(r"https://\S+", claim.url)
            assert claim.title
            assert claim.text.endswith(".")


def test_a_claim_is_made_of_those_that_it_holds_for_alone() -> None:
    def texts(name: str) -> str:
        return " ".join(claim.text for claim in claims_of(default_registry().row(name)))

    assert "no sentence encoder without tuning" in texts("bert-base-uncased")
    assert "no sentence encoder without tuning" not in texts("all-minilm-l6-v2")
    assert "very large norms" in texts("dinov2-b14")
    assert "very large norms" not in texts("dinov2-b14-reg")
    assert "Negation" in texts("clip-b16-image")
    assert "Negation" not in texts("dinov2-b14")
    assert "never share a batch" in texts("wav2vec2-base")


def test_the_index_leads_to_every_card() -> None:
    text = index([card_of(row, NOTHING, RowResults()) for row in ROWS])

    assert all(f"[{row.name}]({row.name}.md)" in text for row in ROWS)


class Tags(HTMLParser):
    """Collects what a page refers to."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "br", "hr", "img", "link"):
            self.open.append(tag)
        self.sources += [value or "" for name, value in attrs if name == "src"]
        assert tag not in ("script", "link", "img")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_a_page_is_whole_and_needs_nothing_else() -> None:
    row = replace(MINILM, note="<script>alert(1)</script>")
    text = page([card_of(row, NOTHING, RowResults())])
    tags = Tags()
    tags.feed(text)

    assert tags.open == []
    assert tags.sources == []
    assert "&lt;script&gt;" in text
    assert "<table>" in text


def test_the_command_prints_a_card_and_writes_a_page(zoo: Zoo, tmp_path: Path) -> None:
    printed = zoo("card", "all-minilm-l6-v2")
    written = zoo("card", "clip-b16", "--html", "--out", tmp_path / "clip.html")

    assert printed.code == written.code == 0
    assert "# all-minilm-l6-v2" in printed.out
    assert (tmp_path / "clip.html").read_text().startswith("<!doctype html>")


def test_the_command_wants_a_name_or_all(zoo: Zoo) -> None:
    assert zoo("card").code == 2
    assert zoo("card", "hog", "--all").code == 2
    assert zoo("card", "--all", "--html").code == 2
