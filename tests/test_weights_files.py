"""Reading what was fetched: safetensors mapped from the file, pickles converted once, safely."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import pickle
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save, save_file

from tests.test_packaging import without
from zoo.errors import FormatError, UnsafePickleError
from zoo.spec import WeightsSpec
from zoo.weights import fetch_weights, open_checkpoint
from zoo.weights.readers import HEADER_LIMIT

TENSORS = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(4, dtype=torch.int64)}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "zoo"))


def resident() -> float:
    """Return the memory that this process has touched, megabytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


# safetensors


def test_names_shapes_and_dtypes_of_all_files_are_known_without_torch(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / "one.safetensors")
    save_file({"c": torch.ones((), dtype=torch.bfloat16)}, tmp_path / "two.safetensors")
    code = (
        "import sys; from pathlib import Path; from zoo.weights import open_checkpoint;"
        "c = open_checkpoint([Path('one.safetensors'), Path('two.safetensors')]);"
        "print(sorted(c.header.items()), sorted(c.dtypes.items()), 'torch' in sys.modules)"
    )

    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True,
                         text=True, check=True)  # fmt: skip

    assert run.stdout.strip() == (
        "[('a', (2, 3)), ('b', (4,)), ('c', ())] [('a', 'F32'), ('b', 'I64'), ('c', 'BF16')] False"
    )


def test_a_tensor_where_torch_is_missing_says_what_to_install(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / "one.safetensors")
    code = """
from pathlib import Path
from zoo.errors import MissingExtraError
from zoo.weights import open_checkpoint
try:
    open_checkpoint([Path("one.safetensors")]).tensor("a")
except MissingExtraError as error:
    print(error)
"""

    assert "torch is not installed" in without(("torch",), code, tmp_path)


@pytest.mark.parametrize(
    "dtype",
    [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn,
     torch.float8_e5m2, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool],
)  # fmt: skip
def test_every_dtype_comes_back_bit_for_bit(tmp_path: Path, dtype: torch.dtype) -> None:
    value = torch.randint(0, 2, (3, 5)).to(dtype)
    save_file({"x": value, "empty": torch.zeros(0, 3)}, tmp_path / "x.safetensors")

    checkpoint = open_checkpoint([tmp_path / "x.safetensors"])

    tensor = checkpoint.tensor("x")
    assert tensor.dtype == dtype
    assert torch.equal(tensor.view(torch.uint8), value.view(torch.uint8))
    assert checkpoint.tensor("empty").shape == (0, 3)


def test_a_float32_tensor_is_mapped_to_its_file_and_not_copied(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_file({"x": torch.arange(25_000_000.0)}, path)  # 100 MB
    checkpoint = open_checkpoint([path])
    checkpoint.tensor("x")  # imports and opens what a second call need not
    before = resident()

    tensor = checkpoint.tensor("x")

    assert resident() - before < 5
    lines = Path("/proc/self/maps").read_text().splitlines()
    (line,) = (line for line in lines if line.endswith(str(path)))
    start, end = (int(address, 16) for address in line.split()[0].split("-"))
    assert start <= tensor.data_ptr() < end
    assert line.split()[1] == "rw-p"  # writable and private


def test_training_in_place_on_a_mapped_tensor_leaves_the_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_file({"x": torch.arange(1000.0), "y": torch.ones(7)}, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    parameter = torch.nn.Parameter(open_checkpoint([path]).tensor("x"))
    optimizer = torch.optim.SGD([parameter], lr=1.0)

    parameter.sum().backward()
    optimizer.step()

    assert torch.equal(parameter.detach(), torch.arange(1000.0) - 1)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == digest
    assert torch.equal(open_checkpoint([path]).tensor("x"), torch.arange(1000.0))


def test_a_tensor_outlives_its_checkpoint(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / "x.safetensors")

    tensor = open_checkpoint([tmp_path / "x.safetensors"]).tensor("a")
    (tmp_path / "x.safetensors").unlink()

    assert torch.equal(tensor, TENSORS["a"])


def test_a_tensor_that_is_not_there_is_named(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / "x.safetensors")

    with pytest.raises(FormatError, match="no tensor 'z'"):
        open_checkpoint([tmp_path / "x.safetensors"]).tensor("z")


def test_a_tensor_that_stands_in_two_files_is_refused(tmp_path: Path) -> None:
    for name in ("one", "two"):
        save_file(TENSORS, tmp_path / f"{name}.safetensors")

    with pytest.raises(FormatError, match=r"'[ab]' stands in one\.safetensors and in two"):
        open_checkpoint([tmp_path / "one.safetensors", tmp_path / "two.safetensors"])


def raw(header: Any, body: bytes = b"", length: int | None = None) -> bytes:
    """Return a safetensors file with any header and any announced length of it."""
    data = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(data) if length is None else length) + data + body


def entry(**changes: Any) -> dict[str, Any]:
    return {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **changes}


BROKEN = {
    "empty": b"",
    "seven-bytes": b"\0" * 7,
    "eight-zeros": b"\0" * 8,
    "pickle": pickle.dumps([1]),
    "html": b"<!doctype html><html><body>Please log in.</body></html>",
    "lfs-pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n",
    "huge-length": raw({}, length=2**63),
    "longest-length": raw({}, length=2**64 - 1),
    "length-past-end": raw({"a": entry()}, length=10_000),
    "over-limit": struct.pack("<Q", HEADER_LIMIT + 1) + b" " * (HEADER_LIMIT + 1),
    "list": raw([]),
    "null": raw(b"null"),
    "no-json": raw(b"{'a': 1}"),
    "not-utf-8": raw(b'{"\xff\xfe": 1}'),
    "surrogate": raw(b'{"\\ud800": {"dtype":"F32","shape":[2],"data_offsets":[0,8]}}', b"\0" * 8),
    "deep": raw(b"[" * 200_000 + b"]" * 200_000),
    "deep-metadata": raw(b'{"__metadata__": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "metadata-number": raw({"__metadata__": {"a": 1}}),
    "twice": raw(b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},'
                 b'"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}', b"\0" * 8),
    "truncated-body": raw({"a": entry()}, b"\0" * 7),
    "longer-body": raw({"a": entry()}, b"\0" * 9),
    "hole": raw({"a": entry(data_offsets=[8, 16])}, b"\0" * 16),
    "overlap": raw({"a": entry(), "b": entry(data_offsets=[4, 12])}, b"\0" * 12),
    "backwards": raw({"a": entry(data_offsets=[8, 0])}, b"\0" * 8),
    "negative-offset": raw({"a": entry(data_offsets=[-8, 0])}, b"\0" * 8),
    "negative-shape": raw({"a": entry(shape=[-2])}, b"\0" * 8),
    "overflow": raw({"a": entry(shape=[2**32, 2**32])}, b"\0" * 8),
    "size-mismatch": raw({"a": entry(shape=[3])}, b"\0" * 8),
    "float-shape": raw({"a": entry(shape=[2.0])}, b"\0" * 8),
    "bool-shape": raw({"a": entry(shape=[True], data_offsets=[0, 4])}, b"\0" * 4),
    "text-shape": raw({"a": entry(shape="2")}, b"\0" * 8),
    "nan-shape": raw(b'{"a":{"dtype":"F32","shape":[NaN],"data_offsets":[0,8]}}', b"\0" * 8),
    "long-number": raw(b'{"a":{"dtype":"F32","shape":[' + b"9" * 9_999
                       + b'],"data_offsets":[0,8]}}', b"\0" * 8),
    "unknown-dtype": raw({"a": entry(dtype="F33")}, b"\0" * 8),
    "no-dtype": raw({"a": {"shape": [2], "data_offsets": [0, 8]}}, b"\0" * 8),
    "entry-is-list": raw({"a": []}),
    "entry-is-null": raw({"a": None}),
}  # fmt: skip


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN)
def test_a_file_that_is_no_good_safetensors_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(data)

    with pytest.raises(FormatError, match=r"x\.safetensors"):
        open_checkpoint([path])


# Pickles


def fetch(path: Path, entry: str = "") -> dict[str, torch.Tensor]:
    """Return the tensors of a pickle, read the way that a row's are."""
    spec = WeightsSpec(source=str(path.parent), files=(path.name,), entry=entry)
    (found,) = fetch_weights(spec).weights
    assert found.suffix == ".safetensors"
    return load_file(found)


def assert_same(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> None:
    assert ours.keys() == theirs.keys()
    for name, tensor in theirs.items():
        assert ours[name].dtype == tensor.dtype
        assert torch.equal(ours[name], tensor)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("name", ["pytorch_model.bin", "x.pt", "x.pth", "x.pth.tar", "x.ckpt"])
def test_a_pickle_of_tensors_is_converted(tmp_path: Path, name: str, zipped: bool) -> None:
    torch.save(TENSORS, tmp_path / name, _use_new_zipfile_serialization=zipped)

    assert_same(fetch(tmp_path / name), TENSORS)


@pytest.mark.parametrize("protocol", [2, 3])
def test_any_protocol_that_torch_reads_is_read_in_silence(tmp_path: Path, protocol: int) -> None:
    torch.save(TENSORS, tmp_path / "x.bin", pickle_protocol=protocol)

    assert_same(fetch(tmp_path / "x.bin"), TENSORS)


def test_a_pickle_is_converted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save(TENSORS, tmp_path / "x.bin")
    fetch(tmp_path / "x.bin")

    def refuse(*values: object, **options: object) -> None:
        raise AssertionError("converted again")

    monkeypatch.setattr("zoo.weights.convert.pickles.read_tensors", refuse)
    assert_same(fetch(tmp_path / "x.bin"), TENSORS)


def test_a_converted_file_that_rotted_is_made_anew(tmp_path: Path) -> None:
    torch.save(TENSORS, tmp_path / "x.bin")
    spec = WeightsSpec(source=str(tmp_path), files=("x.bin",))
    (made,) = fetch_weights(spec).weights
    os.utime(made, ns=(1, 1))
    assert_same(fetch(tmp_path / "x.bin"), TENSORS)
    made.write_bytes(made.read_bytes()[:-1] + b"\x55")

    assert_same(fetch(tmp_path / "x.bin"), TENSORS)


def test_tied_strided_and_sliced_tensors_get_memory_of_their_own(tmp_path: Path) -> None:
    whole = torch.arange(100.0).reshape(10, 10)
    tensors = {
        "tied": whole, "original": whole, "transposed": whole.t(), "slice": whole[2:4],
        "expanded": torch.ones(1).expand(50), "parameter": torch.nn.Parameter(torch.ones(3)),
        "empty": torch.zeros(0), "scalar": torch.tensor(3.0),
    }  # fmt: skip
    torch.save(tensors, tmp_path / "x.bin")

    assert_same(fetch(tmp_path / "x.bin"), {k: v.detach() for k, v in tensors.items()})


WRAPPED: dict[str, dict[str, Any]] = {
    "state_dict": {"state_dict": TENSORS, "epoch": 300, "arch": "vit"},
    "model": {"model": TENSORS, "optimizer": {"state": {0: TENSORS}, "param_groups": [{"lr": 1}]}},
    "inside": {"checkpoint": {"model": {"teacher": TENSORS}}},
    "beside": {**TENSORS, "state_dict": {"other": torch.ones(1)}, "epoch": 3},
}


@pytest.mark.parametrize("value", WRAPPED.values(), ids=WRAPPED)
def test_the_one_dict_of_tensors_is_found(tmp_path: Path, value: dict[str, Any]) -> None:
    torch.save(value, tmp_path / "x.pth")

    assert_same(fetch(tmp_path / "x.pth"), TENSORS)


def test_of_several_dicts_the_row_says_which(tmp_path: Path) -> None:
    student = {"a": torch.zeros(1)}
    torch.save({"student": student, "more": {"teacher": TENSORS, "note": "x"}}, tmp_path / "x.pth")

    with pytest.raises(FormatError, match=r"'student', 'more'\. Say which .* WeightsSpec\.entry"):
        fetch(tmp_path / "x.pth")
    assert_same(fetch(tmp_path / "x.pth", "student"), student)
    assert_same(fetch(tmp_path / "x.pth", "more.teacher"), TENSORS)
    assert_same(fetch(tmp_path / "x.pth", "more"), TENSORS)
    with pytest.raises(FormatError, match=r"no entry 'more\.pupil'; at 'pupil' it has: 'teacher'"):
        fetch(tmp_path / "x.pth", "more.pupil")


class Attack:
    """A pickle that runs a command when it is loaded the careless way."""

    def __init__(self, function: Any, *values: Any) -> None:
        self.function, self.values = function, values

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.function, self.values


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize(
    ("function", "values", "name"),
    [(os.system, ("touch hacked",), "system"), (eval, ("1",), "eval"), (exec, ("1",), "exec"),
     (subprocess.Popen, (["touch", "hacked"],), "Popen"),
     (argparse.Namespace, (), "argparse.Namespace"), (getattr, (1, "real"), "getattr"),
     (__import__, ("os",), "__import__")],
)  # fmt: skip
def test_a_pickle_that_asks_for_more_than_tensors_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: Any, values: Any, name: str,
    zipped: bool,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    value = {"state_dict": TENSORS, "args": Attack(function, *values)}
    torch.save(value, tmp_path / "x.bin", _use_new_zipfile_serialization=zipped)

    with pytest.raises(UnsafePickleError, match=rf"asks for \S*{name}, .* not executed"):
        fetch(tmp_path / "x.bin")

    assert not (tmp_path / "hacked").exists()


def test_a_plain_pickle_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.bin").write_bytes(pickle.dumps(Attack(os.system, "touch hacked")))

    with pytest.raises((UnsafePickleError, FormatError)):
        fetch(tmp_path / "x.bin")

    assert not (tmp_path / "hacked").exists()


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_a_torchscript_archive_is_refused_because_it_holds_code(tmp_path: Path) -> None:
    torch.jit.trace(torch.nn.Linear(2, 2), torch.ones(1, 2)).save(str(tmp_path / "x.pt"))

    with pytest.raises(UnsafePickleError, match="TorchScript"):
        fetch(tmp_path / "x.pt")


@pytest.mark.parametrize(
    "value", [7, [torch.ones(1)], {}, {"epoch": 1}, {0: torch.ones(1)}, {"a": {"b": {}}}, "text"]
)
def test_a_pickle_without_named_tensors_is_refused(tmp_path: Path, value: Any) -> None:
    torch.save(value, tmp_path / "x.bin")

    with pytest.raises(FormatError, match="holds no dict of tensors"):
        fetch(tmp_path / "x.bin")


@pytest.mark.parametrize(
    "data", [b"", b"\0" * 100, b"PK\x03\x04", b"\x80\x02", b"<html>", save(TENSORS)]
)
def test_a_file_that_is_no_pickle_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.bin").write_bytes(data)

    with pytest.raises(FormatError, match="no file of tensors") as caught:
        fetch(tmp_path / "x.bin")

    assert "weights_only" not in str(caught.value)  # torch advises to execute the file


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_a_pickle_that_was_cut_off_is_refused(tmp_path: Path, zipped: bool) -> None:
    torch.save(TENSORS, tmp_path / "x.bin", _use_new_zipfile_serialization=zipped)
    data = (tmp_path / "x.bin").read_bytes()

    for length in range(1, len(data) - 1, 29):
        (tmp_path / "x.bin").write_bytes(data[:length])
        with pytest.raises((FormatError, UnsafePickleError)):  # half a name is a foreign one
            fetch(tmp_path / "x.bin")


def test_a_zip_that_claims_to_span_disks_is_read_as_torch_reads_it(tmp_path: Path) -> None:
    torch.save(TENSORS, tmp_path / "x.bin")
    data = bytearray((tmp_path / "x.bin").read_bytes())
    data[data.rindex(b"PK\x06\x07") + 4] = 7  # the number of the disk; Python's zipfile raises
    (tmp_path / "x.bin").write_bytes(data)

    assert_same(fetch(tmp_path / "x.bin"), TENSORS)


def test_dicts_that_hold_each_other_many_times_do_not_take_for_ever(tmp_path: Path) -> None:
    value: dict[str, Any] = {"end": 1}
    for _ in range(6):
        value = {f"{number}": value for number in range(100)}
    torch.save(value, tmp_path / "x.bin")

    with pytest.raises(FormatError, match="holds no dict of tensors"):
        fetch(tmp_path / "x.bin")


def test_a_tensor_that_safetensors_has_no_word_for_is_refused(tmp_path: Path) -> None:
    torch.save({"a": torch.eye(3).to_sparse()}, tmp_path / "x.bin")

    with pytest.raises(FormatError, match="'a'"):
        fetch(tmp_path / "x.bin")
