"""torchfile reads tensors and nothing else. The files are written opcode by opcode: no torch, and hostile ones too."""

from __future__ import annotations

import contextlib
import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mingmu.core.errors import BadModel
from mingmu.zoo import torchfile

MAGIC, PROTOCOL = pickle.dumps(0x1950A86A20F9469CFC6C, 2), pickle.dumps(1001, 2)
MACHINE = pickle.dumps({"protocol_version": 1001, "little_endian": True}, 2)
VALUES = np.arange(6, dtype=np.float32)

NONE, CALL = b"N", b"R"
ORDERED_DICT, REBUILD = b"ccollections\nOrderedDict\n", b"ctorch._utils\n_rebuild_tensor_v2\n"


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def number(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


def group(*items: bytes) -> bytes:
    return b"(" + b"".join(items) + b"t"


def numbers(*values: int) -> bytes:
    return group(*map(number, values))


def tensor(
    *, offset: int = 0, shape: tuple[int, ...] = (2, 3), strides: tuple[int, ...] = (3, 1), length: int = 6, kind: str = "Float"
) -> bytes:
    storage = group(text("storage"), f"ctorch\n{kind}Storage\n".encode(), text("key"), text("cpu"), number(length), NONE) + b"Q"
    hooks = ORDERED_DICT + group() + CALL
    return REBUILD + group(storage, number(offset), numbers(*shape), numbers(*strides), b"\x89", hooks) + CALL


def state(value: bytes) -> bytes:
    """The pickle of OrderedDict(w=value)."""
    return b"\x80\x02" + ORDERED_DICT + group() + CALL + text("w") + value + b"s."


def file(found: bytes, *, values: bytes = struct.pack("<q", 6) + VALUES.tobytes(), machine: bytes = MACHINE) -> bytes:
    return MAGIC + PROTOCOL + machine + found + pickle.dumps(["key"], 2) + values


def test_a_tensor_comes_out_with_its_name_shape_type_and_values() -> None:
    found = torchfile.read(file(state(tensor())))
    assert list(found) == ["w"]
    assert found["w"].dtype == np.float32
    np.testing.assert_array_equal(found["w"], VALUES.reshape(2, 3))


def test_strides_and_offset_are_followed() -> None:
    found = torchfile.read(file(state(tensor(offset=1, shape=(2, 2), strides=(1, 2)))))
    np.testing.assert_array_equal(found["w"], [[1, 3], [2, 4]])


def test_whole_numbers_are_read_as_such() -> None:
    counter = tensor(shape=(), strides=(), length=1, kind="Long")
    found = torchfile.read(file(state(counter), values=struct.pack("<qq", 1, 7)))
    assert found["w"].dtype == np.int64
    assert found["w"] == 7


@pytest.mark.parametrize(
    "call",
    [
        f"c{os.system.__module__}\nsystem\n".encode() + group(text("touch hit")) + CALL,
        b"cbuiltins\neval\n" + group(text("open('hit', 'w')")) + CALL,
        b"(" + text("open('hit', 'w')") + b"ibuiltins\neval\n",
        text("builtins") + text("eval") + b"\x93" + group(text("open('hit', 'w')")) + CALL,
        b"cbuiltins\ngetattr\n" + group(REBUILD, text("__globals__")) + CALL,
        b"ctorch\nload\n" + group(text("hit")) + CALL,
        b"ccollections\ndeque\n" + group() + CALL,
    ],
)
def test_a_pickle_that_calls_anything_else_is_refused(call: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for hostile in (file(state(call)), call + b".", file(state(tensor()), machine=call + b".")):
        with pytest.raises(BadModel, match="only tensors are read"):
            torchfile.read(hostile)
    assert not list(tmp_path.iterdir()), "the hostile code ran"


@pytest.mark.parametrize(
    "outside",
    [
        tensor(offset=1),
        tensor(offset=-1),
        tensor(strides=(-3, 1)),
        tensor(shape=(2, 4)),
        tensor(shape=(3, 3), strides=(0, 0)),
        tensor(shape=(2**30, 2**30), strides=(1, 1)),
        tensor(length=7),
        tensor(length=-1),
        tensor(kind="Long"),
        tensor(shape=(2,)),
    ],
)
def test_a_tensor_that_reaches_outside_the_file_is_refused(outside: bytes) -> None:
    with pytest.raises(BadModel):
        torchfile.read(file(state(outside)))


def test_a_tensor_cannot_be_changed_after_it_was_checked() -> None:
    changed = tensor() + b"}" + text("offset") + number(10**6) + b"sb"
    with pytest.raises(BadModel):
        torchfile.read(file(state(changed)))


def test_a_state_dict_that_shadows_its_own_methods_is_read_all_the_same() -> None:
    shadowed = state(tensor())[:-1] + b"}" + text("items") + NONE + b"sb."
    np.testing.assert_array_equal(torchfile.read(file(shadowed))["w"], VALUES.reshape(2, 3))


def test_a_pickle_that_would_fill_the_memory_is_refused() -> None:
    memo_bomb = state(b"r" + struct.pack("<I", 2**32 - 1) + tensor())
    with pytest.raises(BadModel, match="limit is 1000000"):
        torchfile.read(file(memo_bomb))


def test_a_file_cut_anywhere_is_refused() -> None:
    whole = file(state(tensor()))
    for length in range(len(whole)):
        with pytest.raises(BadModel):
            torchfile.read(whole[:length])


@pytest.mark.parametrize("other", [b"", b"PK\x03\x04" + bytes(64), b"\x89PNG\r\n", pickle.dumps({"w": 1}, 2)])
def test_other_formats_are_refused(other: bytes) -> None:
    with pytest.raises(BadModel):
        torchfile.read(other)


def test_a_state_dict_with_something_else_inside_is_refused() -> None:
    for other in (text("a string"), number(3), ORDERED_DICT):
        with pytest.raises(BadModel, match="other than named tensors"):
            torchfile.read(file(state(other)))


@given(at=st.integers(0, 10**6), byte=st.integers(0, 255))
def test_a_damaged_file_is_read_or_refused_but_never_breaks_the_reader(at: int, byte: int) -> None:
    damaged = bytearray(file(state(tensor())))
    damaged[at % len(damaged)] = byte
    with contextlib.suppress(BadModel):
        torchfile.read(bytes(damaged))
