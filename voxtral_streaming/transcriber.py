"""The library: `Transcriber` turns recordings into transcripts and live audio into events.

A recording is a stream fed fast: `transcribe` is a few lines over `stream`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace
from types import TracebackType
from typing import TypeAlias

import numpy as np

from voxtral_streaming.asking import answers
from voxtral_streaming.audio.decode import open_audio
from voxtral_streaming.audio.source import SourcePolicy
from voxtral_streaming.audio.units import SAMPLE_RATE, Samples, samples_from_seconds, seconds
from voxtral_streaming.config import Config, StreamingConfig, VadConfig, load_config
from voxtral_streaming.engines import open_engine
from voxtral_streaming.engines.base import Engine, StreamOptions, Turn
from voxtral_streaming.recognise import Audio, Backlog, recognise
from voxtral_streaming.transcript import Event, Final, Hypothesis, Segment, Transcript
from voxtral_streaming.vad import open_endpointer
from voxtral_streaming.vad.activity import Endpointer

FILE_BACKLOG = 240 * SAMPLE_RATE  # of a recording, recognised at the same time

Progress: TypeAlias = Callable[[float, float | None], None]
"""Called with the seconds that are done, and the seconds of the whole where they are known."""


class Transcriber:
    """Recognises speech with one engine. Opened by `initialize` or `async with`; serves many streams at once."""

    def __init__(self, config: Config | None = None, *, engine: Engine | None = None) -> None:
        """Without a configuration the built-in defaults hold; without an engine the configuration chooses one."""
        self.config = config or load_config(None, {})
        self.engine = engine or open_engine(self.config)
        self._is_initialized = False
        self._initializing = asyncio.Lock()

    async def initialize(self) -> None:
        """Load the model. Raises `WeightsError` or `EngineUnavailable`. Does nothing the second time."""
        async with self._initializing:
            if not self._is_initialized:
                await self.engine.start()
                self._is_initialized = True

    async def close(self) -> None:
        """Stop the engine, giving up open streams."""
        if self._is_initialized:
            self._is_initialized = False
            await self.engine.close()

    async def __aenter__(self) -> Transcriber:
        await self.initialize()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def endpointer(
        self,
        vad: VadConfig | None = None,
        streaming: StreamingConfig | None = None,
        *,
        detect_turns: bool = True,
        is_live: bool = True,
    ) -> Endpointer:
        """A fresh endpointer, as configured unless otherwise said, and within what the engine can take.

        That of a recording lets more be heard together, where the engine gains by that.
        """
        can = self.engine.capabilities
        return open_endpointer(
            vad or self.config.vad,
            streaming or self.config.streaming,
            can.max_utterance_s,
            detect_turns=detect_turns,
            is_live=is_live or not can.hears_together,
        )

    def options(self, options: StreamOptions | None = None) -> StreamOptions:
        """The options that were asked for, or the default ones, with the configured language where none is named."""
        options = options or StreamOptions()
        return replace(options, language=options.language or self.config.model.language)

    async def stream(
        self,
        audio: Audio,
        *,
        options: StreamOptions | None = None,
        endpointer: Endpointer | None = None,
        backlog: Backlog | None = None,
    ) -> AsyncGenerator[Event, None]:
        """The events of live audio: blocks of float32 [n_samples] at 16 kHz, of any length, `Flush` and `Clear`.

        `endpointer`: a fresh one that cuts the audio into utterances otherwise than configured. `backlog`: a fresh one,
        which tells meanwhile how far behind recognition is.
        """
        await self.initialize()
        most = samples_from_seconds(self.config.streaming.max_backlog_s)
        chosen, asked = endpointer or self.endpointer(), self.options(options)
        events = recognise(audio, chosen, self.engine, asked, max_backlog=most, backlog=backlog)
        async with aclosing(events):
            async for event in events:
                yield event

    async def transcribe(
        self,
        source: str | os.PathLike[str] | bytes | Samples,
        *,
        options: StreamOptions | None = None,
        on_progress: Progress | None = None,
    ) -> Transcript:
        """Transcribe a path, a URL, a `data:` URI, the bytes of a file, or samples [n_samples] at 16 kHz.

        Raises `AudioError` when the source cannot be read. The caller is trusted: any path that the process may
        read is read, any URL is fetched.
        """
        if isinstance(source, np.ndarray):
            return await self.transcript(_blocks(source), seconds(len(source)), options, on_progress)
        async with open_audio(source, SourcePolicy.trusted(self.config.audio)) as audio:
            return await self.transcript(audio, audio.duration, options, on_progress)

    async def ask(
        self, source: str | os.PathLike[str] | bytes | Samples, question: str, *, most_tokens: int | None = None
    ) -> str:
        """What the model answers to a question about a recording: a summary, a translation, who said what.

        Sources are those of `transcribe`. Raises `UnsupportedOption` where the engine only transcribes.
        """
        return (await self.answer(source, question, most_tokens=most_tokens)).text

    async def answer(
        self,
        source: str | os.PathLike[str] | bytes | Samples,
        question: str,
        *,
        most_tokens: int | None = None,
        on_progress: Callable[[str], None] | None = None,
    ) -> Hypothesis:
        """The same, and whether the answer was cut; `on_progress` is called with what was said so far."""
        await self.initialize()
        turns = [Turn("user", (None, question))]
        async with AsyncExitStack() as held:
            if isinstance(source, np.ndarray):
                audio: AsyncIterator[Samples] = _blocks(source)
            else:
                policy = SourcePolicy.trusted(self.config.audio)
                audio = await held.enter_async_context(open_audio(source, policy))
            said = Hypothesis()
            async with aclosing(answers(self.engine, audio, turns, most_tokens)) as answer:
                async for said in answer:
                    if on_progress:
                        on_progress(said.text)
            return said

    async def transcribe_from_url(self, audio_url: str) -> str:
        """The text of the recording at a URL; a path or a `data:` URI will do as well."""
        return (await self.transcribe(audio_url)).text

    async def transcript(
        self,
        blocks: AsyncIterator[Samples],
        duration: float | None = None,
        options: StreamOptions | None = None,
        on_progress: Progress | None = None,
        *,
        endpointer: Endpointer | None = None,
    ) -> Transcript:
        """The transcript of a whole recording, given as decoded blocks at 16 kHz.

        `endpointer`: a fresh one that cuts the recording into utterances otherwise than configured.
        """
        meter = _Meter(blocks)
        segments: list[Segment] = []
        async with aclosing(self.finals(meter.blocks(), options, endpointer=endpointer)) as finals:
            async for final in finals:
                segments += [Segment.of(final, len(segments))] if final.text else []
                if on_progress:
                    on_progress(seconds(final.end_sample), duration)
        return Transcript.of(segments, seconds(meter.n_samples))

    async def finals(
        self,
        blocks: AsyncIterator[Samples],
        options: StreamOptions | None = None,
        *,
        endpointer: Endpointer | None = None,
    ) -> AsyncGenerator[Final, None]:
        """The finals of a whole recording, each as soon as it is there; otherwise like `transcript`.

        What is heard together is told apart again, by the times of its words: a final is what live audio has one for.
        """
        await self.initialize()
        asked = self.options(options)
        words = asked.words or self.engine.capabilities.hears_together
        chosen = replace(asked, partials=False, is_live=False, words=words)
        cutting = endpointer or self.endpointer(is_live=False)
        events = recognise(blocks, cutting, self.engine, chosen, max_backlog=FILE_BACKLOG)
        n_finals = 0
        async with aclosing(events):
            async for event in events:
                if isinstance(event, Final):
                    yield replace(event, utterance=n_finals, words=event.words if asked.words else ())
                    n_finals += 1


class _Meter:
    """Counts the samples that pass."""

    def __init__(self, blocks: AsyncIterator[Samples]) -> None:
        self._blocks = blocks
        self.n_samples = 0

    async def blocks(self) -> AsyncIterator[Samples]:
        async for block in self._blocks:
            self.n_samples += len(block)
            yield block


async def _blocks(samples: Samples) -> AsyncIterator[Samples]:
    yield samples.astype(np.float32, copy=False)
