"""The library on real speech, with the light built-in model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from voxtral_streaming import Transcriber
from voxtral_streaming.audio.decode import open_path
from voxtral_streaming.audio.source import SourcePolicy
from voxtral_streaming.audio.units import SAMPLE_RATE, Samples
from voxtral_streaming.config import load_config
from voxtral_streaming.engines.base import StreamOptions
from voxtral_streaming.errors import AudioError, UnsupportedOption
from voxtral_streaming.transcript import Event, Final, Partial

CONFIG = load_config(None, {"VOXTRAL_MODEL__NAME": "whisper-tiny.en"})


@pytest.fixture
async def transcriber() -> AsyncIterator[Transcriber]:
    async with Transcriber(CONFIG) as transcriber:
        yield transcriber


@pytest.fixture
def clip(root: Path) -> Path:
    return root / "tests" / "data" / "speech" / "en_librivox_0870.flac"


@pytest.fixture
async def samples(root: Path) -> Samples:
    """Three sentences with a second of silence behind each."""
    silence = np.zeros(SAMPLE_RATE, np.float32)
    parts: list[Samples] = []
    for path in sorted((root / "tests" / "data" / "speech").glob("*.flac")):
        async with open_path(path, SourcePolicy.trusted(CONFIG.audio)) as audio:
            parts += [block async for block in audio]
        parts.append(silence)
    return np.concatenate(parts)


async def live(samples: Samples, block: int, pause_s: float = 0.0) -> AsyncIterator[Samples]:
    for start in range(0, len(samples), block):
        yield samples[start : start + block]
        await asyncio.sleep(pause_s)


async def test_a_path_its_bytes_and_its_url_give_the_same_transcript(transcriber: Transcriber, clip: Path) -> None:
    transcript = await transcriber.transcribe(clip)
    assert "had then leisure to consider" in transcript.text
    assert transcript == await transcriber.transcribe(clip.read_bytes())
    assert transcript.text == await transcriber.transcribe_from_url(clip.as_uri())
    assert transcript.duration == pytest.approx(7.1, abs=0.01)
    assert transcript.language == "en"


async def test_a_recording_is_segments_with_words_in_order(transcriber: Transcriber, samples: Samples) -> None:
    transcript = await transcriber.transcribe(samples)
    assert [segment.id for segment in transcript.segments] == [0, 1, 2]
    assert "amiable himself" in transcript.segments[2].text
    times = [word.start for segment in transcript.segments for word in segment.words]
    assert times == sorted(times)
    assert transcript.text == " ".join(segment.text for segment in transcript.segments)


@pytest.mark.parametrize("block", [160, 1000, 16_000])
async def test_a_streamed_recording_gives_the_text_of_the_whole(
    transcriber: Transcriber, samples: Samples, block: int
) -> None:
    finals = [final async for final in transcriber.finals(live(samples, block))]
    transcript = await transcriber.transcribe(samples)
    assert [final.text for final in finals] == [segment.text for segment in transcript.segments]
    assert [final.utterance for final in finals] == [0, 1, 2]
    assert finals[1].start_sample > finals[0].end_sample


async def test_blocks_do_not_change_what_live_audio_gives(transcriber: Transcriber, samples: Samples) -> None:
    async def events(block: int) -> list[Event]:
        asked = StreamOptions(partials=False)
        return [event async for event in transcriber.stream(live(samples, block), options=asked)]

    told = await events(160)
    assert told == await events(16_000)
    assert [event.utterance for event in told if isinstance(event, Final)] == [0, 1, 2]


async def test_what_is_recorded_is_heard_together_and_told_apart(transcriber: Transcriber, samples: Samples) -> None:
    together = await transcriber.transcribe(samples, options=StreamOptions(words=True))
    utterances = [event async for event in transcriber.stream(live(samples, 16_000)) if isinstance(event, Final)]
    assert len(together.segments) == len(utterances) == 3
    for segment, final in zip(together.segments, utterances, strict=True):
        assert segment.start == pytest.approx(final.start_sample / SAMPLE_RATE, abs=0.1)
        assert segment.end == pytest.approx(final.end_sample / SAMPLE_RATE, abs=0.1)
        assert segment.start <= segment.words[0].start < segment.words[-1].end <= segment.end
        assert " ".join(word.text for word in segment.words) == segment.text
    without = await transcriber.transcribe(samples, options=StreamOptions(words=False))
    assert [segment.text for segment in without.segments] == [segment.text for segment in together.segments]
    assert not any(segment.words for segment in without.segments)


async def test_partials_come_before_their_final(transcriber: Transcriber, samples: Samples) -> None:
    events = [event async for event in transcriber.stream(live(samples[: 9 * SAMPLE_RATE], 1600, 0.05))]
    shown = [event.utterance for event in events if isinstance(event, Partial | Final)]
    assert shown == sorted(shown)
    assert any(isinstance(event, Partial) for event in events)


async def test_progress_is_told(transcriber: Transcriber, samples: Samples) -> None:
    told: list[tuple[float, float | None]] = []
    await transcriber.transcribe(samples, on_progress=lambda done, total: told.append((done, total)))
    assert [total for _, total in told] == [len(samples) / SAMPLE_RATE] * 3
    assert told == sorted(told)


async def test_silence_is_an_empty_transcript(transcriber: Transcriber) -> None:
    transcript = await transcriber.transcribe(np.zeros(3 * SAMPLE_RATE, np.float32))
    assert (transcript.text, transcript.segments, transcript.duration) == ("", (), 3.0)


async def test_what_cannot_be_read_or_done_is_an_error(transcriber: Transcriber, clip: Path) -> None:
    with pytest.raises(AudioError):
        await transcriber.transcribe("no such file.wav")
    with pytest.raises(UnsupportedOption):
        await transcriber.transcribe(clip, options=StreamOptions(language="fr"))


async def test_it_can_be_used_again_after_it_was_closed(clip: Path) -> None:
    transcriber = Transcriber(CONFIG)
    first = await transcriber.transcribe(clip)
    await transcriber.close()
    assert await transcriber.transcribe(clip) == first
    await transcriber.close()
