"""Reading the weights of a CTranslate2 Whisper model from its file, for what CTranslate2 itself does not do."""

from __future__ import annotations

import re
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

DEEPER = re.compile(r"decoder/layer_[1-9]")  # layers but the first
FEW = 8  # tokens

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
            self._kind, self._revision = _kind(cursor)
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

    def write_encoder(self, path: Path) -> None:
        """Write a model with the same encoder, and as little of a decoder as CTranslate2 loads a model with."""
        n_vocabulary, _ = self.shape("decoder/embeddings/weight")
        kept = {name: found for name, found in self._variables.items() if not DEEPER.match(name)}
        with path.open("wb") as file:
            file.write(struct.pack("<I", VERSION) + _text(self._kind) + struct.pack("<II", self._revision, len(kept)))
            for name, (values, type_id) in kept.items():
                few = values[:FEW] if values.shape[:1] == (n_vocabulary,) else values
                file.write(_text(name) + struct.pack(f"<B{few.ndim}I", few.ndim, *few.shape))
                file.write(struct.pack("<BI", type_id, few.nbytes))
                file.write(few.tobytes())
            file.write(struct.pack("<I", 0))  # other names

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


def _kind(cursor: _Cursor) -> tuple[str, int]:
    """Of model, and its revision."""
    version = cursor.number("I")
    if version != VERSION:
        raise ValueError(f"format {version}")
    return cursor.text(), cursor.number("I")


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


def _text(text: str) -> bytes:
    data = text.encode() + b"\0"
    return struct.pack("<H", len(data)) + data
