"""A plugin's target is exported to, judged, opened, proven and built anew as the zoo's own are."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import zoo
from tests import acme_target
from tests.acme_target import FILE, RUNTIME, TARGET, AcmeRuntime
from tests.bundle_tools import BundleOf, bundle_of as bundle_of, change_manifest, items_of, rehash
from tests.cli_tools import Zoo
from tests.tiny_rows import tiny_row
from zoo import registry
from zoo.bundle import PARITY, open_bundle
from zoo.errors import BundleError, OptionError, ParityError
from zoo.plugins import Plugin
from zoo.registry import Registry, default_registry
from zoo.targets import EngineOptions
from zoo.verify import verify
from zoo_export.build import build_bundle
from zoo_export.parity import default_profile

ROW = tiny_row("resnet-18")


@pytest.fixture(autouse=True)
def acme(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AcmeRuntime:
    """Install the plugin, with a cache of its own."""
    plugin = Plugin(
        distribution="acme",
        version="1",
        name="acme",
        module="acme",
        targets={"acme": f"{acme_target.__name__}:TARGET"},
    )
    everything = Registry([*default_registry().plugins, plugin])
    monkeypatch.setattr(registry, "default_registry", lambda: everything)
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    RUNTIME.reset()
    return RUNTIME


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Zoo:
    return Zoo(capsys, monkeypatch)


def export(place: Path) -> Path:
    """Export the tiny row to the target."""
    profile = default_profile(ROW)
    return build_bundle(ROW, place, profile=profile, weights="random", target=TARGET).path


@pytest.fixture(scope="module")
def put_off(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Export once where the machine is not."""
    RUNTIME.here = False
    return export(tmp_path_factory.mktemp("acme") / "bundle")


@pytest.fixture
def bundle(put_off: Path, tmp_path: Path, acme: AcmeRuntime) -> Path:
    """Return a copy of a bundle whose engine could not be run where it was made."""
    return Path(shutil.copytree(put_off, tmp_path / "bundle"))


# Export


def test_an_engine_that_runs_here_goes_through_the_gate(tmp_path: Path, acme: AcmeRuntime) -> None:
    place = export(tmp_path / "b")
    engine = open_bundle(place).manifest.engine

    assert engine is not None
    assert (engine.target, engine.verdict.outcome) == ("acme", "passed")
    report = json.loads((place / PARITY).read_text())
    assert [judged["name"] for judged in report["candidates"]] == ["onnx", "acme"]
    assert acme.counts["runs"] == sum(case["ran"] for case in report["cases"])


def test_a_wrong_engine_is_refused_with_its_whole_bundle(tmp_path: Path, acme: AcmeRuntime) -> None:
    acme.factor = 1.001
    with pytest.raises(ParityError, match=r"parity refused: .*; acme pooled .*b\.rejected"):
        export(tmp_path / "b")
    assert not (tmp_path / "b").exists()
    with pytest.raises(BundleError, match="not proven equal"):
        zoo.open(tmp_path / "b.rejected")


def test_an_engine_that_cannot_run_here_is_put_off_and_never_called_passed(bundle: Path) -> None:
    engine = open_bundle(bundle).manifest.engine
    assert engine is not None
    assert engine.verdict.outcome == "deferred"
    assert engine.verdict.line == (
        "ONNX passed; engine built for acme, not run here: There is no Acme machine here. "
        "`zoo verify DIR` proves it where it will run"
    )


def test_what_a_target_cannot_do_is_refused_before_there_is_a_graph(
    tmp_path: Path, acme: AcmeRuntime
) -> None:
    with pytest.raises(OptionError, match="Acme has no refit"):
        build_bundle(
            ROW,
            tmp_path / "b",
            profile=default_profile(ROW),
            weights="no such folder",
            target=TARGET,
            options=EngineOptions(refit=True),
        )
    assert list(tmp_path.iterdir()) == []
    assert acme.counts["built"] == 0


# Opening


def test_an_engine_that_was_put_off_is_proven_once_before_it_is_used(
    bundle: Path, acme: AcmeRuntime
) -> None:
    encoder = zoo.open(bundle)
    assert encoder.backend.name == "acme"
    cases = open_bundle(bundle).manifest.golden.cases
    assert acme.counts["runs"] == cases
    zoo.open(bundle)
    assert acme.counts["runs"] == cases


def test_the_proof_is_asked_for_again_when_the_bundle_is_another(
    bundle: Path, acme: AcmeRuntime
) -> None:
    zoo.open(bundle)
    before = acme.counts["runs"]
    change_manifest(bundle, lambda value: value["toolchain"].update(numpy="0.1"))
    zoo.open(bundle)
    assert acme.counts["runs"] == 2 * before


def test_an_engine_that_fails_its_golden_cases_is_not_used(bundle: Path, acme: AcmeRuntime) -> None:
    acme.factor = 1.001
    with pytest.raises(ParityError, match=r"does not give on Acme 1 .* runtime='onnx'"):
        zoo.open(bundle)
    vectors = zoo.open(bundle, runtime="onnx").encode(items_of(ROW, 2))
    acme.factor = 1.0
    np.testing.assert_allclose(zoo.open(bundle).encode(items_of(ROW, 2)), vectors)


def test_verify_proves_an_engine_for_all_that_open_it_later(
    bundle: Path, acme: AcmeRuntime
) -> None:
    assert all(check.passed for check in verify(bundle))
    before = acme.counts["runs"]
    zoo.open(bundle)
    assert acme.counts["runs"] == before


def test_verify_of_the_graph_proves_nothing_of_the_engine(bundle: Path, acme: AcmeRuntime) -> None:
    assert all(check.passed for check in verify(bundle, runtime="onnx"))
    assert acme.counts["runs"] == 0
    zoo.open(bundle)
    assert acme.counts["runs"] > 0


def test_a_bundle_runs_on_what_it_has_and_on_nothing_else(bundle: Path) -> None:
    with pytest.raises(OptionError, match="nothing for 'tensorrt'; it runs on acme and onnx"):
        zoo.open(bundle, runtime="tensorrt")


def test_an_engine_that_was_refused_is_not_run(bundle: Path) -> None:
    change_manifest(bundle, lambda value: value["engine"]["verdict"].update(outcome="refused"))
    with pytest.raises(BundleError, match=r"engine of .* was refused: ONNX passed"):
        zoo.open(bundle)


def test_a_target_whose_plugin_is_gone_is_said(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "default_registry", default_registry)
    with pytest.raises(OptionError, match="There is no backend 'acme'"):
        zoo.open(bundle)


def test_an_engine_is_built_anew_for_this_machine_once(bundle: Path, acme: AcmeRuntime) -> None:
    (bundle / FILE).write_bytes(b"for another machine")
    rehash(bundle, FILE)
    with pytest.raises(BundleError, match="cannot load"):
        zoo.open(bundle)
    built = acme.counts["built"]

    vectors = zoo.open(bundle, rebuild=True).encode(items_of(ROW, 2))
    wanted = zoo.open(bundle, runtime="onnx").encode(items_of(ROW, 2))
    np.testing.assert_allclose(vectors, wanted)
    zoo.open(bundle, rebuild=True)
    assert acme.counts["built"] == built + 1


def test_a_bundle_without_an_engine_has_none_to_be_built_anew(bundle_of: BundleOf) -> None:
    with pytest.raises(OptionError, match="has no engine to be built again"):
        zoo.open(bundle_of("resnet-18"), rebuild=True)


# One call


def test_load_exports_to_a_target_once_and_opens_it(acme: AcmeRuntime) -> None:
    encoder = zoo.load(ROW, backend="acme", weights="random")
    assert encoder.backend.name == "acme"  # type: ignore[union-attr]  # one tower
    zoo.load(ROW, backend="acme", weights="random")
    assert acme.counts["built"] == 1


# The command


def test_the_command_knows_the_targets_of_plugins(run: Zoo, tmp_path: Path) -> None:
    ran = run("export", "resnet-18", "--to", "acne", "--out", str(tmp_path / "b"))
    assert ran.code == 2
    assert "'acne' is none of acme, onnx, tensorrt, tensorrt-rtx" in ran.err


def test_options_of_engines_need_an_engine(run: Zoo, tmp_path: Path) -> None:
    ran = run("export", "resnet-18", "--sm", "89", "--out", str(tmp_path / "b"))
    assert ran.code == 2
    assert "A graph has no options of engines" in ran.err
