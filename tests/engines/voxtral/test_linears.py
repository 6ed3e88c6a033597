from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from voxtral_streaming.audio.units import Samples
from voxtral_streaming.engines.voxtral.checkpoint import load_model
from voxtral_streaming.engines.voxtral.files import Checkpoint
from voxtral_streaming.engines.voxtral.linears import Int8Linear, PackedLinear, pack, quantize
from voxtral_streaming.engines.voxtral.plan import PRODUCT
from voxtral_streaming.engines.voxtral.stepper import Sizes, Stepper


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("bias", [False, True])
def test_eight_bits_are_near_the_full_weights(dtype: Any, bias: bool) -> None:
    torch.manual_seed(0)
    full = nn.Linear(96, 64, bias=bias, dtype=dtype).requires_grad_(False)
    x = torch.randn(2, 3, 96).to(dtype)
    error = (Int8Linear(full)(x) - full(x)).float().abs().max()
    assert 0 < error < 0.02


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_packed_weights_give_the_tokens_of_transformers(
    checkpoint: Checkpoint, transcribe_alone: Any, oracle: Any, clip: Samples, dtype: Any
) -> None:
    model = load_model(checkpoint, dtype, torch.device("cpu"))
    if not pack(model):
        pytest.skip("no packed kernels on this processor")
    assert any(isinstance(module, PackedLinear) for module in model.modules())
    stepper, long_clip = Stepper(model, checkpoint.tekken, Sizes(1, 80)), np.tile(clip, 3)
    assert transcribe_alone(stepper, long_clip) == oracle(long_clip, dtype=dtype)


def test_what_the_plan_counts_as_small_is_what_becomes_small(model: nn.Module) -> None:
    small: Any = copy.deepcopy(model)
    quantize(small)
    kept = {name for name, tensor in small.state_dict().items() if tensor.dtype == torch.int8}
    assert kept == {name for name, _ in model.named_parameters() if name.endswith(".weight") and PRODUCT.match(name)}
