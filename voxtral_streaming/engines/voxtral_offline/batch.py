"""The rows that are decoded together, and their caches: what continuous batching needs of the device.

A row is a request at its own position. It may begin, wait and end at any step; the others go on. Everything has a
fixed place and a fixed size: a step is one of few shapes and allocates nothing that stays.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from itertools import product
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor, nn

from voxtral_streaming.engines.voxtral.ring import ALIGNMENT, Ring
from voxtral_streaming.engines.voxtral_offline.model import VoxtralModel

Advance: TypeAlias = Callable[[Tensor, Tensor, Tensor, int], tuple[Tensor]]

PREFILL = 128  # positions of a prompt that are computed in one go
ENCODER_PIECES = 8  # in which the layers of the encoder are run over a window
REHEARSED = 8  # steps that a faster step is compared on


class Sizes(NamedTuple):
    """How many rows there are, and how many tokens each can hold."""

    n_rows: int
    context: int


class Batch(nn.Module):
    """`sizes.n_rows` requests of one model. Not thread-safe."""

    def __init__(self, model: VoxtralModel, sizes: Sizes, audio_token: int) -> None:
        super().__init__()
        self.model, self.n_rows, self.context = model, sizes.n_rows, sizes.context
        self._audio_token = audio_token
        self.ring = Ring(model.facts.decoder, sizes.n_rows, sizes.context, 0, model.dtype, model.device)
        self._held = [0] * sizes.n_rows  # positions
        self.advance: Advance = self._advance  # a compiled one may take its place…
        self.fixed_shapes = False  # … and then steps have few shapes: powers of two rows

    @torch.inference_mode()
    def begin(self, row: int) -> None:
        """Forget what a row held."""
        self.ring.clear(row)
        self._held[row] = 0

    def rewind(self, row: int, position: int) -> None:
        """Go back: what stood at `position` and after it is overwritten before it can be seen."""
        self._held[row] = position

    @torch.inference_mode()
    def move(self, source: int, target: int) -> None:
        """Put the request of one row into another."""
        self.ring.load(target, self.ring.view(source, self._held[source]))
        self._held[target] = self._held[source]

    def encode(self, mel: Tensor) -> Generator[None, None, Tensor]:
        """Mel frames of a window [n_mels, n_mel_frames] to embeddings [n_tokens, dim], a piece at a time.

        Each piece is at most an eighth of the encoder's layers over one window.
        """
        frames = self._convolve(mel)
        yield
        layers = range(len(self.model.encoder.layers))
        size = -(-len(layers) // ENCODER_PIECES)
        for first in layers[::size]:
            frames = self._encode_layers(layers[first : first + size], frames)
            yield
        return self._project(frames)

    @torch.inference_mode()
    def _convolve(self, mel: Tensor) -> Tensor:
        return self.model.encoder.convolve(mel[None].to(self.model.device, self.model.dtype))

    @torch.inference_mode()
    def _encode_layers(self, layers: Sequence[int], frames: Tensor) -> Tensor:
        return self.model.encoder.run(layers, frames)

    @torch.inference_mode()
    def _project(self, frames: Tensor) -> Tensor:
        embeddings: Tensor = self.model.projector(self.model.encoder.norm(frames))
        return embeddings[0]

    def prefill(
        self, row: int, tokens: Sequence[int], audio: Tensor, n_predicted: int
    ) -> Generator[None, None, list[int]]:
        """Read a prompt into a row, `PREFILL` positions at a time.

        `audio` [n_audio, dim] takes the places of the audio tokens. Answers the tokens that the model predicts after
        each of the last `n_predicted` ones.
        """
        predicted: list[int] = []
        n_heard = 0
        for first in range(0, len(tokens), PREFILL):
            if first:
                yield
            piece = tokens[first : first + PREFILL]
            n_audio = piece.count(self._audio_token)
            n_wanted = max(0, min(len(piece), first + len(piece) - (len(tokens) - n_predicted)))
            predicted += self._read(row, piece, audio[n_heard : n_heard + n_audio], n_wanted)
            n_heard += n_audio
        return predicted

    @torch.inference_mode()
    def _read(self, row: int, tokens: Sequence[int], audio: Tensor, n_predicted: int) -> list[int]:
        """The next tokens of a row; what is predicted after each of the last `n_predicted` ones."""
        decoder, device, n = self.model.decoder, self.model.device, len(tokens)
        ids = torch.tensor([tokens], device=device)
        x = decoder.embedding(ids)  # [1, n, dim]
        x[ids == self._audio_token] = audio
        held = self._held[row]
        positions = torch.arange(held, held + n, device=device)[None]
        counts = torch.tensor([n], device=device)
        slots = self.ring.take(positions, counts, row, self._length(held + n))
        hidden = decoder(x, positions, self.ring, slots)
        self._held[row] = held + n
        if not n_predicted:
            return []
        predicted: list[int] = likeliest(decoder.head(hidden[0, -n_predicted:])).tolist()
        return predicted

    @torch.inference_mode()
    def step(self, tokens: Sequence[int | None]) -> list[int]:
        """Give each row its next token, None to rows that wait; what is predicted after each, meaningless for None.

        Rows behind the last one that takes part may be left out.
        """
        n = self.shape(len(tokens))
        padded = [*tokens, *[None] * (n - len(tokens))]
        device, furthest = self.model.device, 1 + max(self._held[: len(tokens)])
        (predicted,) = self.advance(
            torch.tensor([token or 0 for token in padded], device=device),
            torch.tensor(self._held[:n], device=device),
            torch.tensor([int(token is not None) for token in padded], device=device),
            self._length(furthest),
        )
        for row, token in enumerate(tokens):
            self._held[row] += token is not None
        answers: list[int] = predicted.tolist()
        return answers[: len(tokens)]

    def _advance(self, tokens: Tensor, positions: Tensor, counts: Tensor, length: int) -> tuple[Tensor]:
        """Tokens [n] at `positions` [n], of which those with a count of one count, to predictions [n]."""
        decoder, at = self.model.decoder, positions[:, None]
        slots = self.ring.take(at, counts, 0, length)
        hidden = decoder(decoder.embedding(tokens[:, None]), at, self.ring, slots)
        return (likeliest(decoder.head(hidden[:, 0])),)

    def _length(self, n_positions: int) -> int:
        """Slots to read when no row holds more than its first `n_positions` positions; few values where shapes are."""
        if self.fixed_shapes:
            return self.ring.length(n_positions)
        return min(-(-(n_positions + 1) // ALIGNMENT) * ALIGNMENT, self.ring.size + 1)

    def shape(self, n_rows: int) -> int:
        """Rows of a step that serves the first `n_rows`."""
        return min(1 << (n_rows - 1).bit_length(), self.n_rows) if self.fixed_shapes else n_rows

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.model.device

    def rehearse(self) -> list[list[int]]:
        """What the first row predicts after a few tokens."""
        self.begin(0)
        return [self.step([token]) for token in range(REHEARSED)]

    @torch.inference_mode()
    def visit_shapes(self) -> None:
        """Take a step of every shape, counting for nobody."""
        n_rows = sorted({self.shape(n) for n in range(1, self.n_rows + 1)})
        lengths = {self.ring.length(1 << exponent) for exponent in range(32)}
        for n, length in product(n_rows, sorted(lengths)):
            nothing = torch.zeros(3, n, dtype=torch.int64, device=self.device)
            self.advance(nothing[0], nothing[1], nothing[2], length)


def likeliest(logits: Tensor) -> Tensor:
    """The likeliest token of each row, [n] of [n, vocab]; in float32 it takes a fifth of the time on a CPU."""
    return logits.float().argmax(-1)
