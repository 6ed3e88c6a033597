"""Graphs as ONNX Runtime runs them."""

from __future__ import annotations

from functools import cache

import numpy as np
import onnxruntime  # type: ignore[import-untyped]

from voxtral_streaming.engines.whisper.graph import LARGEST, Graph, product_graph

LARGEST_IN_PAIRS = 96  # weights of that size seldom add up to too much, and lose little more in being rounded
SLOW = ["BiasGeluFusion"]  # of the optimisations: what is fused takes longer than its parts


def session(graph: Graph, n_threads: int = 1) -> onnxruntime.InferenceSession:
    """A session whose runs take so many threads, their own included; what one takes of memory goes back at its end."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = n_threads, 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # the cores are others' meanwhile
    options.enable_cpu_mem_arena = False  # what a long window takes goes back to the system
    values = [onnxruntime.OrtValue.ortvalue_from_numpy(one) for one in graph.weights.values()]
    options.add_external_initializers(list(graph.weights), values)
    return onnxruntime.InferenceSession(
        graph.model, options, providers=["CPUExecutionProvider"], disabled_optimizers=SLOW
    )


@cache
def weight_limit() -> int:
    """The largest number by which weights are kept here: less where two products are added up in 16 bits."""
    values, weights = np.full((1, 64), 255, np.uint8), np.full((64, 16), LARGEST, np.int8)
    [found] = session(product_graph(weights)).run(None, {"values": values})
    return LARGEST if (found == values.astype(np.int32) @ weights.astype(np.int32)).all() else LARGEST_IN_PAIRS
