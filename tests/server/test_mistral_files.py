"""Mistral's own client sends recordings to a real server."""

from __future__ import annotations

import io
import json
import wave
from typing import Any

import pytest
from mistralai.client import Mistral
from mistralai.client.errors import SDKError
from mistralai.client.models import (
    File,
    TranscriptionResponse,
    TranscriptionStreamDone,
    TranscriptionStreamLanguage,
    TranscriptionStreamSegmentDelta,
    TranscriptionStreamTextDelta,
)

from voxtral_streaming.errors import EngineFailed


@pytest.fixture
def recording(sound: Any) -> bytes:
    """Two utterances, as a WAV file."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as writing:
        writing.setparams((1, 2, 16000, 0, "NONE", ""))
        writing.writeframes(sound.utterances(1.0, 0.5))
    return buffer.getvalue()


def file(recording: bytes) -> File:
    return File(file_name="recording.wav", content=recording)


def client(running: Any) -> Mistral:
    return Mistral(api_key="none", server_url=f"http://{running.host}")


def complete(running: Any, **fields: Any) -> TranscriptionResponse:
    with client(running) as mistral:
        answer: TranscriptionResponse = mistral.audio.transcriptions.complete(model="voxtral-mini-latest", **fields)
        return answer


def stream(running: Any, **fields: Any) -> list[Any]:
    with client(running) as mistral, mistral.audio.transcriptions.stream(model="voxtral-mini", **fields) as events:
        return list(events)


class TestComplete:
    def test_a_recording_becomes_text(self, server: Any, recording: bytes) -> None:
        answer = complete(server, file=file(recording))
        assert (answer.model, answer.language, answer.segments) == ("abacus", "en", [])
        assert len(answer.text.split()) == 6
        assert answer.usage.prompt_audio_seconds == 4

    async def test_asynchronously(self, server: Any, recording: bytes) -> None:
        async with client(server) as mistral:
            answer = await mistral.audio.transcriptions.complete_async(model="voxtral", file=file(recording))
        assert len(answer.text.split()) == 6

    @pytest.mark.parametrize("granularity", ["segment", "word"])
    def test_times(self, server: Any, recording: bytes, granularity: str) -> None:
        answer = complete(server, file=file(recording), timestamp_granularities=[granularity])
        pieces = answer.segments or []
        assert [piece.start < piece.end for piece in pieces if piece.start and piece.end] == [True, True]
        assert [piece.type for piece in pieces] == ["transcription_segment"] * 2

    def test_options_reach_the_engine(self, launch: Any, accounting: Any, recording: bytes) -> None:
        running = launch(accounting())
        complete(running, file=file(recording), language="fr", context_bias=["Ada", "Grace"])
        assert {(heard.language, heard.prompt) for heard in running.engine.options} == {("fr", "Ada, Grace")}

    @pytest.mark.parametrize(
        "option",
        [
            {"diarize": True},
            {"file_id": "abc"},
            {"speaker_references": {"Ada": "UklGRg=="}},
            {"temperature": 0.5},
            {"language": "de"},
        ],
    )
    def test_what_is_lacking_is_refused_by_name(self, server: Any, recording: bytes, option: dict[str, Any]) -> None:
        with pytest.raises(SDKError) as refusal:
            complete(server, file=file(recording), **option)
        error = json.loads(refusal.value.body)["error"]
        assert (error["code"], error["param"]) == ("unsupported_option", next(iter(option)))

    def test_a_url_is_fetched_as_the_policy_for_strangers_allows(
        self, server: Any, launch: Any, accounting: Any
    ) -> None:
        allowing = launch(accounting(), audio={"allow_urls": True})
        for running, url in ((server, "http://example.org/a.wav"), (allowing, "http://127.0.0.1/")):
            with pytest.raises(SDKError) as refusal:
                complete(running, file_url=url)
            assert json.loads(refusal.value.body)["error"]["code"] == "source_forbidden"

    def test_one_recording_is_needed(self, server: Any, recording: bytes) -> None:
        with pytest.raises(SDKError, match="exactly one of"):
            complete(server)
        with pytest.raises(SDKError, match="exactly one of"):
            complete(server, file=file(recording), file_url="http://example.org")


class TestStream:
    def test_events_are_those_of_the_answer(self, server: Any, recording: bytes) -> None:
        fields: dict[str, Any] = {"file": file(recording), "timestamp_granularities": ["segment"]}
        answer = complete(server, **fields)
        *events, last = [event.data for event in stream(server, **fields)]
        assert isinstance(last, TranscriptionStreamDone)
        assert (last.text, last.language, last.usage) == (answer.text, answer.language, answer.usage)
        assert last.segments == answer.segments
        deltas = [event.text for event in events if isinstance(event, TranscriptionStreamTextDelta)]
        assert "".join(deltas) == answer.text
        segments = [event.text for event in events if isinstance(event, TranscriptionStreamSegmentDelta)]
        assert [delta.strip() for delta in deltas] == segments
        assert [event.audio_language for event in events if isinstance(event, TranscriptionStreamLanguage)] == ["en"]

    async def test_asynchronously(self, server: Any, recording: bytes) -> None:
        async with client(server) as mistral:
            events = await mistral.audio.transcriptions.stream_async(model="voxtral", file=file(recording))
            async with events:
                names = [event.event async for event in events]
        assert names[-1] == "transcription.done"
        assert "transcription.segment" not in names

    def test_a_failure_on_the_way_is_told_in_its_place(self, launch: Any, accounting: Any, recording: bytes) -> None:
        (event,) = stream(launch(accounting(ails=EngineFailed("at a secret place"))), file=file(recording))
        assert event.event == "error"
        assert event.data.raw["error"]["message"] == "recognition failed"

    def test_what_cannot_be_read_is_refused_before_the_first_event(self, server: Any) -> None:
        with pytest.raises(SDKError, match="unsupported_media"):
            stream(server, file=file(b"no audio"))
