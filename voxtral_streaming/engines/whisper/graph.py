"""Graphs for ONNX Runtime, made of the weights of a CTranslate2 model: what encoder and decoder have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from voxtral_streaming.engines.whisper.checkpoint import Checkpoint, Tensor

OPSET = 20  # of ONNX: the first with Gelu
IR = 9  # the format of the file that goes with it
MICROSOFT = "com.microsoft"  # operators that only ONNX Runtime has
MIDDLE = 128  # stands for 0 in what is quantised
LARGEST = 127  # number in 8 bits
TINY = 1e-12  # a row of zeros has a scale all the same
LOWEST = 0.17  # Gelu gives nothing below -0.17
MOST_INSIDE = 4096  # bytes of a constant that is part of the graph: larger ones are given to the session beside it

Limit: TypeAlias = int | None  # the largest number in 8 bits by which weights are kept; None: they are in float32
Array: TypeAlias = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Graph:
    """What a session runs."""

    model: bytes
    weights: Mapping[str, Array]  # constants that it names


@dataclass(frozen=True, slots=True)
class Matrix:
    """Weights, in float32 or in 8 bits as in CTranslate2."""

    values: NDArray[np.int8] | Tensor  # [n_out, n_in]
    scales: Tensor  # [n_out], by which rows are multiplied

    def times(self, factors: Tensor) -> Matrix:
        """The matrix, each row times its factor [n_out]."""
        if self.values.dtype == np.float32:
            return replace(self, values=self.values * factors[:, None])
        return replace(self, scales=self.scales * factors)


def matrix_of(weights: Checkpoint, name: str, limit: Limit) -> Matrix:
    """The matrix of a part of the model. Raises `WeightsError`."""
    values = weights.tensor(f"{name}/weight")
    if limit is None:
        return Matrix(values, np.ones(len(values), np.float32))
    scales: Tensor = np.maximum(np.maximum(values.max(1), -values.min(1)), TINY) / np.float32(limit)
    values /= scales[:, None]  # in place: the embeddings of whisper-base are 106 MB
    return Matrix(np.rint(values, out=values).astype(np.int8), scales)


def n_layers(weights: Checkpoint, part: str) -> int:
    """Of the encoder or the decoder."""
    n = 0
    while f"{part}/layer_{n}/ffn/linear_0/weight" in weights:
        n += 1
    return n


class Builder:
    """A graph that grows; methods return the names of what they compute. Matrices are [n_rows, width].

    All that are multiplied have equally many rows.
    """

    def __init__(self, weights: Checkpoint, limit: Limit) -> None:
        self._weights = weights
        self._limit = limit
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}
        self._beside: dict[str, Array] = {}
        self._gelus: set[str] = set()
        self._middles = ""  # names what stands for 0 in each row

    def constant(self, name: str, values: Array) -> str:
        """It, by a name of its own."""
        values = np.ascontiguousarray(values)
        if values.nbytes <= MOST_INSIDE:
            self._constants[name] = numpy_helper.from_array(values, name)
            return name
        tensor = TensorProto(name=name, dims=values.shape, data_type=helper.np_dtype_to_tensor_dtype(values.dtype))
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="beside")
        self._constants[name], self._beside[name] = tensor, values
        return name

    def weight(self, name: str) -> str:
        """A variable of the model."""
        return self.constant(name, self._weights.tensor(name))

    def apply(self, op: str, *inputs: str, name: str = "", domain: str = "", **attributes: Any) -> str:
        """What an operator makes of them."""
        name = name or f"{op}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(op, list(inputs), [name], domain=domain, **attributes))
        return name

    def linear(self, x: str, name: str, factors: Tensor | None = None) -> str:
        """[n_rows, width in] → [n_rows, width out], each column times a factor of its own, where there are such."""
        matrix = matrix_of(self._weights, name, self._limit)
        bias = self._weights.tensor(f"{name}/bias")
        if factors is not None:
            matrix, bias = matrix.times(factors), bias * factors
        product = self.scaled(*self.unscaled(x, name, matrix))
        return self.apply("Add", product, self.constant(f"{name}/bias", bias))

    def scaled(self, x: str, scales: str | None) -> str:
        """Each row times its scale, where there are such."""
        return x if scales is None else self.apply("Mul", x, scales)

    def unscaled(self, x: str, name: str, matrix: Matrix) -> tuple[str, str | None]:
        """A product, before each row is multiplied by a scale of its own [n_rows, 1], where there are such."""
        rows, scales = self.rows(x)
        return self.multiplied(rows, name, matrix), scales

    def rows(self, x: str) -> tuple[str, str | None]:
        """It, as matrices are kept, and the scales of its rows."""
        return (x, None) if self._limit is None else self.quantised(x)

    def multiplied(self, rows: str, name: str, matrix: Matrix) -> str:
        """Rows times a matrix, each still to be multiplied by its scale."""
        if self._limit is None:
            return self.apply("MatMul", rows, self.constant(f"{name}/weight", matrix.values.T))
        return self.apply(
            "MatMulIntegerToFloat",
            rows,
            self.constant(f"{name}/numbers", matrix.values.T),
            self.constant("one", np.array(1, np.float32)),
            self.constant(f"{name}/scales", matrix.scales),
            self.middle(),
            domain=MICROSOFT,
        )

    def quantised(self, x: str) -> tuple[str, str]:
        """It in uint8, each row with a scale of its own [n_rows, 1]: so it comes out alike in any company."""
        most, least = (x, LOWEST) if x in self._gelus else (self.apply("Abs", x), TINY)
        largest = self.apply("ReduceMax", most, self.constant("last", np.array([-1], np.int64)), keepdims=0)
        floored = self.apply("Max", largest, self.constant(f"least_{least}", np.array([least], np.float32)))
        scales = self.apply("Mul", floored, self.constant("share", np.array([1 / LARGEST], np.float32)))
        self._middles = self._middles or self.apply("Expand", self.middle(), self.apply("Shape", scales))
        column = self.apply("Unsqueeze", scales, self.constant("axis_1", np.array([1], np.int64)))
        return self.apply("QuantizeLinear", x, scales, self._middles, axis=0), column

    def middle(self) -> str:
        """What stands for 0 in quantised rows."""
        return self.constant("middle", np.array(MIDDLE, np.uint8))

    def fed_forward(self, x: str, layer: str) -> str:
        """What the last part of a layer makes of it."""
        normed = self.norm(x, f"{layer}/ffn/layer_norm")
        inner = self.gelu(self.linear(normed, f"{layer}/ffn/linear_0"))
        return self.apply("Add", x, self.linear(inner, f"{layer}/ffn/linear_1"))

    def gelu(self, x: str) -> str:
        """Each number times the share of the normal distribution that lies below it."""
        found = self.apply("Gelu", x)
        self._gelus.add(found)
        return found

    def norm(self, x: str, name: str) -> str:
        """It, with the mean 0 and the variance 1."""
        gamma, beta = self.weight(f"{name}/gamma"), self.weight(f"{name}/beta")
        return self.apply("LayerNormalization", x, gamma, beta, epsilon=1e-5, axis=-1)

    def graph(self, inputs: Sequence[onnx.ValueInfoProto], outputs: Sequence[str]) -> Graph:
        """The whole of it."""
        results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
        constants = list(self._constants.values())
        return Graph(_model(helper.make_graph(self._nodes, "whisper", inputs, results, constants)), self._beside)


def product_graph(weights: NDArray[np.int8]) -> Graph:
    """`values` [n, n_in] in uint8 → their product with weights [n_in, n_out], in int32."""
    product = helper.make_node("MatMulInteger", ["values", "weights"], ["product"])
    values = helper.make_tensor_value_info("values", TensorProto.UINT8, ["n", weights.shape[0]])
    found = helper.make_tensor_value_info("product", TensorProto.INT32, None)
    constants = [numpy_helper.from_array(weights, "weights")]
    return Graph(_model(helper.make_graph([product], "product", [values], [found], constants)), {})


def _model(graph: onnx.GraphProto) -> bytes:
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(MICROSOFT, 1)]
    data: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=IR).SerializeToString()
    return data
