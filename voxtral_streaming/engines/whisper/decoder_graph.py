"""The decoder of Whisper as two graphs for ONNX Runtime, made of the weights of a CTranslate2 model.

One makes keys and values of what the encoder made of a window; the other takes any number of tokens at once, behind
those that it took before, and gives the logits of what follows each of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import onnx
from onnx import TensorProto, helper

from voxtral_streaming.engines.whisper.checkpoint import Checkpoint
from voxtral_streaming.engines.whisper.graph import Builder, Graph, Limit, Matrix, n_layers

EMBEDDINGS = "decoder/embeddings"

Heads: TypeAlias = Sequence[tuple[int, int]]  # layers and heads in them


@dataclass(frozen=True, slots=True)
class Shape:
    """What the weights say of the decoder."""

    n_layers: int
    n_heads: int
    width: int
    n_vocabulary: int
    n_positions: int

    @property
    def head(self) -> int:
        """Width of a head."""
        return self.width // self.n_heads

    @property
    def upper_heads(self) -> Heads:
        """All heads of the upper half of the layers: what openai/whisper takes where nobody chose better ones."""
        return [(layer, head) for layer in range(self.n_layers // 2, self.n_layers) for head in range(self.n_heads)]


def shape_of(weights: Checkpoint) -> Shape:
    """The shape of a model's decoder. Raises `WeightsError`."""
    n_vocabulary, width = weights.shape("decoder/embeddings/weight")
    n_positions, _ = weights.shape("decoder/position_encodings/encodings")
    n_heads = int(weights.tensor("decoder/num_heads"))
    return Shape(n_layers(weights, "decoder"), n_heads, width, n_vocabulary, n_positions)


def caches(kind: str, n_layers: int) -> list[str]:
    """The names of the keys and values of all layers: of the tokens (`past`, `present`) or the audio (`cross`)."""
    return [f"{kind}_{what}_{n}" for n in range(n_layers) for what in ("keys", "values")]


class _Builder(Builder):
    """A graph of the decoder."""

    def __init__(self, weights: Checkpoint, shape: Shape, limit: Limit) -> None:
        super().__init__(weights, limit)
        self.shape = shape
        self._flat = self.constant("flat", np.array([-1, shape.width], np.int64))
        self._cached = self._single = ""  # name the shapes of rows in heads

    def laid_out(self, sizes: str) -> None:
        """Let rows be those of so many texts with so many tokens each: `sizes` names these two numbers."""
        heads, head = self.shape.n_heads, self.shape.head
        cached, single = np.array([1, heads, head], np.int64), np.array([heads, 1, head], np.int64)
        self._cached = self.apply("Concat", sizes, self.constant("cached", cached), axis=0)
        self._single = self.apply("Concat", sizes, self.constant("single", single), axis=0)

    def flat(self, x: str) -> str:
        """Whatever has the numbers of a row side by side → [n_rows, width]."""
        return self.apply("Reshape", x, self._flat)

    def split(self, x: str, n: int) -> list[str]:
        """Equal parts of the last axis."""
        names = [f"{x}_part_{part}" for part in range(n)]
        self._nodes.append(helper.make_node("Split", [x], names, axis=-1, num_outputs=n))
        return names

    def cached(self, x: str) -> str:
        """[n_rows, width] → [n_texts, n, 1, n_heads, head]: what the cache takes in one go for each token."""
        return self.apply("Reshape", x, self._cached)

    def as_keys(self, x: str, name: str = "") -> str:
        """[n_texts, n, 1, n_heads, head] → [n_texts, 1, n_heads, head, n]."""
        return self.apply("Transpose", x, name=name, perm=[0, 2, 3, 4, 1])

    def as_values(self, x: str, name: str = "") -> str:
        """[n_texts, n, 1, n_heads, head] → [n_texts, 1, n_heads, n, head]."""
        return self.apply("Transpose", x, name=name, perm=[0, 2, 3, 1, 4])

    def attention(self, queries: str, bias: str, keys: str, values: str) -> tuple[str, str]:
        """What queries [n_rows, width] find; by what weights [n_texts, n, n_heads, 1, n_keys].

        One at a time: several at once are multiplied in another order, and come out a little different.
        """
        scores = self.apply("MatMul", self.apply("Reshape", queries, self._single), keys)
        weights = self.apply("Softmax", self.apply("Add", scores, bias), axis=-1)
        return self.flat(self.apply("MatMul", weights, values)), weights


def cross_graph(weights: Checkpoint, shape: Shape, limit: Limit) -> Graph:
    """`features` [1, n_frames, width] → the keys and values of each layer, in the shapes that `token_graph` takes."""
    builder = _Builder(weights, shape, limit)
    builder.laid_out(builder.constant("sizes", np.array([1, -1], np.int64)))
    names, frames = caches("cross", shape.n_layers), builder.flat("features")
    for n in range(shape.n_layers):
        keys, values = builder.split(builder.linear(frames, f"decoder/layer_{n}/attention/linear_1"), 2)
        builder.as_keys(builder.cached(keys), name=names[2 * n])
        builder.as_values(builder.cached(values), name=names[2 * n + 1])
    features = helper.make_tensor_value_info("features", TensorProto.FLOAT, [1, "n_frames", shape.width])
    return builder.graph([features], names)


def token_graph(weights: Checkpoint, shape: Shape, limit: Limit, heads: Heads, embeddings: Matrix) -> Graph:
    """Embedded tokens behind earlier ones → `logits` [n_rows * n_new, n_vocabulary], `present` keys and values.

    The logits are still to be multiplied by `scales` [n_rows * n_new, 1] or []: in place, as they are megabytes. And
    `attention` to the audio by some heads [n_rows, n_new, how many, 1, n_frames].

    `past` keys and values are [n_rows, n_places, 1, n_heads, head], a place for each position, those to come included:
    `places` [n_rows, n_new, 2] tells the row and the position of each new token. What is `cross`, of the audio (of one
    window for all rows, or one for each), lies as it is multiplied: keys [n_windows, 1, n_heads, head, n_frames],
    values [n_windows, 1, n_heads, n_frames, head]. `embedded` is [n_rows, n_new, width]; `embeddings` give the logits
    too. What is added to scores of attention: `bias` [n_rows, n_new, 1, 1, n_places] and `cross_bias`
    [n_windows, 1, 1, 1, n_frames].
    """
    builder = _Builder(weights, shape, limit)
    builder.laid_out(builder.apply("Shape", "places", end=2))
    x = builder.flat("embedded")
    watched: list[str] = []
    for n in range(shape.n_layers):
        x, looked_at = _layer(builder, x, n)
        if chosen := [head for layer, head in heads if layer == n]:
            watched.append(builder.apply("Gather", looked_at, builder.constant(f"heads_{n}", np.array(chosen)), axis=2))
    builder.apply("Concat", *watched, name="attention", axis=2)
    found, scales = builder.unscaled(builder.norm(x, "decoder/layer_norm"), EMBEDDINGS, embeddings)
    builder.apply("Identity", found, name="logits")
    builder.apply("Identity", scales or builder.constant("one", np.array(1, np.float32)), name="scales")
    return builder.graph(_token_inputs(shape), ["logits", "scales", "attention", *caches("present", shape.n_layers)])


def _layer(builder: _Builder, x: str, n: int) -> tuple[str, str]:
    """A layer: attention to the tokens so far and to the audio, and what follows; and the weights by which it heard."""
    name, both = f"decoder/layer_{n}", slice(2 * n, 2 * n + 2)  # keys and values
    past, present, cross = (caches(kind, n + 1)[both] for kind in ("past", "present", "cross"))
    as_it_is = np.ones(builder.shape.width, np.float32)
    scaled = as_it_is * np.float32(builder.shape.head**-0.5)  # what queries are multiplied by
    normed = builder.norm(x, f"{name}/self_attention/layer_norm")
    factors = np.concatenate([scaled, as_it_is, as_it_is])
    queries, *new = builder.split(builder.linear(normed, f"{name}/self_attention/linear_0", factors), 3)
    keys, values = (
        builder.apply("ScatterND", before, "places", builder.cached(one), name=after)
        for before, one, after in zip(past, new, present, strict=True)
    )
    found, _ = builder.attention(queries, "bias", builder.as_keys(keys), builder.as_values(values))
    x = builder.apply("Add", x, builder.linear(found, f"{name}/self_attention/linear_1"))
    normed = builder.norm(x, f"{name}/attention/layer_norm")
    queries = builder.linear(normed, f"{name}/attention/linear_0", scaled)
    found, weights = builder.attention(queries, "cross_bias", *cross)
    x = builder.apply("Add", x, builder.linear(found, f"{name}/attention/linear_2"))
    return builder.fed_forward(x, name), weights


def _token_inputs(shape: Shape) -> list[onnx.ValueInfoProto]:
    def info(name: str, *sizes: int | str, kind: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, kind, list(sizes))

    n_heads, head, cross = shape.n_heads, shape.head, caches("cross", shape.n_layers)
    return [
        info("embedded", "n_rows", "n_new", shape.width),
        info("places", "n_rows", "n_new", 2, kind=TensorProto.INT64),
        info("bias", "n_rows", "n_new", 1, 1, "n_places"),
        info("cross_bias", "n_windows", 1, 1, 1, "n_frames"),
        *(info(name, "n_rows", "n_places", 1, n_heads, head) for name in caches("past", shape.n_layers)),
        *(info(name, "n_windows", 1, n_heads, head, "n_frames") for name in cross[::2]),
        *(info(name, "n_windows", 1, n_heads, "n_frames", head) for name in cross[1::2]),
    ]
