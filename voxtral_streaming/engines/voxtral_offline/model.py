"""The model: Whisper's encoder, projector, Llama decoder with a head of its own.

Shapes: n rows, q tokens per row; a window is `n_positions` encoder frames, four of which are a token.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, scaled_dot_product_attention

from voxtral_streaming.engines.voxtral.facts import CONV_KERNEL, N_MELS
from voxtral_streaming.engines.voxtral.layers import Layer, RMSNorm, Rotary
from voxtral_streaming.engines.voxtral.model import Projector
from voxtral_streaming.engines.voxtral.ring import Ring, Slots
from voxtral_streaming.engines.voxtral_offline.facts import LAYER_NORM_EPS, OfflineFacts, WhisperFacts

LONGEST_PERIOD = 10_000  # of the encoder's sinusoids
HALF_MARGIN = 1000.0  # float16 is kept so far from its largest number, as in the models' training code


class WhisperAttention(nn.Module):
    """Attention over all frames of a window."""

    def __init__(self, facts: WhisperFacts) -> None:
        super().__init__()
        self.n_heads, self.head_dim = facts.n_heads, facts.head_dim
        self.qkv = nn.Linear(facts.dim, 3 * facts.dim)
        self.out = nn.Linear(facts.dim, facts.dim)

    def forward(self, x: Tensor) -> Tensor:
        """[n, n_positions, dim] to the same."""
        heads = self.qkv(x).unflatten(2, (3, self.n_heads, self.head_dim)).permute(2, 0, 3, 1, 4)
        queries, keys, values = heads  # each [n, n_heads, n_positions, head_dim]
        scaled = queries * self.head_dim**-0.5  # before the product, as Whisper does it: other bits otherwise
        attended = scaled_dot_product_attention(scaled, keys, values, scale=1.0)
        out: Tensor = self.out(attended.transpose(1, 2).flatten(2))
        return out


class WhisperLayer(nn.Module):
    """A transformer layer, norms first."""

    def __init__(self, facts: WhisperFacts) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(facts.dim, LAYER_NORM_EPS)
        self.attention = WhisperAttention(facts)
        self.ffn_norm = nn.LayerNorm(facts.dim, LAYER_NORM_EPS)
        self.up = nn.Linear(facts.dim, facts.ffn_dim)
        self.down = nn.Linear(facts.ffn_dim, facts.dim)

    def forward(self, x: Tensor) -> Tensor:
        """[n, n_positions, dim] to the same."""
        x = x + self.attention(self.attention_norm(x))
        x = x + self.down(gelu(self.up(self.ffn_norm(x))))
        if x.dtype == torch.float16:
            limit = torch.finfo(torch.float16).max - HALF_MARGIN
            x = x.clamp(-limit, limit)
        return x


class WhisperEncoder(nn.Module):
    """Two convolutions, the second of stride 2, and layers over whole windows. Its parts are called one by one."""

    def __init__(self, facts: WhisperFacts) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(N_MELS, facts.dim, CONV_KERNEL, padding=1)
        self.conv2 = nn.Conv1d(facts.dim, facts.dim, CONV_KERNEL, stride=2, padding=1)
        self.positions = nn.Parameter(torch.zeros(facts.n_positions, facts.dim))  # float32, whatever the rest is
        self.layers = nn.ModuleList(WhisperLayer(facts) for _ in range(facts.n_layers))
        self.norm = nn.LayerNorm(facts.dim, LAYER_NORM_EPS)

    def convolve(self, mel: Tensor) -> Tensor:
        """Mel frames [n, n_mels, n_mel_frames] to [n, n_positions, dim]."""
        frames = gelu(self.conv2(gelu(self.conv1(mel)))).transpose(1, 2)
        return (frames + self.positions).to(frames.dtype)

    def run(self, layers: Sequence[int], frames: Tensor) -> Tensor:
        """Frames [n, n_positions, dim] through some of the layers."""
        for index in layers:
            frames = self.layers[index](frames)
        return frames


def sinusoids(n_positions: int, dim: int) -> Tensor:
    """Whisper's position table, [n_positions, dim]: Mistral's files leave it out."""
    rates = torch.exp(-math.log(LONGEST_PERIOD) / (dim // 2 - 1) * torch.arange(dim // 2))
    angles = torch.arange(n_positions)[:, None] * rates
    return torch.cat((angles.sin(), angles.cos()), dim=1)


class Decoder(nn.Module):
    """The language model."""

    def __init__(self, facts: OfflineFacts) -> None:
        super().__init__()
        stack = facts.decoder
        self.embedding = nn.Embedding(facts.vocab_size, stack.dim)
        self.layers = nn.ModuleList(Layer(stack, bias=False) for _ in range(stack.n_layers))
        self.norm = RMSNorm(stack.dim, stack.norm_eps)
        self.rotary = Rotary(stack.head_dim, stack.rope_theta)
        self.head = nn.Linear(stack.dim, facts.vocab_size, bias=False)

    def forward(self, x: Tensor, positions: Tensor, ring: Ring, slots: Slots) -> Tensor:
        """Embeddings [n, q, dim] at `positions` [n, q] to what the head takes, of the same shape."""
        angles = self.rotary(positions, x.dtype)
        for index, layer in enumerate(self.layers):
            x = layer(x, angles, ring.layer(index), slots)
        normed: Tensor = self.norm(x)
        return normed


class VoxtralModel(nn.Module):
    """All weights of a checkpoint."""

    def __init__(self, facts: OfflineFacts) -> None:
        super().__init__()
        self.facts = facts
        self.encoder = WhisperEncoder(facts.encoder)
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
