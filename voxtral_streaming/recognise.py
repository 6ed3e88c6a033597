"""The heart: samples → activities → hypotheses → events.

A listener task cuts the audio into utterances; each utterance has a task that follows it through the engine; the
events of the utterances come out one utterance after the other. Nothing but the samples decides a final.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from time import monotonic
from typing import TypeAlias

import numpy as np

from voxtral_streaming.audio.units import Samples, samples_from_ms
from voxtral_streaming.engines.base import Engine, StreamOptions
from voxtral_streaming.pace import Pace
from voxtral_streaming.transcript import Answer, Cleared, Event, Flushed, Heard
from voxtral_streaming.utterance import Utterance
from voxtral_streaming.vad.activity import Activity, Endpoint, Endpointer, SpeechStarted

MAX_BLOCK = samples_from_ms(500)  # what the detector hears in one go, so that it never blocks for long


@dataclass(frozen=True, slots=True)
class Flush:
    """Among the audio: end the open utterance here. Answered by `Flushed`, after its final."""


@dataclass(frozen=True, slots=True)
class Clear:
    """Among the audio: forget the open utterance, which gets no final. Answered by `Cleared`."""


@dataclass(frozen=True, slots=True)
class Tick:
    """Among the audio: answered by `Heard`, in its turn. For who must know that nobody spoke up to here."""


Audio: TypeAlias = AsyncIterator[Samples | Flush | Clear | Tick]


class Backlog:
    """Tells, while a stream is recognised, how far behind that is."""

    def __init__(self) -> None:
        self._listener: _Listener | None = None

    def of(self, listener: _Listener) -> None:
        """Tell about this one."""
        self._listener = listener

    @property
    def oldest(self) -> int | None:
        """Where the first utterance ends that is over and has no final yet; None: every final was given."""
        unfinished = self._listener.unfinished if self._listener is not None else []
        return unfinished[0].end if unfinished else None


async def recognise(
    audio: Audio,
    endpointer: Endpointer,
    engine: Engine,
    options: StreamOptions,
    *,
    max_backlog: int,
    backlog: Backlog | None = None,
) -> AsyncGenerator[Event, None]:
    """The events of a stream of audio, in order, until it ends.

    `max_backlog`: samples of finished utterances that may await their finals before no more of `audio` is pulled;
    utterances within it are recognised at the same time. Errors of the audio and of the engine come out of the
    iterator; closing it stops everything. `backlog` can be asked meanwhile.
    """
    listener = _Listener(endpointer, engine, options, max_backlog)
    if backlog is not None:
        backlog.of(listener)
    async with aclosing(listener.utterances(audio)) as utterances:
        async for utterance in utterances:
            if isinstance(utterance, Answer):
                yield utterance
                continue
            async for event in utterance.events():
                yield event


class _Listener:
    """Cuts audio into utterances and sends each on its way."""

    def __init__(self, endpointer: Endpointer, engine: Engine, options: StreamOptions, max_backlog: int) -> None:
        self._endpointer = endpointer
        self._engine = engine
        self._options = options
        self._max_backlog = max_backlog
        self._pace = Pace(monotonic())
        self._started: asyncio.Queue[Utterance | Answer | None] = asyncio.Queue()
        self._utterances: list[Utterance] = []  # the open one, and those whose finals are awaited
        self._open: Utterance | None = None
        self._n_utterances = 0

    @property
    def unfinished(self) -> list[Utterance]:
        """The utterances that are over and have no finals yet."""
        return [one for one in self._utterances if one.n_unfinished]

    async def utterances(self, audio: Audio) -> AsyncGenerator[Utterance | Answer, None]:
        """The utterances, each as soon as it begins, and between them the answers to what is asked among the audio."""
        listening = asyncio.create_task(self._listen(audio))
        listening.add_done_callback(lambda _: self._started.put_nowait(None))
        try:
            while (utterance := await self._started.get()) is not None:
                yield utterance
            await listening
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
            for utterance in self._utterances:
                await utterance.close()

    async def _listen(self, audio: Audio) -> None:
        try:
            async for block in audio:
                await self._hear(block)
        except Exception:  # whatever failed, what was heard before it gets its final
            await self._take(self._endpointer.flush())
            raise
        await self._take(self._endpointer.flush())

    async def _hear(self, block: Samples | Flush | Clear | Tick) -> None:
        if not isinstance(block, np.ndarray):
            self._started.put_nowait(await self._answer(block))
            return
        for start in range(0, len(block), MAX_BLOCK):
            part = block[start : start + MAX_BLOCK]
            self._pace.take(len(part), monotonic())
            await self._take(self._endpointer.feed(part))
            await asyncio.sleep(0)  # other sessions share this event loop

    async def _answer(self, asked: Flush | Clear | Tick) -> Answer:
        match asked:
            case Flush():
                await self._take(self._endpointer.flush())
                return Flushed()
            case Clear():
                self._forget()
                return Cleared()
            case Tick():
                return Heard(self._endpointer.position)

    def _forget(self) -> None:
        self._endpointer.flush()
        if self._open is not None:
            self._open.forget()
            self._open = None

    async def _take(self, activities: list[Activity]) -> None:
        for happening in activities:
            if isinstance(happening, SpeechStarted):
                self._open = await self._begin(happening.at)
            elif self._open is not None:
                self._open.take(happening)
            if isinstance(happening, Endpoint):
                self._open = None
        await self._wait_while(lambda: sum(one.n_unfinished for one in self._utterances) > self._max_backlog)

    async def _begin(self, at: int) -> Utterance:
        can = self._engine.capabilities
        if self._options.language is None and can.detects_language and can.tells_language:
            await self._wait_while(lambda: self._options.likely_language is None and bool(self._utterances))
        stream = self._engine.open(replace(self._options, is_ahead=self._pace.is_ahead), at)
        utterance = Utterance(self._n_utterances, at, stream, partials=self._options.partials)
        self._n_utterances += 1
        self._utterances.append(utterance)
        self._started.put_nowait(utterance)
        return utterance

    async def _wait_while(self, condition: Callable[[], bool]) -> None:
        """Let utterances finish while the condition holds."""
        self._settle()
        while condition():
            await asyncio.wait([one.following for one in self._utterances], return_when=asyncio.FIRST_COMPLETED)
            self._settle()

    def _settle(self) -> None:
        """Let go of finished utterances; the first language found is expected of those to come."""
        for utterance in self._utterances:
            language = utterance.language
            if self._options.likely_language is None and language is not None:
                self._options = replace(self._options, likely_language=language)
        self._utterances = [one for one in self._utterances if not one.following.done()]
