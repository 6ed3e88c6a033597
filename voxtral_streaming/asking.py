"""A recording and a conversation about it → the model's answer, as it grows."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing

from voxtral_streaming.audio.units import SAMPLE_RATE, Samples
from voxtral_streaming.engines.base import Engine, StreamOptions, Turn
from voxtral_streaming.engines.options import check_options
from voxtral_streaming.errors import AudioTooLong
from voxtral_streaming.transcript import Hypothesis


async def answers(
    engine: Engine, audio: AsyncIterator[Samples], turns: Sequence[Turn], most_tokens: int | None = None
) -> AsyncGenerator[Hypothesis, None]:
    """The answer to a conversation about a recording: what was said so far, again and again, and last the whole.

    `audio`: blocks of float32 [n_samples] at 16 kHz; `most_tokens`: of the answer. Raises `UnsupportedOption` where
    the engine does not converse, `AudioTooLong` where the recording has no room in a conversation.
    """
    options = StreamOptions(conversation=tuple(turns), most_tokens=most_tokens, words=False)
    check_options(options, engine.capabilities)
    limit_s = engine.capabilities.converses_s
    stream, n_samples = engine.open(options, at=0), 0
    try:
        async for block in audio:
            n_samples += len(block)
            if n_samples > limit_s * SAMPLE_RATE:
                raise AudioTooLong(
                    f"a recording of up to {limit_s:.0f} s has room in a conversation here", param="messages"
                )
            stream.feed(block)
        shown = Hypothesis()
        while (said := await stream.partial()) != shown:
            yield said
            shown = said
        yield await stream.finish()
    finally:
        stream.close()


async def answer(
    engine: Engine, audio: AsyncIterator[Samples], turns: Sequence[Turn], most_tokens: int | None = None
) -> Hypothesis:
    """The whole answer at once."""
    async with aclosing(answers(engine, audio, turns, most_tokens)) as growing:
        return [said async for said in growing][-1]
