"""The text of a window while it is decoded. Pure: no model."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeAlias

import numpy as np

from voxtral_streaming.engines.whisper.alignment import Attention
from voxtral_streaming.engines.whisper.checkpoint import Tensor
from voxtral_streaming.engines.whisper.rules import Rules

NEAR = 4  # tokens of the draft among which one that was taken instead is looked for
FAR = 16  # the same, for it and the one before it
MOST_AGAIN = 24  # tokens that say again what was just said: more are a loop


@dataclass(slots=True, eq=False)
class Text:
    """What is decoded of a window, so far."""

    prompt: tuple[int, ...]
    n_most: int  # tokens
    last_time: int  # the token of the end of the audio
    draft: list[int] = field(default_factory=list)  # what it may be
    at: int = 0  # where it goes on in the draft
    most_again: int = MOST_AGAIN  # tokens that repeat what is before them, until it is a loop
    tokens: list[int] = field(default_factory=list)  # timestamps included, without the end
    spoken: list[int] = field(default_factory=list)  # without timestamps
    logprob: float = 0.0  # of all of them, and of the end
    heard: list[Tensor] = field(default_factory=list)  # attention [n_heads, n_frames] for each spoken, and for the end
    probabilities: list[float] = field(default_factory=list)  # of the spoken
    no_speech: float = 0.0  # probability
    is_ended: bool = False
    is_cut: bool = False  # it was made to end: too long, or in a loop

    @property
    def attention(self) -> Attention | None:
        """Where each spoken token was heard, and the end; None where nobody looked."""
        if not self.heard:
            return None
        heard = self.heard if len(self.heard) > len(self.spoken) else [*self.heard, self.heard[-1]]
        n_frames = min(one.shape[1] for one in heard)  # its own: what company adds is 0
        return Attention(np.stack([one[:, :n_frames] for one in heard], 1), tuple(self.probabilities))

    @property
    def score(self) -> float:
        """Mean log probability of a token, that of the end added, as CTranslate2 counts it."""
        return self.logprob / max(1, len(self.tokens))

    def take(self, token: int, logprob: float, attention: Tensor, rules: Rules) -> None:
        """Go on with a token; `attention` is that by which it was chosen.

        It ends with its end, or where a piece of it ends at the end of the audio: nothing is said behind that.
        """
        self.logprob += logprob
        if token != rules.end:
            self.tokens.append(token)
        is_over = token == rules.end or (token >= self.last_time and rules.is_closing(self.tokens))
        if is_over or not rules.is_time(token):
            self.heard.append(attention.copy())  # a part of an array of megabytes, which it would hold
        if is_over:
            self.is_ended = True
            return
        if not rules.is_time(token):
            self.spoken.append(token)
            self.probabilities.append(math.exp(logprob))
        self.is_ended = self.is_cut = len(self.tokens) >= self.n_most or is_loop(self.spoken, self.most_again)

    def resume(self, rules: Rules) -> None:
        """Find where the draft goes on behind the last token, which was taken instead of the one at that place."""
        token, draft, at = self.tokens[-1], self.draft, self.at
        if draft[at : at + 1] == [token]:
            self.at += 1
        elif rules.is_time(token):
            if at < len(draft) and rules.is_time(draft[at]):
                if draft[at + 1 : at + 2] == [draft[at]]:  # the next piece begins where this one ends
                    draft[at + 1] = token
                self.at += 1
        else:
            self.at = self._found() or at + 1

    def _found(self) -> int | None:
        """The nearest place of the draft that the last tokens stand before."""
        for n, reach in ((2, FAR), (1, NEAR)):
            near = range(max(n, self.at - reach), self.at + reach)
            places = [place for place in near if self.draft[place - n : place] == self.tokens[-n:]]
            if places:
                return min(places, key=lambda place: abs(place - self.at))
        return None

    def given(self, tokens: Sequence[int], score: float, no_speech: float) -> None:
        """Be what was decoded elsewhere, to its end."""
        self.tokens, self.logprob, self.no_speech = list(tokens), score * max(1, len(tokens)), no_speech
        self.is_ended, self.is_cut = True, len(tokens) >= self.n_most

    def branch(self) -> Text:
        """Another one that goes on in its own way."""
        return replace(
            self,
            tokens=self.tokens[:],
            spoken=self.spoken[:],
            heard=self.heard[:],
            probabilities=self.probabilities[:],
        )


def is_loop(tokens: Sequence[int], most_again: int) -> bool:
    """Whether so many of the last tokens say again what stands before them, once or over and over."""
    for length in range(1, len(tokens) - most_again + 1):
        n_again = -(-most_again // length) * length  # whole phrases
        n = n_again + length
        if n <= len(tokens) and tokens[-n:-length] == tokens[-n_again:]:
            return True
    return False


Breath: TypeAlias = Callable[[], None]  # called between two steps: what can be done meanwhile


def no_breath() -> None:
    """Go on at once."""


class TextDecoder(Protocol):
    """Makes texts of what the encoder made of windows: [1, n_frames, width]."""

    def decode(self, features: Sequence[Tensor], texts: Sequence[Text], breathe: Breath = no_breath) -> None:
        """Take texts to their ends, greedily; each comes out as it would alone, whatever its draft.

        `breathe` is called between two steps, if there are several.
        """

    def search(self, features: Tensor, text: Text, beam_size: int, breathe: Breath = no_breath) -> Text:
        """The best of so many ways in which a text goes on; `breathe` is called as in `decode`.

        The draft, if there is one, must be the beginning of what `decode` makes of the text.
        """

    def detect(self, features: Tensor) -> list[tuple[str, float]]:
        """Languages and their probabilities, the likeliest first."""
