"""Other ways to keep and multiply the weights of linear layers: in 8 bits, or packed for the CPU's kernels."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

PRODUCTS = ("encoder.layers.", "decoder.layers.", "projector.")  # where nearly all of the time goes


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


def quantize(model: nn.Module) -> None:
    """Keep the weights of all layers and of the projector in 8 bits; norms, convolutions, embedding and head stay."""
    _replace(model, PRODUCTS, Int8Linear)


def pack(model: nn.Module) -> bool:
    """Pack the same weights and the head's for the CPU, where torch has kernels for that in their type; whether it has.

    A head that is the embedding again stays as it is.
    """
    weight = model.get_parameter("decoder.embedding.weight")
    if weight.device.type != "cpu" or not torch._C._has_mkldnn or not _packs(weight.dtype):
        return False
    _replace(model, (*PRODUCTS, "decoder.head"), PackedLinear)
    return True


def _packs(dtype: torch.dtype) -> bool:
    if dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    if dtype == torch.float16:
        return bool(torch.ops.mkldnn._is_mkldnn_fp16_supported())
    return dtype == torch.float32


def _replace(model: nn.Module, below: tuple[str, ...], kind: Callable[[nn.Linear], nn.Module]) -> None:
    """Replace the linear layers whose names begin so."""
    linears = [(name, part) for name, part in model.named_modules() if isinstance(part, nn.Linear)]
    for name, full in linears:
        if name.startswith(below):
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, kind(full))
