"""The Voxtral Realtime model: causal encoder, projector, decoder with delay conditioning, tied head.

Shapes: n rows, q tokens per row; every token is 8 mel frames, 4 encoder frames and one position of the decoder.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, linear

from voxtral_streaming.engines.voxtral.facts import (
    CONDITION_DIM,
    CONV_KERNEL,
    ENCODER_FRAMES_PER_TOKEN,
    MEL_FRAMES_PER_TOKEN,
    N_MELS,
    ModelFacts,
)
from voxtral_streaming.engines.voxtral.layers import Layer, RMSNorm, Rotary
from voxtral_streaming.engines.voxtral.ring import Ring, Slots

CONDITION_THETA = 10_000.0


class ConvState(NamedTuple):
    """What the convolutions remember of the frames before: [n, n_mels, 2] and [n, dim, 1]."""

    first: Tensor
    second: Tensor


class ConvInputs(NamedTuple):
    """State and new frames side by side; the state after any number of tokens is cut from them."""

    first: Tensor  # [n, n_mels, 2 + 8 q]
    second: Tensor  # [n, dim, 1 + 8 q]

    def state(self, n_tokens: Tensor) -> ConvState:
        """The state of each row after its first `n_tokens` [n] tokens."""
        return ConvState(_cut(self.first, n_tokens, CONV_KERNEL - 1), _cut(self.second, n_tokens, CONV_KERNEL - 2))


def _cut(frames: Tensor, n_tokens: Tensor, width: int) -> Tensor:
    at = n_tokens[:, None] * MEL_FRAMES_PER_TOKEN + torch.arange(width, device=frames.device)  # [n, width]
    return frames.gather(2, at[:, None].expand(-1, frames.shape[1], -1))


class Encoder(nn.Module):
    """Two causal convolutions, the second of stride 2, and a causal transformer with a sliding window."""

    def __init__(self, facts: ModelFacts) -> None:
        super().__init__()
        stack = facts.encoder
        self.conv1 = nn.Conv1d(N_MELS, stack.dim, CONV_KERNEL)
        self.conv2 = nn.Conv1d(stack.dim, stack.dim, CONV_KERNEL, stride=2)
        self.layers = nn.ModuleList(Layer(stack, bias=True) for _ in range(stack.n_layers))
        self.norm = RMSNorm(stack.dim, stack.norm_eps)
        self.rotary = Rotary(stack.head_dim, stack.rope_theta)

    def convolve(self, mel: Tensor, state: ConvState) -> tuple[Tensor, ConvInputs]:
        """Mel frames [n, n_mels, 8 q] to [n, 4 q, dim]."""
        first = torch.cat((state.first, mel), dim=2)
        second = torch.cat((state.second, gelu(self.conv1(first))), dim=2)
        return gelu(self.conv2(second)).transpose(1, 2).contiguous(), ConvInputs(first, second)

    def forward(self, frames: Tensor, positions: Tensor, ring: Ring, slots: Slots) -> Tensor:
        """Frames [n, 4 q, dim] at `positions` [n, 4 q] to the same shape."""
        angles = self.rotary(positions, frames.dtype)
        for index, layer in enumerate(self.layers):
            frames = layer(frames, angles, ring.layer(index), slots)
        encoded: Tensor = self.norm(frames)
        return encoded


class Projector(nn.Module):
    """The encoder frames of a token to one embedding of the decoder."""

    def __init__(self, width: int, dim: int) -> None:
        """`width`: of the frames of a token, side by side; `dim`: of the decoder."""
        super().__init__()
        self.into = nn.Linear(width, dim, bias=False)
        self.out = nn.Linear(dim, dim, bias=False)

    def forward(self, frames: Tensor) -> Tensor:
        """[n, 4 q, encoder dim] to [n, q, decoder dim]."""
        n, n_frames, _ = frames.shape
        tokens = frames.reshape(n, n_frames // ENCODER_FRAMES_PER_TOKEN, -1)
        projected: Tensor = self.out(gelu(self.into(tokens)))
        return projected


class DelayCondition(nn.Module):
    """What a layer's feed-forward branch is scaled by, given the delay."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.into = nn.Linear(dim, CONDITION_DIM, bias=False)
        self.out = nn.Linear(CONDITION_DIM, dim, bias=False)

    def forward(self, embedded: Tensor) -> Tensor:
        """[dim] to [dim]."""
        scale: Tensor = 1 + self.out(gelu(self.into(embedded)))
        return scale


class Decoder(nn.Module):
    """The language model; its head is its embedding."""

    def __init__(self, facts: ModelFacts) -> None:
        super().__init__()
        stack = facts.decoder
        self.embedding = nn.Embedding(facts.vocab_size, stack.dim)
        self.layers = nn.ModuleList(Layer(stack, bias=False) for _ in range(stack.n_layers))
        self.conditions = nn.ModuleList(DelayCondition(stack.dim) for _ in range(stack.n_layers))
        self.norm = RMSNorm(stack.dim, stack.norm_eps)
        self.rotary = Rotary(stack.head_dim, stack.rope_theta)

    def scales(self, n_delay: int) -> Tensor:
        """The scales of all layers for a delay in tokens: [n_layers, dim]."""
        dim, weight = self.embedding.embedding_dim, self.embedding.weight
        steps = torch.arange(dim // 2, dtype=torch.float32, device=weight.device) / (dim // 2)
        frequencies = torch.exp(-math.log(CONDITION_THETA) * steps).to(weight.dtype)
        angles = torch.full((1,), n_delay, dtype=weight.dtype, device=weight.device) * frequencies
        embedded = torch.cat((angles.cos(), angles.sin()))
        return torch.stack([condition(embedded) for condition in self.conditions])

    def forward(self, x: Tensor, positions: Tensor, scales: Tensor, ring: Ring, slots: Slots) -> Tensor:
        """Embeddings [n, q, dim] at `positions` [n, q] to logits [n, q, vocab]; `scales` [n_layers, n, 1, dim]."""
        angles = self.rotary(positions, x.dtype)
        for index, layer in enumerate(self.layers):
            x = layer(x, angles, ring.layer(index), slots, scales[index])
        return linear(self.norm(x), self.embedding.weight)


class RealtimeModel(nn.Module):
    """All weights of a Voxtral Realtime checkpoint."""

    def __init__(self, facts: ModelFacts) -> None:
        super().__init__()
        self.facts = facts
        self.encoder = Encoder(facts)
        self.projector = Projector(facts.projector_in, facts.decoder.dim)
        self.decoder = Decoder(facts)

    @property
    def dtype(self) -> torch.dtype:
        """The type that it computes in."""
        return self.decoder.embedding.weight.dtype

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        return self.decoder.embedding.weight.device
