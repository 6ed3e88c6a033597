"""Other ways to keep and multiply the weights of linear layers: in 8 bits, or packed for the CPU's kernels."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from voxtral_streaming.engines.voxtral.model import RealtimeModel


class Int8Linear(nn.Module):
    """A linear layer whose weight is kept in 8 bits, with a scale per output (symmetric, to the nearest)."""

    weight: Tensor
    scale: Tensor

    def __init__(self, full: nn.Linear) -> None:
        super().__init__()
        largest = full.weight.float().abs().amax(1).clamp(min=1e-12)  # [n_out]
        scale = largest / 127
        self.register_buffer("weight", (full.weight.float() / scale[:, None]).round().to(torch.int8))
        self.register_buffer("scale", scale.to(full.weight.dtype))
        self.bias = full.bias

    def forward(self, x: Tensor) -> Tensor:
        """[..., n_in] to [..., n_out]."""
        if x.device.type == "cpu":
            flat: Tensor = torch._weight_int8pack_mm(x.reshape(-1, x.shape[-1]), self.weight, self.scale)
            product = flat.view(*x.shape[:-1], -1)
        else:  # the compiler fuses the conversion into the product
            product = linear(x, self.weight.to(x.dtype)) * self.scale
        return product if self.bias is None else product + self.bias


class PackedLinear(nn.Module):
    """A linear layer whose weight lies as oneDNN's kernels read it, not rearranged anew for every product."""

    weight: Tensor

    def __init__(self, full: nn.Linear) -> None:
        super().__init__()
        packed = torch.ops.mkldnn._reorder_linear_weight(full.weight, None)
        self.register_buffer("weight", packed, persistent=False)
        self.bias = full.bias

    def forward(self, x: Tensor) -> Tensor:
        """[..., n_in] to [..., n_out]."""
        product: Tensor = torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, "none", [], "")
        return product


def quantize(model: RealtimeModel) -> None:
    """Keep the weights of all layers and of the projector in 8 bits; norms, convolutions and embedding stay."""
    _replace(model, Int8Linear)


def pack(model: RealtimeModel) -> bool:
    """Pack the same weights for the CPU, where torch has kernels for that in the model's type; whether it has."""
    if model.device.type != "cpu" or not torch._C._has_mkldnn or not _packs(model.dtype):
        return False
    _replace(model, PackedLinear)
    return True


def _packs(dtype: torch.dtype) -> bool:
    if dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    if dtype == torch.float16:
        return bool(torch.ops.mkldnn._is_mkldnn_fp16_supported())
    return dtype == torch.float32


def _replace(model: RealtimeModel, kind: Callable[[nn.Linear], nn.Module]) -> None:
    for part in (model.encoder.layers, model.decoder.layers, model.projector):
        for parent in list(part.modules()):
            for name, child in list(parent.named_children()):
                if isinstance(child, nn.Linear):
                    setattr(parent, name, kind(child))
