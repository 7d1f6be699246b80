"""Reads a torch state dict without torch, and runs none of the code that such a file may carry.

The legacy file format of `torch.save` (all versions before 1.6): five pickles - a magic number, the protocol,
facts about the machine, the object, the storage keys in file order - and then, per key, the number of elements
(int64) and the raw elements. Source: `torch/serialization.py`, `_legacy_save`.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import struct
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from mingmu.core.errors import BadModel

Array = NDArray[Any]

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001
STORAGES: dict[str, np.dtype[Any]] = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}
MAX_MEMO = 1_000_000  # the unpickler allocates up to the largest memo index, whatever the file's size


def read(data: bytes) -> dict[str, Array]:
    """Give the tensors of a state dict as numpy arrays, by name.

    Raises BadModel for another format, for a pickle that asks for anything but tensors and for tensors that
    reach outside the file.
    """
    stream = io.BytesIO(data)
    if _unpickle(stream) != MAGIC or _unpickle(stream) != PROTOCOL:
        raise BadModel("not a torch state dict in the legacy format (torch.save of torch before 1.6)")
    machine = _unpickle(stream)
    if type(machine) is not dict or machine.get("little_endian") is not True:
        raise BadModel("torch state dict: only files written on little-endian machines can be read")
    tensors = _named_tensors(_unpickle(stream))
    storages = _storages(stream, _unpickle(stream), {t.storage.key: t.storage for t in tensors.values()})
    return {name: _array(name, tensor, storages[tensor.storage.key]) for name, tensor in tensors.items()}


class _Storage(NamedTuple):  # named tuples, because a pickle can change the fields of any object that has a __dict__
    dtype: np.dtype[Any]
    key: str
    length: int  # elements


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int  # offset and strides count elements
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _unpickle(stream: io.BytesIO) -> Any:
    try:
        start = stream.tell()
        for opcode, argument, _ in pickletools.genops(stream):
            if opcode.name.endswith("PUT") and cast(int, argument) > MAX_MEMO:
                raise BadModel(f"torch state dict: memo index {argument}; the limit is {MAX_MEMO}")
        stream.seek(start)
        return _Unpickler(stream).load()
    except BadModel:
        raise
    except Exception as error:  # hostile pickles raise nearly every exception, and Python documents no closed list
        raise BadModel(f"torch state dict: the pickle cannot be read ({type(error).__name__}: {error})") from error


class _Unpickler(pickle.Unpickler):
    """Knows the three kinds of names a state dict needs, and refuses every other before it is imported."""

    def find_class(self, module: str, name: str, /) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda *arguments: _tensor(*arguments)  # a new function each time: a pickle can set attributes on it
        if module == "torch" and name in STORAGES:
            return name
        raise BadModel(f"torch state dict: the pickle asks for {module}.{name}; only tensors are read")

    def persistent_load(self, pid: Any, /) -> _Storage:
        kind, elements, key, _device, length, view = pid
        if kind != "storage" or type(key) is not str or type(length) is not int or length < 0 or view is not None:
            raise BadModel("torch state dict: a storage is described in an unknown way")
        return _Storage(STORAGES[elements], key, length)


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: object) -> _Tensor:
    """Stands in for torch._utils._rebuild_tensor_v2; what follows the strides (gradients, hooks) is not read."""
    made_of_tuples = type(storage) is _Storage and type(shape) is tuple and type(strides) is tuple and len(shape) == len(strides)
    if not made_of_tuples or not all(type(number) is int and number >= 0 for number in (offset, *shape, *strides)):
        raise BadModel("torch state dict: a tensor is described in an unknown way")
    return _Tensor(storage, offset, shape, strides)


def _named_tensors(found: object) -> dict[str, _Tensor]:
    named = dict(dict.items(found)) if isinstance(found, dict) else {}  # not found.items(): a pickle can shadow the method
    if not named or not all(type(name) is str and type(tensor) is _Tensor for name, tensor in named.items()):
        raise BadModel("torch state dict: the file holds something other than named tensors")
    return named


def _storages(stream: io.BytesIO, keys: object, wanted: Mapping[str, _Storage]) -> dict[str, Array]:
    """The flat arrays that follow the pickles: views of the file, not copies."""
    if type(keys) is not list or sorted(map(str, keys)) != sorted(wanted):
        raise BadModel("torch state dict: the list of storages does not fit the tensors")
    data, position = stream.getbuffer(), stream.tell()
    found = {}
    for key in keys:
        storage = wanted[key]
        start, end = position + 8, position + 8 + storage.length * storage.dtype.itemsize
        if end > len(data) or struct.unpack_from("<q", data, position) != (storage.length,):
            raise BadModel(f"torch state dict: the file has {len(data)} bytes, which does not fit its tensors; is it truncated?")
        found[key] = np.frombuffer(data, storage.dtype, storage.length, start)
        position = end
    return found


def _array(name: str, tensor: _Tensor, flat: Array) -> Array:
    last = tensor.offset + sum((n - 1) * s for n, s in zip(tensor.shape, tensor.strides, strict=True))
    if math.prod(tensor.shape) > flat.size or last >= flat.size:
        raise BadModel(f"torch state dict: {name} reaches outside its storage of {flat.size} elements")
    strides = [s * flat.itemsize for s in tensor.strides]
    return np.lib.stride_tricks.as_strided(flat[tensor.offset :], tensor.shape, strides).copy()
