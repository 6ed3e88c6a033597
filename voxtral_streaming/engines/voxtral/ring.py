"""Ring caches of keys and values: a window of positions per row, and room to go back a little.

Position p of a row lives in slot 1 + p % size. Slot 0 is where tokens that do not count are written; only they see it.
A slot remembers its position, and masks are made from positions alone, so a row may be rewound by as much as `size`
exceeds its window: what was written past the new end is invisible until it is overwritten.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from voxtral_streaming.engines.voxtral.facts import StackFacts

ALIGNMENT = 64  # slots: what attention kernels like their masks to be a multiple of
SHORTEST = 256  # slots: attending over fewer gains nothing
NOWHERE = -(2**62)  # the position of what an empty slot holds: too long ago to be seen


class Slots(NamedTuple):
    """Where the tokens of a step go, and what they see."""

    first_row: int
    written: Tensor  # [n * n_kv_heads * q] slots counted over all rows and heads, for the new tokens
    length: int  # slots that attention reads
    mask: Tensor  # [n, 1, group * q, length]: 0 where a query sees a slot, -inf elsewhere


class LayerCache(NamedTuple):
    """The keys and values of one layer, each [n_rows, n_kv_heads, n_slots, head_dim]."""

    keys: Tensor
    values: Tensor

    def store(self, keys: Tensor, values: Tensor, slots: Slots) -> tuple[Tensor, Tensor]:
        """Write [n, q, n_kv_heads, head_dim]; answer all that the rows hold, [n, n_kv_heads, length, head_dim]."""
        return _store(self.keys, keys, slots), _store(self.values, values, slots)


def _store(cache: Tensor, new: Tensor, slots: Slots) -> Tensor:
    cache.flatten(0, 2).index_copy_(0, slots.written, new.transpose(1, 2).flatten(0, 2))
    return cache[slots.first_row : slots.first_row + new.shape[0], :, : slots.length]


class RowView(NamedTuple):
    """The used slots of one row: keys and values [n_layers, n_kv_heads, n_slots, head_dim], positions [n_slots]."""

    keys: Tensor
    values: Tensor
    held: Tensor

    def clone(self) -> RowView:
        """A copy that outlives the row."""
        return RowView(*(part.clone() for part in self))


class Ring(nn.Module):
    """The cache of a stack, for `n_rows` streams.

    `window`: positions that a query sees, its own included; `room`: positions that a step may write and rewind.
    """

    keys: Tensor
    values: Tensor
    held: Tensor

    def __init__(
        self, facts: StackFacts, n_rows: int, window: int, room: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        super().__init__()
        self.window, self.size = window, ring_slots(window, room) - 1
        self.group = facts.n_heads // facts.n_kv_heads
        shape = (facts.n_layers, n_rows, facts.n_kv_heads, self.size + 1, facts.head_dim)
        for name in ("keys", "values"):
            self.register_buffer(name, torch.zeros(shape, dtype=dtype, device=device), persistent=False)
        held = torch.full((n_rows, self.size + 1), NOWHERE, dtype=torch.int64, device=device)  # positions
        self.register_buffer("held", held, persistent=False)

    def layer(self, index: int) -> LayerCache:
        """The cache of one layer."""
        return LayerCache(self.keys[index], self.values[index])

    def take(self, positions: Tensor, counts: Tensor, first_row: int, length: int) -> Slots:
        """Slots for tokens at `positions` [n, q], of which the first `counts` [n] of each row count."""
        n, q = positions.shape
        counted = torch.arange(q, device=positions.device) < counts[:, None]  # [n, q]
        slot = torch.where(counted, 1 + positions % self.size, 0)
        self.held[first_row : first_row + n].scatter_(1, slot, torch.where(counted, positions, NOWHERE))
        n_heads = self.keys.shape[2]
        heads = torch.arange(first_row * n_heads, (first_row + n) * n_heads, device=positions.device)
        written = heads.view(n, n_heads, 1) * (self.size + 1) + slot[:, None]  # [n, n_kv_heads, q]
        return Slots(first_row, written.flatten(), length, self._mask(positions, counted, first_row, length))

    def _mask(self, positions: Tensor, counted: Tensor, first_row: int, length: int) -> Tensor:
        held = self.held[first_row : first_row + positions.shape[0], None, :length]  # [n, 1, length]
        age = positions[:, :, None] - held  # [n, q, length]
        is_hidden = (age < 0) | (age >= self.window)
        is_hidden[:, :, 0] = counted
        mask = torch.zeros(age.shape, dtype=self.keys.dtype, device=age.device).masked_fill_(is_hidden, -torch.inf)
        return mask.repeat(1, self.group, 1)[:, None]

    def length(self, n_positions: int) -> int:
        """Slots to read when no row holds more than its first `n_positions` positions; one of few values."""
        length = SHORTEST
        while length < min(n_positions, self.size) + 1:
            length *= 2
        return min(length, self.size + 1)

    def clear(self, row: int) -> None:
        """Forget a row."""
        self.held[row] = NOWHERE

    def view(self, row: int, n_positions: int) -> RowView:
        """What a row holds, given that it saw `n_positions` positions."""
        used = slice(0, min(n_positions, self.size) + 1)
        return RowView(self.keys[:, row, :, used], self.values[:, row, :, used], self.held[row, used])

    def load(self, row: int, view: RowView) -> None:
        """Put a copy of what another row holds, or held, into a row."""
        self.clear(row)
        n_slots = view.held.shape[0]
        self.keys[:, row, :, :n_slots] = view.keys
        self.values[:, row, :, :n_slots] = view.values
        self.held[row, :n_slots] = view.held


def ring_slots(window: int, room: int) -> int:
    """Slots that a ring of this window takes per row, slot 0 included."""
    return -(-(window + room + 1) // ALIGNMENT) * ALIGNMENT


def ring_bytes(facts: StackFacts, window: int, room: int, itemsize: int) -> int:
    """Bytes that a ring of this window takes per row."""
    return ring_slots(window, room) * (facts.cache_elements * itemsize + 8)
