from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from bench.dialects import DIALECTS, SessionOptions
from bench.dialects.base import Closed, Committed, Dialect, Failed, Observation, Shown, Stopped

OPTIONS = SessionOptions(language="en", model="whisper-base")


def _read(dialect: Dialect, *messages: dict[str, Any]) -> list[Observation]:
    return [seen for message in messages for seen in dialect.read(json.dumps(message))]


@pytest.mark.parametrize("name", DIALECTS)
def test_audio_arrives_as_it_was_given(name: str) -> None:
    frame = DIALECTS[name](OPTIONS).audio(b"\x01\x02\x03\x04")
    assert (frame if isinstance(frame, bytes) else base64.b64decode(json.loads(frame)["audio"])) == b"\x01\x02\x03\x04"


@pytest.mark.parametrize("name", DIALECTS)
def test_what_is_sent_is_json(name: str) -> None:
    dialect = DIALECTS[name](OPTIONS)
    assert all("type" in json.loads(message) for message in (*dialect.opening(), *dialect.closing()))


def test_native_events() -> None:
    seen = _read(
        DIALECTS["native"](OPTIONS),
        {"type": "session", "seq": 0, "id": "x"},
        {"type": "partial", "seq": 1, "utterance": 0, "at": 8_000, "seconds": 0.5, "stable": "go", "tentative": " for"},
        {"type": "speech_stopped", "seq": 2, "utterance": 0, "at": 16_000, "seconds": 1.0},
        {"type": "final", "seq": 3, "utterance": 0, "start_sample": 0, "end_sample": 24_000, "text": "Go forward."},
        {"type": "error", "seq": 4, "error": {"code": "overloaded", "message": "full"}, "fatal": True},
        {"type": "closed", "seq": 5},
    )
    assert seen == [
        Shown("0", "go", " for", 8_000),
        Stopped("0"),
        Committed("0", "Go forward.", (0, 24_000)),
        Failed("overloaded: full"),
        Closed(),
    ]


def test_native_names_the_language_only_where_there_is_one() -> None:
    assert json.loads(DIALECTS["native"](OPTIONS).opening()[0])["language"] == "en"
    assert "language" not in json.loads(DIALECTS["native"](SessionOptions()).opening()[0])


def test_openai_deltas_are_appended_item_by_item() -> None:
    transcription = "conversation.item.input_audio_transcription"
    seen = _read(
        DIALECTS["openai"](OPTIONS),
        {"type": "session.created", "session": {}},
        {"type": f"{transcription}.delta", "item_id": "a", "delta": "go"},
        {"type": "input_audio_buffer.speech_stopped", "item_id": "a", "audio_end_ms": 900},
        {"type": f"{transcription}.delta", "item_id": "b", "delta": "ten"},
        {"type": f"{transcription}.delta", "item_id": "a", "delta": " forward"},
        {"type": f"{transcription}.completed", "item_id": "a", "transcript": "Go forward."},
        {"type": f"{transcription}.failed", "item_id": "b", "error": {"message": "lost"}},
        {"type": "error", "error": {"message": "no"}},
    )
    assert seen == [
        Shown("a", "go", ""),
        Stopped("a"),
        Shown("b", "ten", ""),
        Shown("a", "go forward", ""),
        Committed("a", "Go forward."),
        Failed("lost"),
        Failed("no"),
    ]


def test_vllm_session() -> None:
    dialect = DIALECTS["vllm"](OPTIONS)
    assert [json.loads(message) for message in (*dialect.opening(), *dialect.closing())] == [
        {"type": "session.update", "model": "whisper-base"},
        {"type": "input_audio_buffer.commit"},
        {"type": "input_audio_buffer.commit", "final": True},
    ]
    seen = _read(
        dialect,
        {"type": "session.created", "id": "sess-1"},
        {"type": "transcription.delta", "delta": "go"},
        {"type": "transcription.delta", "delta": ""},
        {"type": "transcription.delta", "delta": " on"},
        {"type": "transcription.done", "text": "go on", "usage": {}},
        {"type": "error", "error": "no such event", "code": "unknown_event"},
    )
    assert seen == [
        Shown("0", "go", ""),
        Shown("0", "go on", ""),
        Committed("0", "go on"),
        Closed(),
        Failed("unknown_event: no such event"),
    ]


def test_deepgram_results() -> None:
    def result(text: str, start: float, **flags: bool) -> dict[str, Any]:
        flags = {"is_final": False, "speech_final": False, **flags}
        return {
            "type": "Results",
            "start": start,
            "duration": 0.5,
            "channel": {"alternatives": [{"transcript": text}]},
            **flags,
        }

    dialect = DIALECTS["deepgram"](OPTIONS)
    assert dialect.opening() == []
    seen = _read(
        dialect,
        {"type": "SpeechStarted", "timestamp": 1.0},
        result("", 1.0),
        result("go", 1.0),
        result("Go on", 1.0, is_final=True),
        result("and on.", 1.5, is_final=True, speech_final=True),
        result("", 2.0, is_final=True, speech_final=True),
        {"type": "UtteranceEnd", "last_word_end": 2.0},
        {"type": "Error", "variant": "idle_timeout", "description": "nothing came"},
        {"type": "Metadata", "duration": 4.0},
    )
    assert seen == [
        Shown("0", "", "go", 24_000),
        Committed("0", "Go on", (16_000, 24_000)),
        Stopped("1"),
        Committed("1", "and on.", (24_000, 32_000)),
        Failed("idle_timeout: nothing came"),
        Closed(),
    ]
