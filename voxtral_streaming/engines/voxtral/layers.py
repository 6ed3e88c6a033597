"""The parts that encoder and decoder share: norm, rotary positions, attention over a ring cache, feed-forward."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention, silu

from voxtral_streaming.engines.voxtral.facts import StackFacts
from voxtral_streaming.engines.voxtral.ring import LayerCache, Slots


class RMSNorm(nn.Module):
    """Root-mean-square norm: in float32, rounded to the model's type before the weight is applied."""

    def __init__(self, dim: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """[..., dim] to the same."""
        wide = x.float()
        scale = torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.eps)
        return self.weight * (wide * scale).to(x.dtype)


class Rotary(nn.Module):
    """Angles of rotary positions (arXiv 2104.09864), halves rotated against each other.

    Angles are taken in float64: a position may grow for as long as a session lives and stays exact.
    """

    frequencies: Tensor

    def __init__(self, head_dim: int, theta: float) -> None:
        super().__init__()
        exponents = torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim
        self.register_buffer("frequencies", 1.0 / theta**exponents, persistent=False)  # [head_dim / 2]

    def forward(self, positions: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Positions [n, q] to cosines and sines, each [n, q, 1, head_dim]."""
        angles = positions[..., None, None].double() * self.frequencies.double()
        angles = torch.cat((angles, angles), dim=-1)
        return angles.cos().to(dtype), angles.sin().to(dtype)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn heads [n, q, heads, head_dim] by their positions' angles."""
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-second, first), dim=-1) * sin


class Attention(nn.Module):
    """Grouped-query attention over the ring cache of the rows that take part."""

    def __init__(self, facts: StackFacts, bias: bool) -> None:
        super().__init__()
        self.n_heads, self.n_kv_heads, self.head_dim = facts.n_heads, facts.n_kv_heads, facts.head_dim
        self.qkv = nn.Linear(facts.dim, (facts.n_heads + 2 * facts.n_kv_heads) * facts.head_dim, bias=bias)
        self.out = nn.Linear(facts.n_heads * facts.head_dim, facts.dim, bias=bias)

    def forward(self, x: Tensor, angles: tuple[Tensor, Tensor], cache: LayerCache, slots: Slots) -> Tensor:
        """[n, q, dim] to the same; the new keys and values are left in the cache."""
        n, q, _ = x.shape
        heads = self.qkv(x).view(n, q, -1, self.head_dim)  # [n, q, n_heads + 2 n_kv_heads, head_dim]
        queries, keys, values = heads.split((self.n_heads, self.n_kv_heads, self.n_kv_heads), dim=2)
        keys, values = cache.store(rotate(keys, *angles), values, slots)  # [n, n_kv_heads, length, head_dim]
        attended = scaled_dot_product_attention(self._grouped(rotate(queries, *angles)), keys, values, slots.mask)
        out: Tensor = self.out(self._flattened(attended, q))
        return out

    def _grouped(self, queries: Tensor) -> Tensor:
        """The heads that share a key head stand as further queries of it: no key is read or copied twice.

        [n, q, n_heads, head_dim] to [n, n_kv_heads, group * q, head_dim].
        """
        n, q, _, head_dim = queries.shape
        queries = queries.view(n, q, self.n_kv_heads, -1, head_dim)
        return queries.permute(0, 2, 3, 1, 4).reshape(n, self.n_kv_heads, -1, head_dim)

    def _flattened(self, attended: Tensor, q: int) -> Tensor:
        """[n, n_kv_heads, group * q, head_dim] to [n, q, n_heads * head_dim]."""
        n, n_kv_heads, _, head_dim = attended.shape
        attended = attended.view(n, n_kv_heads, -1, q, head_dim)
        return attended.permute(0, 3, 1, 2, 4).reshape(n, q, -1)


class FeedForward(nn.Module):
    """SwiGLU; gate and up in one product."""

    def __init__(self, facts: StackFacts, bias: bool) -> None:
        super().__init__()
        self.gate_up = nn.Linear(facts.dim, 2 * facts.ffn_dim, bias=False)
        self.down = nn.Linear(facts.ffn_dim, facts.dim, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """[n, q, dim] to the same."""
        gate, up = self.gate_up(x).chunk(2, dim=-1)
        down: Tensor = self.down(silu(gate) * up)
        return down


class Layer(nn.Module):
    """A transformer layer, norms first."""

    def __init__(self, facts: StackFacts, bias: bool) -> None:
        super().__init__()
        self.attention_norm = RMSNorm(facts.dim, facts.norm_eps)
        self.attention = Attention(facts, bias)
        self.ffn_norm = RMSNorm(facts.dim, facts.norm_eps)
        self.ffn = FeedForward(facts, bias)

    def forward(
        self, x: Tensor, angles: tuple[Tensor, Tensor], cache: LayerCache, slots: Slots, scale: Tensor | None = None
    ) -> Tensor:
        """[n, q, dim] to the same; `scale` [n, 1, dim] conditions the feed-forward branch."""
        x = x + self.attention(self.attention_norm(x), angles, cache, slots)
        branch = self.ffn_norm(x)
        if scale is not None:
            branch = branch * scale
        residual: Tensor = self.ffn(branch)
        return x + residual
