"""Whisper's decoder where the text is half known: what a stream had before is checked at once, not token by token.

A decoder that writes a text token by token reads all of its weights for each of them. The text of a growing utterance
is most of what was decoded before: taken as a draft, all of its tokens go through the decoder at once, and those that
it would have chosen itself stand (speculative decoding: Leviathan et al., 2023; greedy, so nothing is drawn). What is
decoded does not depend on the draft, only how long it takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from tempfile import gettempdir

import numpy as np
from numpy.typing import NDArray

from voxtral_streaming.engines.whisper.cache import Cache, empty_past, in_grains, joined, places, window_bias
from voxtral_streaming.engines.whisper.checkpoint import Checkpoint, Tensor
from voxtral_streaming.engines.whisper.decoder_graph import (
    EMBEDDINGS,
    Heads,
    caches,
    cross_graph,
    shape_of,
    token_graph,
)
from voxtral_streaming.engines.whisper.graph import matrix_of
from voxtral_streaming.engines.whisper.rules import Logits, Rules, log_sum
from voxtral_streaming.engines.whisper.sessions import session, weight_limit
from voxtral_streaming.engines.whisper.texts import Breath, Text, no_breath
from voxtral_streaming.engines.whisper.weights import refusal_told
from voxtral_streaming.memory import in_a_file

FIRST_TRIED = 16  # tokens of a draft
FEWEST_TRIED = 4  # tokens of a draft that was wrong: they cost little more than one
MOST_TRIED = 32  # the logits of each are 0.2 MB
GROWTH = 4  # times as many are tried when all were right
MOST_COMPARED = 2  # ended texts of a beam: with as many as are followed there are no fewer errors
MOST_MISSES = 4  # in a row, until a draft is given up


class Decoder:
    """Implements `TextDecoder` on the CPU, on the calling thread. May be called from several at once."""

    def __init__(self, weights: Checkpoint, rules: Rules, heads: Heads | None, *, is_int8: bool) -> None:
        """Build the graphs. `heads` are those whose attention follows the audio. Raises `WeightsError`."""
        self._rules = rules
        self._shape = shape_of(weights)
        limit = weight_limit() if is_int8 else None
        embeddings = matrix_of(weights, EMBEDDINGS, limit)
        self._positions = weights.tensor("decoder/position_encodings/encodings")  # [n_positions, width]
        self._cross_session = session(cross_graph(weights, self._shape, limit))
        heads = heads or self._shape.upper_heads
        self._session = session(token_graph(weights, self._shape, limit, heads, embeddings))
        with refusal_told(f"embeddings are written to {gettempdir()}"):  # a step reads a row for each token
            self._embeddings = replace(embeddings, values=in_a_file(embeddings.values))
        self._past, self._cross = (caches(kind, self._shape.n_layers) for kind in ("past", "cross"))

    def decode(self, features: Sequence[Tensor], texts: Sequence[Text], breathe: Breath = no_breath) -> None:
        """Decode windows [1, n_frames, width] greedily, to the ends of their texts; each as it would be alone."""
        kept, unended = list[Cache](), list[Text]()
        for one, text in zip(features, texts, strict=True):
            breathe()
            cache = self._checked(one, text)
            if not text.is_ended:  # else the megabytes of its cache need not wait for the others
                kept.append(cache)
                unended.append(text)
        if unended:
            self._write(joined(kept), unended, breathe)

    def search(self, features: Tensor, text: Text, beam_size: int, breathe: Breath = no_breath) -> Text:
        """Decode a window [1, n_frames, width] and follow so many texts that go on from this one; the best of all.

        They begin with its draft, which is taken as it is. A text is ended where its end is among the best two that may
        come next; two such are compared.
        """
        cache = self._remembered(features)
        logits, attention = self._begun(cache, text)
        if text.is_ended:
            return text
        live, ended, n_compared = [text], list[Text](), min(beam_size, MOST_COMPARED)
        while True:
            parents, branches = list[int](), list[Text]()
            for rank, (n, token, logprob) in enumerate(self._ranked(live, logits[:, -1], beam_size + 1)):
                branch = live[n].branch()
                branch.take(token, logprob, attention[n, -1], self._rules)
                if not branch.is_ended:
                    parents.append(n)
                    branches.append(branch)
                elif rank < n_compared:
                    ended.append(branch)
                if len(branches) == beam_size:
                    break
            if len(ended) >= n_compared or not branches:
                return max(ended, key=lambda one: (not one.is_cut, one.score))
            live = branches
            cache.branch(parents)
            breathe()
            logits, attention = self._run(cache, [one.tokens[-1:] for one in live])

    def _begun(self, cache: Cache, text: Text) -> tuple[Logits, Tensor]:
        """Take in the prompt and the draft; the logits and the attention behind them, as of `_run`."""
        given, first = [*text.prompt, *text.draft], len(text.prompt) - 1
        for start in range(0, len(given), MOST_TRIED):
            logits, attention = self._run(cache, [given[start : start + MOST_TRIED]])
            if start == 0:
                text.no_speech = self._rules.no_speech(logits[0, 0])
            for n in range(max(first, start), min(start + MOST_TRIED, len(given) - 1)):
                self._choose(text, logits[0, n - start], attention[0, n - start])
        return logits, attention

    def _ranked(self, live: Sequence[Text], logits: Logits, n_each: int) -> list[tuple[int, int, float]]:
        """What texts may go on with, the likeliest text first: number of the text, token and its log probability."""
        ways = [
            (n, token, logprob)
            for n, text in enumerate(live)
            for token, logprob in self._rules.likeliest(logits[n], text.tokens, n_each)
        ]
        return sorted(ways, key=lambda way: live[way[0]].logprob + way[2], reverse=True)

    def detect(self, features: Tensor) -> list[tuple[str, float]]:
        """Languages and their probabilities in a window [1, n_frames, width], the likeliest first."""
        rules = self._rules
        logits, _ = self._run(self._remembered(features), [[rules.start]])
        chosen = logits[0, 0, list(rules.languages.values())]
        shares = np.exp(chosen - log_sum(chosen))
        return sorted(zip(rules.languages, map(float, shares), strict=True), key=lambda one: one[1], reverse=True)

    def _checked(self, features: Tensor, text: Text) -> Cache:
        """Take in the prompt, and as much of the draft as is right."""
        cache = self._remembered(features)
        new, n_tried, n_misses = list(text.prompt), FIRST_TRIED, 0
        while True:
            tried = self._tried(text, min(n_tried, text.n_most - len(text.tokens))) or self._likely(text)
            n_right = self._check(cache, text, new, tried)
            n_misses = 0 if n_right else n_misses + 1
            if text.is_ended or text.at >= len(text.draft) or n_misses > MOST_MISSES:
                return cache
            n_tried = min(GROWTH * n_tried, MOST_TRIED) if n_right == len(tried) else FEWEST_TRIED
            new = text.tokens[-1:]

    def _check(self, cache: Cache, text: Text, new: list[int], tried: list[int]) -> int:
        """Take in what is new, and as many of the tokens that are tried behind it as are right: how many."""
        n_before, first = cache.n_taken + len(new), len(new) - 1
        logits, attention = (both[0] for both in self._run(cache, [[*new, *tried]]))
        if not text.tokens:
            text.no_speech = self._rules.no_speech(logits[0])
        n_right = self._take(text, tried, logits[first:], attention[first:])
        cache.n_taken = n_before + n_right
        return n_right

    def _tried(self, text: Text, n_most: int) -> list[int]:
        """What goes next of the draft: nothing behind the next time, which is seldom right to 0.02 s."""
        tried = text.draft[text.at : text.at + n_most]
        time = next((n for n, token in enumerate(tried) if n and self._rules.is_time(token)), n_most)
        return tried[: time + 1]

    def _likely(self, text: Text) -> list[int]:
        """What may come next without a draft: most texts begin at once, and a piece where the one before it ends."""
        if self._rules.is_closing(text.tokens):
            return text.tokens[-1:]
        return [] if text.tokens else [self._rules.first_time]

    def _remembered(self, features: Tensor) -> Cache:
        """Keys and values of a window [1, n_frames, width], and places for its text."""
        n_frames, shape = features.shape[1], self._shape
        padded = np.pad(features, ((0, 0), (0, in_grains(n_frames) - n_frames), (0, 0)))
        cross = self._cross_session.run(None, {"features": padded})
        past = empty_past(shape.n_layers, shape.n_heads, shape.head)
        return Cache(cross, window_bias(n_frames), past, np.zeros(1, np.int64))

    def _take(self, text: Text, tried: Sequence[int], logits: Logits, attention: Tensor) -> int:
        """Take tokens for as long as they are those that were tried, and one more; how many were.

        Takes what is given behind the last token so far, and behind each that was tried.
        """
        for n, one in enumerate(logits):
            self._choose(text, one, attention[n])
            if text.is_ended:
                return n
            if n == len(tried) or text.tokens[-1] != tried[n]:
                text.resume(self._rules)
                return n
            text.at += 1
        raise AssertionError("there is a token for each of the logits but the last")

    def _choose(self, text: Text, logits: Logits, attention: Tensor) -> None:
        """Take the likeliest token, by logits [n_vocabulary]."""
        [(token, logprob)] = self._rules.likeliest(logits, text.tokens, 1)
        text.take(token, logprob, attention, self._rules)

    def _write(self, cache: Cache, texts: list[Text], breathe: Breath) -> None:
        """Decode token by token, in company; who is left alone also tries what is likely."""
        while len(texts) > 1:
            breathe()
            logits, attention = self._run(cache, [text.tokens[-1:] for text in texts])
            unended = []
            for n, text in enumerate(texts):
                if not text.is_ended:
                    self._choose(text, logits[n, 0], attention[n, 0])
                if not text.is_ended:
                    unended.append(n)
            if not unended:
                return
            if 2 * len(unended) <= len(texts):  # what is ended goes on in vain: moving the others costs as well
                cache.choose(unended)
                texts = [texts[n] for n in unended]
        [text] = texts
        while not text.is_ended:
            breathe()
            self._check(cache, text, text.tokens[-1:], self._likely(text))

    def _run(self, cache: Cache, new: list[list[int]]) -> tuple[Logits, Tensor]:
        """Take equally many new tokens for each row.

        The logits behind each: [n_rows, n_new, n_vocabulary], and the attention: [n_rows, n_new, n_heads, n_frames].
        """
        tokens = np.array(new, np.int64)
        positions = cache.positions(tokens.shape[1])
        inputs = {
            "embedded": self._embedded(tokens, positions),
            "places": places(positions),
            "bias": cache.bias(positions),
            "cross_bias": cache.cross_bias,
        }
        inputs |= dict(zip(self._past, cache.past, strict=True)) | dict(zip(self._cross, cache.cross, strict=True))
        logits, scales, attention, *cache.past = self._session.run(None, inputs)
        logits *= scales
        cache.n_taken = cache.n_taken + tokens.shape[1]
        return logits.reshape(*tokens.shape, -1), attention[..., 0, :]

    def _embedded(self, tokens: NDArray[np.int64], positions: NDArray[np.int64]) -> Tensor:
        """Tokens at their positions [n_rows, n_new] → [n_rows, n_new, width]."""
        values, scales = self._embeddings.values[tokens], self._embeddings.scales[tokens]
        embedded: Tensor = values * scales[..., None] + self._positions[positions]
        return embedded
