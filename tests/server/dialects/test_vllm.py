"""vLLM's realtime protocol, frame by frame."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.accounting import ABACUS
from voxtral_streaming.engines.base import StreamOptions
from voxtral_streaming.errors import EngineFailed, UnsupportedOption, VoxtralError
from voxtral_streaming.server.dialects.actions import (
    Audio,
    AudioFormat,
    Closed,
    Failed,
    Flush,
    Flushed,
    KeepAlive,
    Rejected,
    SessionFacts,
    Start,
    Warned,
)
from voxtral_streaming.server.dialects.vllm import VllmRealtime
from voxtral_streaming.server.errors import Stopping
from voxtral_streaming.transcript import Final, Partial, SpeechStarted

START = Start(StreamOptions(words=False), AudioFormat())


def vllm(language: str | None = None, **can: Any) -> VllmRealtime:
    return VllmRealtime(SessionFacts("an id", replace(ABACUS, **({"biasing": False} | can)), language, 60.0, 14.0))


def message(type_: str, **fields: Any) -> str:
    return json.dumps({"type": type_, **fields})


UPDATE = message("session.update", model="voxtral")
APPEND = message("input_audio_buffer.append", audio="AAE=")
COMMIT = message("input_audio_buffer.commit")
FINAL_COMMIT = message("input_audio_buffer.commit", final=True)


def told(dialect: VllmRealtime, *notices: Any) -> list[dict[str, Any]]:
    return [json.loads(frame) for notice in notices for frame in dialect.encode(notice)]


class TestReceive:
    def test_commit_audio_and_final_commit(self) -> None:
        dialect = vllm()
        assert dialect.receive(UPDATE) == [KeepAlive()]
        assert dialect.receive(COMMIT) == [START, KeepAlive()]
        assert dialect.receive(APPEND) == [Audio(b"\x00\x01")]
        assert dialect.receive(COMMIT) == [KeepAlive()]
        assert dialect.receive(FINAL_COMMIT) == [Flush(None)]
        assert dialect.receive(COMMIT) == [KeepAlive()]

    def test_audio_may_come_before_its_commit(self) -> None:
        dialect = vllm()
        assert dialect.receive(APPEND) == [START, Audio(b"\x00\x01")]

    def test_configured_language_stands(self) -> None:
        (start, _) = vllm("fr").receive(APPEND)
        assert start == Start(StreamOptions(language="fr", words=False), AudioFormat())

    def test_an_engine_that_needs_a_language_ends_the_session(self) -> None:
        with pytest.raises(UnsupportedOption):
            vllm(detects_language=False).receive(APPEND)

    @pytest.mark.parametrize(
        ("frame", "code"),
        [
            ("{", "invalid_json"),
            (b"\x00\x01", "invalid_event"),
            (message("session.update"), "invalid_event"),
            (message("session.update", model="mistralai/Pixtral-12B-2409"), "model_not_found"),
            (message("session.update", model="voxtral", language="fr"), "invalid_event"),
            (message("input_audio_buffer.append"), "invalid_event"),
            (message("input_audio_buffer.append", audio="?"), "invalid_audio"),
            (message("input_audio_buffer.append", audio=""), "invalid_audio"),
            (COMMIT, "model_not_validated"),
            (FINAL_COMMIT, "model_not_validated"),
            (message("input_audio_buffer.clear"), "unknown_event"),
            (message("session.update", type=None), "unknown_event"),
        ],
    )
    def test_what_is_wrong_is_told_and_the_session_goes_on(self, frame: str | bytes, code: str) -> None:
        dialect = vllm()
        (rejected,) = dialect.receive(frame)
        assert isinstance(rejected, Rejected)
        (error,) = told(dialect, rejected)
        assert error["type"] == "error"
        assert error["code"] == code
        assert isinstance(error["error"], str)
        assert dialect.receive(UPDATE) == [KeepAlive()]

    @given(
        st.sampled_from(["session.update", "input_audio_buffer.append", "input_audio_buffer.commit", "else"]),
        st.dictionaries(
            st.sampled_from(["model", "audio", "final"]), st.none() | st.booleans() | st.floats() | st.text()
        ),
    )
    def test_any_fields_are_answered(self, type_: str, fields: dict[str, Any]) -> None:
        dialect = vllm()
        for action in dialect.receive(message(type_, **fields)):
            assert not isinstance(action, Rejected) or told(dialect, action)


class TestEncode:
    def test_a_transcription_is_one_text_however_many_utterances_it_has(self) -> None:
        dialect = vllm()
        heard = told(
            dialect,
            SpeechStarted(0, 100),
            Partial(0, 8000, "One", " too"),
            Final(0, 0, 16000, "One two.", language="en"),
            Final(1, 16000, 17000, ""),
            Partial(2, 20000, "Three", ""),
            Final(2, 16000, 32000, "Three.", language="en"),
            Flushed(None),
        )
        assert [one["delta"] for one in heard[:-1]] == ["One", " two.", " Three", "."]
        assert heard[-1] == {"type": "transcription.done", "text": "One two. Three.", "usage": None}

    def test_the_next_transcription_begins_anew(self) -> None:
        dialect = vllm()
        told(dialect, Final(0, 0, 16000, "One."), Flushed(None))
        heard = told(dialect, Final(1, 16000, 32000, "Two."), Flushed(None))
        assert [one.get("delta", one.get("text")) for one in heard] == ["Two.", "Two."]
        assert told(dialect, Flushed(None)) == [{"type": "transcription.done", "text": "", "usage": None}]

    def test_what_was_said_when_the_server_stops_is_told(self) -> None:
        dialect = vllm()
        told(dialect, Warned("stopping", "…"), Final(0, 0, 16000, "One."))
        assert [one["text"] for one in told(dialect, Closed(1, 1, 0, 0, 1))] == ["One."]
        assert told(dialect, Closed(1, 1, 0, 0, 1)) == []

    @pytest.mark.parametrize(
        ("error", "text", "code", "close"),
        [
            (EngineFailed("at /some/path"), "recognition failed", "processing_error", 1011),
            (Stopping("the server is stopping"), "the server is stopping", "processing_error", 1001),
        ],
    )
    def test_failures(self, error: VoxtralError, text: str, code: str, close: int) -> None:
        dialect = vllm()
        assert told(dialect, Failed(error)) == [{"type": "error", "error": text, "code": code}]
        assert dialect.close_code(error) == close
