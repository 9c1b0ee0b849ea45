"""A graph whose weights are streamed is the ordinary one, and they are never held."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import onnx_ir as ir
import pytest
import torch
from torch import Tensor, nn

import zoo
from tests import bert_references, swin_reference
from tests.reference import FLOAT32, relative_error
from tests.text_kinds import KINDS, MISTRAL, reference, save, unigram
from tests.tiny_rows import distinct_rows, tiny_row
from zoo.bundle import MODEL, PARITY
from zoo.encoded import Encoded
from zoo.errors import BundleError, OptionError, ParityError
from zoo.loading import open_row, random_module
from zoo.nn.meta import on_meta
from zoo.registry import default_registry
from zoo.spec import ModelSpec
from zoo.weights import local_weights
from zoo_export import build, graph, small, streamed
from zoo_export.binding import bind
from zoo_export.build import Built, build_bundle
from zoo_export.onnx import Exported, export_graph
from zoo_export.outputs import named_outputs
from zoo_export.parity import Report, default_profile, gate
from zoo_export.streamed import computed_buffers, reader, streams
from zoo_export.tracing import choose_outputs, example_inputs

FAMILIES = ("bert-base-cased", "e5-mistral-7b-instruct", "swin-t")
MORE = ("vit-b16", "clip-b16-text", "t5-base-encoder")
TEXTS = ["a bad cab", "face", "the dog bed " * 4]


def bound(row: ModelSpec) -> ModelSpec:
    return bind(row, default_profile(row))


def tensors_of(module: nn.Module) -> dict[str, Tensor]:
    """Return parameters and buffers, also those that no checkpoint holds."""
    named = (
        *module.named_parameters(remove_duplicate=False),
        *module.named_buffers(remove_duplicate=False),
    )
    return {name: tensor.detach() for name, tensor in named}


def empty(row: ModelSpec) -> nn.Module:
    """Return a row's network on the meta device."""
    with on_meta():
        return row.config.build().eval()


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if MODEL in path.name}


@pytest.mark.parametrize(
    "name", [*FAMILIES, *(pytest.param(name, marks=pytest.mark.slow) for name in MORE)]
)
def test_a_streamed_graph_is_the_ordinary_one_byte_for_byte(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph, "ONE_FILE", 1000)  # bytes: the weights lie beside the graph
    row = bound(tiny_row(name))
    module = random_module(row)
    outputs, _ = choose_outputs(row, module, None)
    ordinary, streaming = tmp_path / "ordinary", tmp_path / "streaming"
    ordinary.mkdir()
    streaming.mkdir()

    export_graph(row, module, ordinary / MODEL, outputs=outputs, facts={})
    without = empty(row)
    computed = computed_buffers(without)
    tensors = tensors_of(module)
    export_graph(
        row,
        without,
        streaming / MODEL,
        outputs=outputs,
        facts={},
        read=lambda wanted: tensors[wanted],
    )

    assert len(files(ordinary)) == 2
    assert files(ordinary) == files(streaming)
    assert all(tensor.is_meta for tensor in tensors_of(without).values())
    assert all(torch.equal(tensors[key], value) for key, value in computed.items())


def mistral(folder: Path) -> tuple[ModelSpec, Path]:
    """Save a tiny model in float16 and several shards; return its row, too."""
    model = reference("mistral").half()
    model.save_pretrained(folder, max_shard_size="10KB")
    unigram().save(str(folder / "tokenizer.json"))
    assert len(list(folder.glob("*.safetensors"))) > 2
    (row,) = zoo.api.resolve(str(folder))
    return row, folder


def built(row: ModelSpec, place: Path, *, weights: Path | None, streamed: bool) -> Built:
    return build_bundle(
        row, place, profile=default_profile(row), weights=weights, streamed=streamed, progress=False
    )


def test_shards_of_half_precision_become_the_same_bundle(tmp_path: Path) -> None:
    row, _ = mistral(tmp_path / "model")

    ordinary = built(row, tmp_path / "ordinary", weights=None, streamed=False)
    streaming = built(row, tmp_path / "streaming", weights=None, streamed=True)

    assert files(ordinary.path) == files(streaming.path)
    assert streaming.report.passed
    assert streaming.manifest.graph == ordinary.manifest.graph
    eager = zoo.load(str(tmp_path / "model")).encode(TEXTS)
    assert relative_error(zoo.open(streaming.path).encode(TEXTS), eager) < FLOAT32


def folder_of(kind: str, folder: Path) -> ModelSpec:
    """Save a tiny reference model; return its row."""
    if kind == "swin":
        row = swin_reference.tiny_swin()
        folder.mkdir()
        swin_reference.save(swin_reference.live_timm(row).state_dict(), folder)
        return replace(row, weights=local_weights(row.weights, folder))
    if kind == "bert":
        bert_references.save(bert_references.reference("bert"), folder)
    else:
        save(reference(kind), folder)
    (row,) = zoo.api.resolve(str(folder))
    assert isinstance(row, ModelSpec)
    return row


@pytest.mark.parametrize("kind", ["mistral", "t5", "bert", "swin"])
def test_single_tensors_are_read_as_loading_makes_them(kind: str, tmp_path: Path) -> None:
    row = folder_of(kind, tmp_path / "model")  # in float64; BERT's are merged, Swin's computed too
    unread = open_row(row)
    loaded = tensors_of(unread.load(row))

    read = reader(unread)

    assert all(tensor.is_meta for tensor in tensors_of(unread.module).values())
    for name, tensor in loaded.items():
        assert torch.equal(read(name), tensor), name


# What is too large


def test_large_weights_are_streamed_unless_they_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    row = default_registry().row("e5-mistral-7b-instruct")
    weights = 4 * row.params  # bytes

    for free, expected in ((2 * weights, True), (4 * weights, False), (None, False)):
        monkeypatch.setattr(streamed, "free_memory", lambda free=free: free)
        assert streams(row, None, None) is expected
    monkeypatch.setattr(streamed, "free_memory", lambda: 0)
    assert not streams(row, "random", None)
    with pytest.raises(OptionError, match="cannot be streamed"):
        streams(row, "random", True)
    assert not streams(row, None, False)


@pytest.mark.parametrize("right", [True, False])
def test_what_cannot_be_judged_here_is_kept_apart_with_a_word_on_its_tiny_version(
    right: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row, _ = mistral(tmp_path / "model")
    put_off = gate.deferred(row, random_module(row), beside=10**15)
    assert put_off is not None
    monkeypatch.setattr(build, "deferred", lambda *_, **__: put_off)
    if not right:
        monkeypatch.setattr(small, "export_graph", with_a_change(export_graph))

    with pytest.raises(ParityError) as caught:
        built(row, tmp_path / "bundle", weights=None, streamed=True)

    rejected = tmp_path / "bundle.rejected"
    report = Report.from_json((rejected / PARITY).read_text())
    assert not (tmp_path / "bundle").exists()
    assert caught.value.exit_code == 3
    assert "GB are free" in str(caught.value)
    assert report.verdict == ("deferred" if right else "refused")
    assert ("its tiny version passed" in report.reason) is right
    with pytest.raises(BundleError, match="not proven equal"):
        zoo.open(rejected)


def with_a_change(export: Callable[..., Exported]) -> Callable[..., Exported]:
    """Return an export that changes the weights on their way."""

    def changed(*args: Any, read: Callable[[str], Tensor], **options: Any) -> Exported:
        return export(*args, read=lambda name: read(name) * 1.01, **options)

    return changed


def test_at_full_width_no_tensor_is_read_to_make_a_graph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """e5-mistral-7b-instruct, two of its layers: 2.3 GB, of which none is written here."""
    row = bound(default_registry().row("e5-mistral-7b-instruct").with_config(depth=2))
    module, made, asked = empty(row), list[ir.Model](), list[str]()
    monkeypatch.setattr(graph, "save", lambda model, _: made.append(model))

    def read(name: str) -> Tensor:
        asked.append(name)
        return torch.ones(()).expand(module.state_dict()[name].shape)

    export_graph(row, module, tmp_path / MODEL, outputs=("pooled", "tokens"), facts={}, read=read)

    tensors = [value.const_value for value in made[0].graph.initializers.values()]
    stored = [tensor for tensor in tensors if tensor is not None]
    held = [tensor for tensor in stored if not isinstance(tensor, ir.LazyTensor)]
    assert asked == []
    assert sum(tensor.nbytes for tensor in stored) > 4 * 5.6e8
    assert sum(tensor.nbytes for tensor in held) < 1000


@pytest.mark.parametrize("name", [row.name for row in distinct_rows() if not row.opaque])
def test_a_tiny_version_gives_what_the_full_one_gives(name: str) -> None:
    """Outputs of a streamed network are chosen by its tiny version, which has numbers."""
    row, tiny = default_registry().row(name), tiny_row(name)

    def names(row: ModelSpec, module: nn.Module, device: str) -> list[str]:
        example = {key: value.to(device) for key, value in example_inputs(row, {}).items()}
        with torch.no_grad():
            return list(named_outputs(cast(Encoded, module(**example))))

    full = empty(row)
    for part in full.modules():
        getattr(part, "make_buffers", lambda _: None)(torch.device("meta"))
    assert names(row, full, "meta") == names(tiny, random_module(tiny), "cpu")


# Memory

EXPORT = """
import gc, sys, threading, time
from pathlib import Path
import zoo
from zoo.loading import open_row
from zoo_export.binding import bind
from zoo_export.onnx import export_graph
from zoo_export.parity import default_profile
from zoo_export.streamed import reader

def anonymous():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))

def export(folder, name):
    (row,) = zoo.api.resolve(folder)
    row = bind(row, default_profile(row))
    unread = open_row(row)
    export_graph(row, unread.module, Path(sys.argv[1], name),
                 outputs=("pooled", "tokens"), facts={}, read=reader(unread))

def watch():
    while not done.wait(0.005):
        seen.append(anonymous())

export(sys.argv[2], "tiny.onnx")
gc.collect()
base, seen, done = anonymous(), [], threading.Event()
watcher = threading.Thread(target=watch)
watcher.start()
export(sys.argv[3], "large.onnx")
done.set()
watcher.join()
print(max(seen) - base)
"""


@pytest.mark.slow
def test_the_memory_of_a_streamed_export_is_that_of_a_few_tensors(tmp_path: Path) -> None:
    _, tiny = mistral(tmp_path / "tiny")
    config = replace(
        MISTRAL, vocab=16_000, width=1024, depth=8, heads=16, shared_heads=4, head_width=64,
        hidden=4096,
    )  # fmt: skip
    large = tmp_path / "large"
    KINDS["mistral"].make(config).half().save_pretrained(large, max_shard_size="60MB")
    unigram().save(str(large / "tokenizer.json"))
    on_disk = sum(path.stat().st_size for path in large.glob("*.safetensors"))

    done = subprocess.run(
        [sys.executable, "-c", EXPORT, str(tmp_path), str(tiny), str(large)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parent.parent,
    )

    written = (tmp_path / "large.onnx.data").stat().st_size
    assert on_disk > 2.5e8
    assert written > 1.9 * on_disk
    assert int(done.stdout) < 0.5 * on_disk
