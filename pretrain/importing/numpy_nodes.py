"""Arrays inside a pickle tree: the shape of numpy's pickling of an array, rebuilt from its raw bytes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pretrain.errors import PolymeraseError
from pretrain.importing.pickle_tree import Call, describe

_KINDS = {"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"}
_RECONSTRUCT = ("numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct")
_FROM_BUFFER = ("numpy.core.numeric._frombuffer", "numpy._core.numeric._frombuffer")


def is_array(node: Any) -> bool:
    """Tell whether this node stands for a numpy array."""
    return isinstance(node, Call) and node.calls(*_RECONSTRUCT, *_FROM_BUFFER)


def to_array(node: Call, source: str) -> np.ndarray:
    """Build the array a node stands for (a copy). Numbers and booleans only: an object array would run pickles.

    Raises:
        PolymeraseError: another element type, or bytes and shape that do not belong together.
    """
    try:
        if node.calls(*_FROM_BUFFER):  # protocol 5: (buffer, dtype, shape, order)
            data, dtype_node, shape, order = node.args
            fortran = order == "F"
        else:  # state = (version, shape, dtype, is_fortran, data)
            _, shape, dtype_node, fortran, data = node.state
        dtype = _dtype(dtype_node)
        raw = _raw_bytes(data)
        if not all(isinstance(n, int) and n >= 0 for n in shape):
            raise ValueError("shape")
        if math.prod(shape) * dtype.itemsize != len(raw):
            raise ValueError(f"{len(raw)} bytes for shape {shape} of {dtype}")
        array = np.frombuffer(raw, dtype=dtype).reshape(shape, order="F" if fortran else "C")
    except (TypeError, ValueError, IndexError, AttributeError) as why:
        raise PolymeraseError(f"{source}: an array that is not plain numbers ({why})") from None
    return array.astype(dtype.newbyteorder("="))


def _dtype(node: Any) -> np.dtype[Any]:
    """``numpy.dtype('f4', False, True)`` with state (3, '<', ...)."""
    if not (isinstance(node, Call) and node.calls("numpy.dtype") and node.args and node.args[0] in _KINDS):
        kind = node.args[0] if isinstance(node, Call) and isinstance(node.args, tuple) and node.args else node
        raise ValueError(f"element type {describe(kind)}")
    byte_order = node.state[1] if node.state else "="
    if byte_order not in ("<", ">", "=", "|"):
        raise ValueError(f"byte order {describe(byte_order)}")
    return np.dtype(node.args[0]).newbyteorder(byte_order)


def _raw_bytes(data: Any) -> bytes:
    """Bytes, also in the forms protocol 2 needs for them: ``_codecs.encode(text, 'latin1')``, ``bytes()`` if empty."""
    if isinstance(data, Call) and data.calls("_codecs.encode"):
        text, encoding = data.args
        if isinstance(text, str) and encoding == "latin1":
            return text.encode("latin1")
    if isinstance(data, Call) and data.calls("__builtin__.bytes", "builtins.bytes") and not data.args:
        return b""
    if isinstance(data, (bytes, bytearray)):
        return bytes(data)
    raise ValueError("its data is no bytes")
