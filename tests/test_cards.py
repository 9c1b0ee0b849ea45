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
from zoo.cards.claims import CONDITIONS, SIDES, all_claims, claims_of
from zoo.cards.example import example_of
from zoo.cards.hub import DATASETS, LICENSES, front_matter
from zoo.cards.measured import Measured, digest_of, measure
from zoo.cards.render import INDEX, MARK, index, markdown, page
from zoo.cards.results import FILE, Check, Latency, RowResults, read_results, write_results
from zoo.cards.write import make_card, write_all
from zoo.registry import default_registry
from zoo.spec import ModelSpec

ROOT = Path(__file__).parent.parent
CARDS = ROOT / "model_cards"
ROWS = list(default_registry())
MINILM = default_registry().row("all-minilm-l6-v2")
DINO = default_registry().row("dinov2-b14")
NOTHING = Measured(digest="")
# Of the Hub's tasks those that an encoder of one modality does by itself.
PIPELINES = ("image-feature-extraction", "feature-extraction", "sentence-similarity")


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
    check = Check(name="ONNX graph", outcome="passed", detail="0.78 of eager's error")
    write_results(tmp_path, {"all-minilm-l6-v2": replace(stored, checks=(check,))})

    changed = write_all([MINILM], tmp_path)

    assert [path.name for path in changed] == ["all-minilm-l6-v2.md"]
    assert "| ONNX graph | passed | 0.78 of eager's error |" in changed[0].read_text()


def test_numbers_of_another_config_are_not_taken(tmp_path: Path) -> None:
    write_all([MINILM], tmp_path)
    other = MINILM.with_config(depth=3)

    assert digest_of(other) != digest_of(MINILM)
    stored = read_results(tmp_path)["all-minilm-l6-v2"]
    assert make_card(MINILM, stored).measured is stored.measured
    assert make_card(other, stored).measured.flops < 0.6 * stored.measured.flops


def test_a_latency_is_stated_of_the_very_network_that_was_timed(tmp_path: Path) -> None:
    write_all([MINILM], tmp_path)
    stored = read_results(tmp_path)[MINILM.name]
    timed = Latency(
        digest=digest_of(MINILM),
        of=MINILM.name,
        eager=20.0,
        onnx=15.0,
        processor="a processor",
        versions={"torch": "2.13.0"},
    )
    write_results(tmp_path, {MINILM.name: replace(stored, latency=timed)})

    text = markdown(make_card(MINILM, read_results(tmp_path)[MINILM.name]))
    assert "0.75 of eager PyTorch's time for that input: 15.0 of 20.0 ms" in text
    other = MINILM.with_config(depth=3)
    assert "| latency | not measured |" in markdown(
        make_card(other, replace(stored, latency=timed))
    )


def test_flops_are_those_of_the_textbook() -> None:
    measured = measure(MINILM)
    width, hidden, tokens, depth = 384, 1536, 128, 6
    layers = 2 * tokens * (4 * width**2 + 2 * width * hidden)
    attention = 2 * 2 * tokens**2 * width

    assert measured.input["input_ids"] == (1, tokens)
    assert measured.outputs == {"pooled": (1, width), "tokens": (1, tokens, width)}
    assert measured.flops == pytest.approx(depth * (layers + attention), rel=0.01)


def test_activations_are_those_that_are_alive_at_once() -> None:
    measured = measure(MINILM)
    width, hidden, tokens = 384, 1536, 128

    # the widest place of a block: before and behind the activation, beside what is added to it
    assert 4 * tokens * (2 * hidden + width) <= measured.activations
    assert measured.activations <= 4 * tokens * (2 * hidden + 3 * width)


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
    assert data["license"] in LICENSES | {"other"}
    if data["license"] == "other":
        assert data["license_name"] == row.license
        assert data["license_link"].startswith("https://")
    assert data["pipeline_tag"] in PIPELINES
    assert row.modality in data["tags"]
    assert data.get("base_model") == row.weights.repo
    assert all(re.fullmatch("[a-z]{2}|multilingual", name) for name in data.get("language", ()))
    assert all(re.fullmatch(r"[\w-]+/[\w.-]+", name) for name in data.get("datasets", ()))
    for title in ("Facts", "What it is good at, and where it misleads", "How it was verified",
                  "Architecture", "Citation"):  # fmt: skip
        assert f"\n## {title}\n" in text
    assert f'zoo.load("{row.name}"' in text
    assert f"{row.params:,}" in text
    assert "None" not in text.split("## Architecture")[0]


def test_front_matter_says_what_a_tower_does_by_itself() -> None:
    def front(name: str) -> dict[str, object]:
        return front_matter(default_registry().row(name))

    assert front("clip-b16-text")["pipeline_tag"] == "feature-extraction"
    assert front("clip-b16-image")["pipeline_tag"] == "image-feature-extraction"
    assert front("bert-base-uncased")["pipeline_tag"] == "feature-extraction"
    assert front("all-minilm-l6-v2")["pipeline_tag"] == "sentence-similarity"
    assert front("simcse-sup-bert-base")["datasets"] == ["stanfordnlp/snli", "nyu-mll/multi_nli"]
    assert front("mbert-base-cased")["language"] == ["multilingual"]
    assert "language" not in front("dinov2-b14")
    assert front("word2vec-google-news-300")["license"] == "unknown"
    assert front("dinov3-b16")["license_name"] == "dinov3-license"


def test_every_data_set_is_some_rows() -> None:
    unused = [words for words in DATASETS if not any(re.search(words, r.objective) for r in ROWS)]

    assert unused == []


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_row_has_a_strength_and_a_trap(row: ModelSpec) -> None:
    sides = [claim.side for claim in claims_of(row)]

    assert {"good", "misleads"} <= set(sides)
    assert sides == sorted(sides, key=list(SIDES).index)


def test_claims_have_a_condition_that_holds_for_a_row_and_a_paper() -> None:
    assert set(all_claims()) == set(CONDITIONS)
    assert [name for name, holds in CONDITIONS.items() if not any(map(holds, ROWS))] == []
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
    assert "never share a batch" not in texts("wav2vec2-large-lv60")
    # what was found about one way of training is not said of its relatives
    assert "very large norms" not in texts("dino-b16")
    assert "knows no words" not in texts("siglip2-b16-image")
    assert "GloVe" not in texts("siglip2-b16-text")
    assert "GloVe" not in texts("answerai-colbert-small-v1")
    assert "starting point for fine-tuning" not in texts("beit-b16")
    assert "Texture" not in texts("vit-b16")
    assert "English" not in texts("multilingual-e5-base")


def test_a_row_that_says_nothing_of_its_training_gets_no_claim_of_it() -> None:
    row = replace(MINILM, objective="see the repository", languages=())

    assert claims_of(row) == []


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_example_is_python_of_ten_lines_at_most(row: ModelSpec) -> None:
    code = example_of(row)

    compile(code, row.name, "exec")
    assert len([line for line in code.splitlines() if line]) <= 10
    assert max(map(len, code.splitlines())) <= 100


def test_an_example_is_of_the_way_in_which_a_row_is_used() -> None:
    def example(name: str) -> str:
        return example_of(default_registry().row(name))

    assert "encode_query" in example("e5-base-v2")
    assert "encoder.fit(" in example("tfidf")
    assert 'zoo.load("clip-b16")' in example("clip-b16-text")
    assert "zoo export" not in example("sift")
    assert 'weights="my-file")' in example("moco-v3-s16")
    assert "--out dist/b\n" in example_of(replace(MINILM, name="hf:a/b"))


def test_a_checkpoint_of_a_later_paper_cites_it_too() -> None:
    card = card_of(default_registry().row("dinov2-b14-reg"), NOTHING, RowResults())

    assert card.bibtex.count("@misc{") == 2
    assert "author = {Oquab, Maxime and others}" in card.bibtex
    assert "title = {{Vision Transformers Need Registers}}" in card.bibtex


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_citation_names_authors_and_has_keys_of_its_own(row: ModelSpec) -> None:
    text = card_of(row, NOTHING, RowResults()).bibtex
    keys = re.findall(r"@misc\{([\w-]+),", text)

    assert len(set(keys)) == len(keys) == text.count("  author = {") == 1 + len(row.papers)
    assert text.count("{") == text.count("}")


@pytest.mark.parametrize(
    ("name", "stride"),
    [("dinov2-b14", "14 pixels"), ("wav2vec2-base", "20 ms"), ("whisper-tiny", "20 ms"),
     ("bert-base-uncased", "")],
)  # fmt: skip
def test_a_stride_has_the_unit_of_what_is_encoded(name: str, stride: str) -> None:
    assert card_of(default_registry().row(name), NOTHING, RowResults()).stride == stride


def test_an_architecture_is_what_is_on() -> None:
    words = dict(card_of(DINO, NOTHING, RowResults()).architecture)

    assert words["image_size"] == "518, 518"
    assert words["layer_scale"] == "yes"
    assert {"swiglu", "registers", "projection", "type"} & set(words) == set()


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


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "Give the NAME of a model, or --all"),
        (["hog", "--all"], "Give the NAME of a model, or --all"),
        (["--all", "--html"], "--html is for one model"),
        (["hog", "--check"], "--check belongs to --all"),
        (["--all", "--results", "."], "--all reads the results in the folder of --out"),
        (["hog", "--out", "."], "a card is a file"),
        (["hog", "--results", "nowhere"], "does not exist"),
    ],
)
def test_the_command_refuses_what_has_no_meaning(zoo: Zoo, arguments: list[str], says: str) -> None:
    ended = zoo("card", *arguments)

    assert ended.code == 2
    assert says in ended.err


def test_no_file_is_lost_to_the_cards(zoo: Zoo, tmp_path: Path) -> None:
    (tmp_path / "CHANGELOG.md").write_text("mine")
    write_all([MINILM], tmp_path)
    assert (tmp_path / "CHANGELOG.md").read_text() == "mine"

    (tmp_path / INDEX).write_text("# Another project")
    ended = zoo("card", "--all", "--out", tmp_path)

    assert ended.code == 1
    assert "would be overwritten" in ended.err
    assert (tmp_path / INDEX).read_text() == "# Another project"
    assert MARK in index([])


def test_broken_results_are_named(zoo: Zoo, tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('{"hog": 3}')

    ended = zoo("card", "hog", "--results", tmp_path)

    assert ended.code == 1
    assert f"hog in {tmp_path / FILE}" in ended.err
