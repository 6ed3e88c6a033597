"""The encoder of Whisper as a graph for ONNX Runtime, made of the weights of a CTranslate2 model."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper

from voxtral_streaming.engines.whisper.checkpoint import Checkpoint
from voxtral_streaming.engines.whisper.graph import MICROSOFT, Builder, Graph, Limit, Matrix, matrix_of, n_layers

TAPS = 3  # frames that a convolution sees at a time
ALL = 2**62  # frames


def encoder_graph(weights: Checkpoint, limit: Limit) -> Graph:
    """`mel` [n, n_mels] → `features` [1, n / 2, width]. Raises `WeightsError`.

    Convolutions are in float32: they are 5 % of the work, and the first thing to lose what is quiet.
    """
    builder = _Builder(weights, limit)
    first = builder.convolved("mel", "encoder/conv1", stride=1)
    x = builder.placed(builder.convolved(first, "encoder/conv2", stride=2))
    for n in range(n_layers(weights, "encoder")):
        x = _layer(builder, x, f"encoder/layer_{n}")
    builder.apply("Unsqueeze", builder.norm(x, "encoder/layer_norm"), builder.axis, name="features")
    _, n_mels, _ = weights.shape("encoder/conv1/weight")
    return builder.graph([helper.make_tensor_value_info("mel", TensorProto.FLOAT, ["n_mel", n_mels])], ["features"])


class _Builder(Builder):
    """A graph of the encoder. Tensors are [n_frames, width]: there is one window."""

    def __init__(self, weights: Checkpoint, limit: Limit) -> None:
        super().__init__(weights, limit)
        self._n_heads = int(weights.tensor("encoder/num_heads"))
        [self._width] = weights.shape("encoder/layer_norm/gamma")
        self.axis = self.constant("axis_0", np.array([0], np.int64))

    def convolved(self, x: str, name: str, stride: int) -> str:
        """Frames [n, n_in] → [n / stride, n_out]: each `TAPS` side by side, zeros at the ends, times a matrix."""
        kernel = self._weights.tensor(f"{name}/weight")  # [n_out, n_in, TAPS]
        padded = self.apply("Pad", x, self.constant("pads", np.array([1, 0, 1, 0], np.int64)))
        step = self.constant(f"step_{stride}", np.array([stride], np.int64))
        ranges = [(self._place(tap), self._place(tap + 1 - TAPS or ALL)) for tap in range(TAPS)]
        shifted = [self.apply("Slice", padded, start, end, self.axis, step) for start, end in ranges]
        matrix = kernel.transpose(2, 1, 0).reshape(-1, len(kernel))  # [TAPS * n_in, n_out]
        found = self.apply("MatMul", self.apply("Concat", *shifted, axis=1), self.constant(f"{name}/weight", matrix))
        return self.gelu(self.apply("Add", found, self.weight(f"{name}/bias")))

    def _place(self, n: int) -> str:
        return self.constant(f"place_{n}", np.array([n], np.int64))

    def placed(self, x: str) -> str:
        """It, and where each frame is."""
        table = "encoder/position_encodings/encodings"
        places = self.apply("Slice", self.weight(table), self._place(0), self.apply("Shape", x, end=1))
        return self.apply("Add", x, places)

    def attention(self, x: str, name: str) -> str:
        """What [n_frames, width] finds in all of itself, [n_frames, width].

        Three products and not one: to part what is found costs time and memory.
        """
        matrix, width = matrix_of(self._weights, name, self._limit), self._width
        rows, scales = self.rows(x)
        found = []
        for n, what in enumerate(("queries", "keys", "values")):
            own = slice(n * width, (n + 1) * width)
            product = self.multiplied(rows, f"{name}/{what}", Matrix(matrix.values[own], matrix.scales[own]))
            found.append(self.apply("Unsqueeze", self.scaled(product, scales), self.axis))
        biases = self.weight(f"{name}/bias")
        whole = self.apply("MultiHeadAttention", *found, biases, domain=MICROSOFT, num_heads=self._n_heads)
        return self.apply("Squeeze", whole, self.axis)


def _layer(builder: _Builder, x: str, name: str) -> str:
    """Attention to all of the window, and what follows."""
    normed = builder.norm(x, f"{name}/self_attention/layer_norm")
    found = builder.attention(normed, f"{name}/self_attention/linear_0")
    x = builder.apply("Add", x, builder.linear(found, f"{name}/self_attention/linear_1"))
    return builder.fed_forward(x, name)
