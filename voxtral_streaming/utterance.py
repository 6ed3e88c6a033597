"""One utterance: what the detector says of it goes in, its events come out."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Coroutine

from voxtral_streaming.engines.base import Stream
from voxtral_streaming.silences import Silence, apart
from voxtral_streaming.transcript import Event, Final, Hypothesis, Partial, SpeechStarted, SpeechStopped
from voxtral_streaming.vad import activity
from voxtral_streaming.vad.activity import Activity


class Utterance:
    """Follows an utterance through the engine, in a task of its own.

    At a pause the whole of it is recognised at once, in case it is over; at the endpoint its final is asked for,
    before anything else. A partial that was not read yet is replaced by the next one.
    """

    def __init__(self, number: int, start: int, stream: Stream, *, partials: bool) -> None:
        self._number = number
        self._start = start
        self._end = start  # the position after the last sample that was fed
        self._stream = stream
        self._partials = partials
        self._is_lull = False
        self._stopped = start  # where speech last stopped
        self._silences: list[Silence] = []
        self._turned = asyncio.Event()  # a lull, the end of a lull, or the endpoint
        self._over = asyncio.Event()  # the endpoint
        self._events: deque[Event] = deque([SpeechStarted(number, start)])
        self._emitted = asyncio.Event()
        self._shown = Hypothesis()
        self.following = asyncio.create_task(self._follow())

    @property
    def n_unfinished(self) -> int:
        """Samples of an utterance that is over and has no final yet."""
        return self._end - self._start if self._over.is_set() and not self.following.done() else 0

    @property
    def end(self) -> int:
        """The position after the last sample so far."""
        return self._end

    @property
    def language(self) -> str | None:
        """The language of the final; None before it, or where it has no text."""
        if not self.following.done() or self.following.cancelled() or self.following.exception():
            return None
        final = self.following.result()
        return final.language if final.text else None

    def take(self, happening: Activity) -> None:
        """Hear of speech, of a lull, of the endpoint."""
        match happening:
            case activity.Speech(at, samples):
                self._stream.feed(samples)
                self._end = at + len(samples)
                if self._is_lull:
                    self._turn(is_lull=False)
            case activity.Pause():
                self._turn(is_lull=True)
            case activity.SpeechStopped(at):
                self._stopped = at
                self._emit(SpeechStopped(self._number, at))
                self._turn(is_lull=True)  # the lull lasts: worth asking for what will be final
            case activity.SpeechResumed(at, is_apart):
                self._silences.append(Silence(self._stopped, at, is_apart))
            case activity.Endpoint():
                self._over.set()
                self._turn(is_lull=True)

    async def events(self) -> AsyncIterator[Event]:
        """All that is to be told of the utterance, its final last. Raises what stopped its recognition.

        Of an utterance that was forgotten nothing more is told.
        """
        self.following.add_done_callback(lambda _: self._emitted.set())
        while True:
            while self._events:
                yield self._events.popleft()
            if self.following.done():
                break
            self._emitted.clear()
            await self._emitted.wait()
        if not self.following.cancelled():
            for final in apart(self.following.result(), self._silences):
                yield final

    def forget(self) -> None:
        """Give the utterance up before its end; it gets no final."""
        self._events.clear()
        self.following.cancel()
        self._stream.close()

    async def close(self) -> None:
        """Give the utterance up."""
        self.following.cancel()
        await asyncio.wait([self.following])
        self._stream.close()

    def _turn(self, *, is_lull: bool) -> None:
        self._is_lull = is_lull
        self._turned.set()

    def _emit(self, event: Event) -> None:
        if isinstance(event, Partial) and self._events and isinstance(self._events[-1], Partial):
            self._events.pop()
        self._events.append(event)
        self._emitted.set()

    async def _follow(self) -> Final:
        try:
            while not self._over.is_set():
                await self._listen()
            hypothesis = await self._stream.finish()
        finally:
            self._stream.close()
        return Final(self._number, self._start, self._end, hypothesis.text, hypothesis.words, hypothesis.language)

    async def _listen(self) -> None:
        """Show the next hypothesis; give it up when something more urgent is to be asked."""
        self._turned.clear()
        if not self._partials:
            await self._over.wait()
        elif self._is_lull:
            await self._show(self._stream.flush(), unless=self._over)
            await self._turned.wait()
        else:
            await self._show(self._stream.partial(), unless=self._turned)

    async def _show(self, asked: Coroutine[None, None, Hypothesis], unless: asyncio.Event) -> None:
        heard = self._end
        answer, interruption = asyncio.create_task(asked), asyncio.create_task(unless.wait())
        try:
            await asyncio.wait({answer, interruption}, return_when=asyncio.FIRST_COMPLETED)
            if answer.done():
                self._tell(answer.result(), heard)
        finally:
            answer.cancel()
            interruption.cancel()
            await asyncio.gather(answer, interruption, return_exceptions=True)

    def _tell(self, hypothesis: Hypothesis, heard: int) -> None:
        if hypothesis.text and hypothesis != self._shown:
            self._shown = hypothesis
            self._emit(Partial(self._number, heard, hypothesis.stable, hypothesis.tentative))
