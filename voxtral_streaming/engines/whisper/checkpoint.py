"""Reading the weights of a CTranslate2 Whisper model from its file."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from voxtral_streaming.errors import WeightsError

VERSION = 6  # of the format: that of every model since CTranslate2 2.10
BFLOAT16 = 5
SCALE = "_scale"  # behind the name of what is quantised: what its rows were multiplied by
TYPES = {0: "<f4", 1: "i1", 2: "<i2", 3: "<i4", 4: "<f2", BFLOAT16: "<u2"}  # that last, the upper half of a float32

Tensor = NDArray[np.float32]


class Checkpoint:
    """The variables of a `model.bin`, by their names; read when they are asked for.

    The format: CTranslate2, model_spec.py (`_serialize`): a header, then each variable with its name, shape, type and
    bytes, then the names that are other names for a variable.
    """

    def __init__(self, path: Path) -> None:
        """Find the variables. Raises `WeightsError`."""
        try:
            data: NDArray[np.uint8] = np.memmap(path, np.uint8, mode="r")
            cursor = _Cursor(data)
            _skip_header(cursor)
            self._variables = _variables(cursor)
        except (struct.error, KeyError, ValueError) as error:
            raise WeightsError(f"{path.name} is not a model of CTranslate2 in format {VERSION}: {error}") from error

    def __contains__(self, name: str) -> bool:
        return name in self._variables

    def shape(self, name: str) -> tuple[int, ...]:
        """Of a variable. Raises `WeightsError`."""
        return self._variable(name)[0].shape

    def tensor(self, name: str) -> Tensor:
        """A variable in float32, whatever it is kept in. Raises `WeightsError`."""
        values, type_id = self._variable(name)
        if type_id == BFLOAT16:
            return (values.astype(np.uint32) << 16).view(np.float32)
        found: Tensor = values.astype(np.float32)
        if name + SCALE in self:  # quantised: times its scale, a row at a time
            found /= self.tensor(name + SCALE).reshape(-1, *[1] * (found.ndim - 1))
        return found

    def _variable(self, name: str) -> tuple[NDArray[np.generic], int]:
        if name not in self:
            raise WeightsError(f"the model has no {name}: it is not a Whisper model")
        return self._variables[name]


class _Cursor:
    """Reads what comes next."""

    def __init__(self, data: NDArray[np.uint8]) -> None:
        self._data = data
        self._at = 0

    def bytes(self, n: int) -> NDArray[np.uint8]:
        self._at += n
        if self._at > len(self._data):
            raise ValueError("it ends early")
        return self._data[self._at - n : self._at]

    def number(self, layout: str) -> int:
        (number,) = struct.unpack(f"<{layout}", self.bytes(struct.calcsize(layout)).tobytes())
        return int(number)

    def text(self) -> str:
        return self.bytes(self.number("H")).tobytes().rstrip(b"\0").decode()


def _skip_header(cursor: _Cursor) -> None:
    version = cursor.number("I")
    if version != VERSION:
        raise ValueError(f"format {version}")
    cursor.text()  # the kind of model
    cursor.number("I")  # its revision


def _variables(cursor: _Cursor) -> Mapping[str, tuple[NDArray[np.generic], int]]:
    found: dict[str, tuple[NDArray[np.generic], int]] = {}
    for _ in range(cursor.number("I")):
        name = cursor.text()
        shape = [cursor.number("I") for _ in range(cursor.number("B"))]
        type_id = cursor.number("B")
        values = cursor.bytes(cursor.number("I")).view(np.dtype(TYPES[type_id])).reshape(shape)
        found[name] = values, type_id
    for _ in range(cursor.number("I")):
        alias, name = cursor.text(), cursor.text()
        found[alias] = found[name]
        if name + SCALE in found:
            found[alias + SCALE] = found[name + SCALE]
    return found
