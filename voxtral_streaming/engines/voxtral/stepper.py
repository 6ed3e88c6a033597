"""The stepper: one step of a fixed shape advances every row by up to q tokens.

A row is a stream at its own position, with its own delay, convolutions and caches. It may join, stall, catch up, go
back and leave at any step. Catching up: the decoder needs each token before the next, so the tokens after a row's
first are guessed to be padding, which most tokens are, and the guesses are kept as far as the model confirms them:
the same tokens as one at a time, in fewer steps. The prompt, being padding, is always guessed right.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor, nn

from voxtral_streaming.engines.voxtral.facts import (
    CONV_KERNEL,
    ENCODER_FRAMES_PER_TOKEN,
    MEL_FRAMES_PER_TOKEN,
    N_MELS,
    WINDOW_PER_TOKEN,
)
from voxtral_streaming.engines.voxtral.mel import LogMel
from voxtral_streaming.engines.voxtral.model import ConvState, RealtimeModel
from voxtral_streaming.engines.voxtral.ring import Ring, RowView
from voxtral_streaming.engines.voxtral.tekken import DELAYS_MS, Tekken, delay_tokens
from voxtral_streaming.engines.voxtral.words import Predicted

Outputs: TypeAlias = tuple[Tensor, Tensor, Tensor]
Advance: TypeAlias = Callable[[Tensor, Tensor, int, int, int], Outputs]

CATCH_UP = 8  # tokens of a row in one step, at most


class Sizes(NamedTuple):
    """How many rows there are, and how many tokens each remembers in the decoder."""

    n_rows: int
    window: int


@dataclass(frozen=True)
class Mark:
    """A point in a row's stream to go back to; what was cached since then becomes invisible."""

    position: int
    tensors: tuple[Tensor, ...]


@dataclass(frozen=True)
class _Prefix:
    """A row that has heard the silence before the audio, all but its last token."""

    encoder: RowView
    decoder: RowView
    mark: Mark


def room(tekken: Tekken) -> int:
    """Tokens that a row may write and take back: the padding after the audio, and a step of catching up."""
    return tekken.n_right_pad(delay_tokens(DELAYS_MS[-1])) + CATCH_UP


class Stepper(nn.Module):
    """`sizes.n_rows` streams of one model. Not thread-safe."""

    positions: Tensor
    tokens: Tensor
    prompts: Tensor
    conv_first: Tensor
    conv_second: Tensor
    scales: Tensor

    def __init__(self, model: RealtimeModel, tekken: Tekken, sizes: Sizes) -> None:
        super().__init__()
        self.model, self.tekken, self.n_rows = model, tekken, sizes.n_rows
        self.mel = LogMel().to(model.device)
        encoder, decoder, factor = model.facts.encoder, model.facts.decoder, ENCODER_FRAMES_PER_TOKEN
        dtype, device, n = model.dtype, model.device, sizes.n_rows
        self.encoder_ring = Ring(encoder, n, encoder.window, factor * room(tekken), dtype, device)
        self.decoder_ring = Ring(decoder, n, sizes.window, room(tekken), dtype, device)
        for name in ("positions", "tokens", "prompts"):
            self._state(name, (n,), torch.int64)
        self._state("conv_first", (n, N_MELS, CONV_KERNEL - 1), dtype)
        self._state("conv_second", (n, encoder.dim, CONV_KERNEL - 2), dtype)
        self._state("scales", (decoder.n_layers, n, 1, decoder.dim), dtype)
        self.advance: Advance = self._advance  # a compiled one may take its place…
        self.fixed_shapes = False  # … and then steps have few shapes: powers of two rows, one or `CATCH_UP` tokens
        self._heard = [0] * sizes.n_rows  # positions, known here without asking the device
        self._prefixes: dict[int, _Prefix] = {}

    def _state(self, name: str, shape: tuple[int, ...], dtype: torch.dtype) -> None:
        self.register_buffer(name, torch.zeros(shape, dtype=dtype, device=self.model.device), persistent=False)

    @torch.inference_mode()
    def join(self, row: int, n_delay: int) -> None:
        """Begin a stream in a row; its next token hears the last 80 ms before the audio."""
        if n_delay not in self._prefixes:
            self._prefixes[n_delay] = self._hear_silence(row, n_delay)
        prefix = self._prefixes[n_delay]
        self._reset(row, n_delay)
        self.encoder_ring.load(row, prefix.encoder)
        self.decoder_ring.load(row, prefix.decoder)
        self.rewind(row, prefix.mark)

    @torch.inference_mode()
    def step(self, windows: Tensor, counts: Sequence[int], first_row: int = 0) -> list[Predicted]:
        """Advance rows `first_row`… by the first `counts` of their windows each.

        `windows` [n, q, window] are samples; those that do not count may hold anything finite. Answers, per row, the
        tokens predicted after the windows that were taken: of `counts`, at least one, and all that were guessed right.
        """
        n, q, _ = windows.shape
        furthest = max(self._heard[first_row : first_row + n]) + q
        mel = self.mel(windows.to(self.model.device)).to(self.model.dtype)  # [n, q, n_mels, 8]
        predicted, probabilities, accepted = self.advance(
            mel.transpose(1, 2).flatten(2),  # [n, n_mels, 8 q]
            torch.tensor(counts, device=self.model.device),
            first_row,
            *self._lengths(furthest),
        )
        taken = accepted.tolist()
        for row, n_taken in enumerate(taken, first_row):
            self._heard[row] += n_taken
        answers = zip(predicted.tolist(), probabilities.tolist(), taken, strict=True)
        return [Predicted(tokens[:n_taken], given[:n_taken]) for tokens, given, n_taken in answers]

    def shape(self, n_rows: int, n_tokens: int, first_row: int = 0) -> tuple[int, int]:
        """The rows and tokens of a step that serves `n_rows` rows from `first_row` on with up to `n_tokens` each."""
        n_tokens = min(n_tokens, CATCH_UP)
        if not self.fixed_shapes:
            return n_rows, n_tokens
        return min(1 << (n_rows - 1).bit_length(), self.n_rows - first_row), 1 if n_tokens == 1 else CATCH_UP

    def shapes(self) -> Iterator[tuple[int, int, int]]:
        """Rows, tokens and furthest position of every step that differs, where shapes are fixed."""
        n_rows = sorted({self.shape(n, 1)[0] for n in range(1, self.n_rows + 1)})
        furthest = {self._lengths(1 << exponent): 1 << exponent for exponent in range(32)}
        yield from product(n_rows, (1, CATCH_UP), furthest.values())

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.model.device

    def rehearse(self) -> list[list[int]]:
        """The tokens of a second of noise in the first row."""
        noise = torch.randn(1, CATCH_UP, WINDOW_PER_TOKEN, generator=torch.Generator().manual_seed(0)) / 10
        self.join(0, n_delay=1)
        return [self.step(noise, [n])[0].tokens for n in (CATCH_UP, CATCH_UP, 1, 1)]

    def visit_shapes(self) -> None:
        """Take a step of every shape, counting for nobody."""
        for n_rows, n_tokens, furthest in self.shapes():
            self.visit(n_rows, n_tokens, furthest)

    @torch.inference_mode()
    def visit(self, n_rows: int, n_tokens: int, furthest: int) -> None:
        """Take a step of this shape that counts for nobody."""
        mel = torch.zeros(n_rows, N_MELS, n_tokens * MEL_FRAMES_PER_TOKEN, dtype=self.model.dtype)
        nobody = torch.zeros(n_rows, dtype=torch.int64)
        device = self.model.device
        self.advance(mel.to(device), nobody.to(device), 0, *self._lengths(furthest))

    def _lengths(self, furthest: int) -> tuple[int, int]:
        """Slots that encoder and decoder read when no row is past `furthest`."""
        frames = furthest * ENCODER_FRAMES_PER_TOKEN
        return self.encoder_ring.length(frames), self.decoder_ring.length(furthest)

    @torch.inference_mode()
    def mark(self, row: int) -> Mark:
        """Where a row stands. At most `room` tokens later it can be rewound to here."""
        return Mark(self._heard[row], tuple(tensor[row].clone() for tensor in self._row_state()))

    @torch.inference_mode()
    def rewind(self, row: int, mark: Mark) -> None:
        """Go back to a mark of this row, or of the row that it was moved from."""
        self._heard[row] = mark.position
        for tensor, saved in zip(self._row_state(), mark.tensors, strict=True):
            tensor[row] = saved

    @torch.inference_mode()
    def move(self, source: int, target: int) -> None:
        """Put the stream of one row into another."""
        heard = self._heard[source]
        self.encoder_ring.load(target, self.encoder_ring.view(source, heard * ENCODER_FRAMES_PER_TOKEN))
        self.decoder_ring.load(target, self.decoder_ring.view(source, heard))
        self.scales[:, target] = self.scales[:, source]
        self.prompts[target] = self.prompts[source]
        self.rewind(target, self.mark(source))

    def _row_state(self) -> tuple[Tensor, ...]:
        return self.positions, self.tokens, self.conv_first, self.conv_second

    def _reset(self, row: int, n_delay: int) -> None:
        self.encoder_ring.clear(row)
        self.decoder_ring.clear(row)
        self.scales[:, row, 0] = self.model.decoder.scales(n_delay)
        self.prompts[row] = self.tekken.prompt_length(n_delay)
        self.positions[row] = 0
        self.tokens[row] = self.tekken.bos
        self.conv_first[row] = 0
        self.conv_second[row] = 0
        self._heard[row] = 0

    def _hear_silence(self, row: int, n_delay: int) -> _Prefix:
        """The last token of silence is left out: its window reaches into the audio."""
        self._reset(row, n_delay)
        silence = torch.zeros(1, CATCH_UP, WINDOW_PER_TOKEN)
        while (left := self.tekken.n_left_pad - 1 - self._heard[row]) > 0:
            self.step(silence, [min(left, CATCH_UP)], row)
        heard = self._heard[row]
        return _Prefix(
            self.encoder_ring.view(row, heard * ENCODER_FRAMES_PER_TOKEN).clone(),
            self.decoder_ring.view(row, heard).clone(),
            self.mark(row),
        )

    def _advance(
        self, mel: Tensor, counts: Tensor, first_row: int, encoder_length: int, decoder_length: int
    ) -> Outputs:
        """Mel [n, n_mels, 8 q], counts [n] to predictions, their probabilities [n, q] and how many of them stand [n].

        Rows change only when all is computed: a step that failed for want of memory can be taken again.
        """
        model, n, q = self.model, mel.shape[0], mel.shape[2] // MEL_FRAMES_PER_TOKEN
        rows = slice(first_row, first_row + n)
        frames, conv = model.encoder.convolve(mel, ConvState(self.conv_first[rows], self.conv_second[rows]))
        at = self._places(rows, q * ENCODER_FRAMES_PER_TOKEN, ENCODER_FRAMES_PER_TOKEN)  # [n, 4 q]
        slots = self.encoder_ring.take(at, counts * ENCODER_FRAMES_PER_TOKEN, first_row, encoder_length)
        audio = model.projector(model.encoder(frames, at, self.encoder_ring, slots))  # [n, q, dim]
        at = self._places(rows, q, 1)  # [n, q]
        slots = self.decoder_ring.take(at, counts, first_row, decoder_length)
        x = model.decoder.embedding(self._inputs(rows, q)) + audio
        logits = model.decoder(x, at, self.scales[:, rows], self.decoder_ring, slots)  # [n, q, vocab]
        predicted = logits.argmax(-1)
        accepted, following = self._judge(predicted, at, counts, rows)
        for tensor, value in zip(
            self._row_state(), (at[:, 0] + accepted, following, *conv.state(accepted)), strict=True
        ):
            tensor[rows] = value
        return predicted, _probability(logits, predicted), accepted

    def _places(self, rows: slice, n: int, per_token: int) -> Tensor:
        """The next `n` positions of each row, [n_rows, n]."""
        return self.positions[rows, None] * per_token + torch.arange(n, device=self.positions.device)

    def _inputs(self, rows: slice, q: int) -> Tensor:
        """Each row's next token and guesses for those after it, [n, q]."""
        first = self.tokens[rows, None]
        return torch.cat((first, torch.full_like(first, self.tekken.streaming_pad).expand(-1, q - 1)), dim=1)

    def _judge(self, predicted: Tensor, at: Tensor, counts: Tensor, rows: slice) -> tuple[Tensor, Tensor]:
        """How many tokens of each row stand [n], and the input that follows them [n]."""
        pad = self.tekken.streaming_pad
        given = at + 1 < self.prompts[rows, None]  # [n, q]: the next input is the prompt's
        following = torch.where(given, pad, predicted)
        right = (following[:, :-1] == pad).long().cumprod(1).sum(1)
        accepted = torch.minimum(right + 1, counts)
        last = following.gather(1, (accepted - 1).clamp(min=0)[:, None])[:, 0]
        return accepted, torch.where(accepted > 0, last, self.tokens[rows])


def _probability(logits: Tensor, tokens: Tensor) -> Tensor:
    """What logits [n, q, vocab] give of all probability to their likeliest tokens [n, q]."""
    below = logits - logits.gather(-1, tokens[..., None])
    return below.exp_().sum(-1, dtype=torch.float32).reciprocal()
