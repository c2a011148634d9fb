"""Whether a style pack's network may be loaded: looked at as bytes, before any library parses or runs it.

Comes in: an ONNX file of anybody. Goes out: nothing, or `ValueError`. What could reach outside of the file (external
data), run without end (loops, functions) or call foreign code (custom operators) is refused, and so is what is too
large. An ONNX file is a protocol buffer; the numbers of its fields are those of onnx.proto. Any thread.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from realtime.types import Size

MOST_BYTES = 64 << 20
MOST_NODES = 2000
LARGEST_SIDE = 1 << 20  # of a tensor in the file
_DOMAINS = (b"", b"ai.onnx")
_REFUSED = (b"If", b"Loop", b"Scan", b"SequenceMap", b"Optional", b"OptionalGetElement")
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
# field numbers in onnx.proto
_MODEL_GRAPH, _MODEL_FUNCTIONS = 7, 25
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_INPUT, _GRAPH_SPARSE = 1, 5, 11, 15
_NODE_OP, _NODE_ATTRIBUTE, _NODE_DOMAIN = 4, 5, 7
_ATTRIBUTE_TENSOR, _ATTRIBUTE_GRAPH, _ATTRIBUTE_TENSORS, _ATTRIBUTE_GRAPHS = 5, 6, 10, 11
_ATTRIBUTE_SPARSE = (22, 23)
_TENSOR_DIMS, _TENSOR_NAME, _TENSOR_EXTERNAL, _TENSOR_LOCATION = 1, 8, 13, 14
_VALUE_NAME = 1
_VALUE_TO_DIMS = (2, 1, 2, 1)  # type, tensor type, shape, each dimension
_DIM_NUMBER = 1


def check_onnx(path: Path) -> None:
    """Raises `ValueError` with the reason, and `OSError` where the file cannot be read."""
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise ValueError(f"{path.name} has {size >> 20} MiB, {MOST_BYTES >> 20} are allowed")
    graphs = []
    for number, value in _fields(memoryview(path.read_bytes()), path.name):
        if number == _MODEL_FUNCTIONS:
            raise ValueError(f"{path.name} brings functions of its own, which are not allowed")
        if number == _MODEL_GRAPH and isinstance(value, memoryview):
            graphs.append(value)
    if len(graphs) != 1:
        raise ValueError(f"{path.name} is no ONNX file")
    nodes = 0
    for number, value in _fields(graphs[0], path.name):
        if number == _GRAPH_SPARSE:
            raise ValueError(f"{path.name} holds sparse tensors, which are not allowed")
        if number == _GRAPH_INITIALIZER and isinstance(value, memoryview):
            _check_tensor(value, path.name)
        if number == _GRAPH_NODE and isinstance(value, memoryview):
            nodes += 1
            _check_node(value, path.name)
    if not 1 <= nodes <= MOST_NODES:
        raise ValueError(f"{path.name} has {nodes} nodes, 1 to {MOST_NODES} are allowed")


def input_size(path: Path) -> Size | None:
    """The fixed width and height that a generator (1, 3, h, w) works at, None where they are free.

    Raises `ValueError` and `OSError` as `check_onnx`, which is to be asked before.
    """
    content = memoryview(path.read_bytes())
    graph = next(v for n, v in _fields(content, path.name) if n == _MODEL_GRAPH and isinstance(v, memoryview))
    parts = [(n, v) for n, v in _fields(graph, path.name) if isinstance(v, memoryview)]
    weights = {_text(v, _TENSOR_NAME, path.name) for n, v in parts if n == _GRAPH_INITIALIZER}
    inputs = [v for n, v in parts if n == _GRAPH_INPUT and _text(v, _VALUE_NAME, path.name) not in weights]
    if not inputs:
        raise ValueError(f"{path.name} takes no picture")
    found = [inputs[0]]
    for wanted in _VALUE_TO_DIMS:
        found = [v for m in found for n, v in _fields(m, path.name) if n == wanted and isinstance(v, memoryview)]
    sides = [next((v for n, v in _fields(dim, path.name) if n == _DIM_NUMBER), None) for dim in found]
    if len(sides) != 4 or not isinstance(sides[2], int) or not isinstance(sides[3], int) or not sides[2] * sides[3]:
        return None
    return Size(sides[3], sides[2])


def _text(message: memoryview, number: int, name: str) -> bytes:
    return next((bytes(v) for n, v in _fields(message, name) if n == number and isinstance(v, memoryview)), b"")


def _check_node(node: memoryview, name: str) -> None:
    for number, value in _fields(node, name):
        if not isinstance(value, memoryview):
            continue
        if number == _NODE_OP and bytes(value) in _REFUSED:
            raise ValueError(f"{name} uses {bytes(value).decode()}, which is not allowed")
        if number == _NODE_DOMAIN and bytes(value) not in _DOMAINS:
            raise ValueError(f"{name} uses operators of its own, which are not allowed")
        if number == _NODE_ATTRIBUTE:
            for inner, part in _fields(value, name):
                if inner in (_ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS, *_ATTRIBUTE_SPARSE):
                    raise ValueError(f"{name} holds a graph within a node, which is not allowed")
                if inner in (_ATTRIBUTE_TENSOR, _ATTRIBUTE_TENSORS) and isinstance(part, memoryview):
                    _check_tensor(part, name)


def _check_tensor(tensor: memoryview, name: str) -> None:
    for number, value in _fields(tensor, name):
        if number == _TENSOR_EXTERNAL or (number == _TENSOR_LOCATION and value != 0):
            raise ValueError(f"{name} wants data of another file, which is not allowed")
        if number == _TENSOR_DIMS:
            packed = value if isinstance(value, memoryview) else None
            dims = [value] if packed is None else _varints(packed, name)
            if any(isinstance(side, int) and not 0 <= side <= LARGEST_SIDE for side in dims):
                raise ValueError(f"{name} holds a tensor that is too large")


def _fields(message: memoryview, name: str) -> Iterator[tuple[int, int | memoryview]]:
    """Number and value of every field; raises `ValueError` where the bytes are no message."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at, name)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, at = _varint(message, at, name)
            yield number, value
            continue
        if kind == _BYTES:
            length, at = _varint(message, at, name)
        elif kind in (_FIXED64, _FIXED32):
            length = 8 if kind == _FIXED64 else 4
        else:
            raise ValueError(f"{name} is no ONNX file")
        if number == 0 or length > len(message) - at:
            raise ValueError(f"{name} is cut short or no ONNX file")
        yield number, message[at : at + length]
        at += length


def _varints(packed: memoryview, name: str) -> Iterator[int]:
    at = 0
    while at < len(packed):
        value, at = _varint(packed, at, name)
        yield value


def _varint(message: memoryview, at: int, name: str) -> tuple[int, int]:
    value = shift = 0
    while at < len(message) and shift < 70:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
    raise ValueError(f"{name} is cut short or no ONNX file")
