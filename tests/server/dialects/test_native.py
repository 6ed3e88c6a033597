"""The native protocol, frame by frame."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.accounting import ABACUS
from voxtral_streaming.engines.base import Capabilities, StreamOptions
from voxtral_streaming.errors import AudioError, EngineFailed, ProtocolError, UnsupportedMedia, VoxtralError
from voxtral_streaming.server.dialects.actions import (
    Acked,
    Acknowledge,
    Audio,
    AudioFormat,
    Close,
    Closed,
    Failed,
    Flush,
    Flushed,
    KeepAlive,
    Opened,
    SessionFacts,
    Start,
    Started,
    Warned,
)
from voxtral_streaming.server.dialects.native import Native, read_resume, resumed
from voxtral_streaming.server.errors import (
    IdleTimeout,
    InvalidConfig,
    InvalidJson,
    MessageTooLarge,
    SlowConsumer,
    Stopping,
    TooManySessions,
)
from voxtral_streaming.transcript import Final, Partial, SpeechStarted, SpeechStopped, Word


def native(resume_s: float = 0.0, **can: Any) -> Native:
    facts = SessionFacts(
        "an id",
        replace(ABACUS, **({"delay_ms": (240, 480)} | can)),
        None,
        60.0,
        14.0,
        resume_s=resume_s,
        token="a token",
    )
    return Native(facts)


def message(type_: str, **fields: Any) -> str:
    return json.dumps({"type": type_, **fields})


class TestReceive:
    def test_audio_starts_with_the_defaults(self) -> None:
        dialect = native()
        assert dialect.receive(b"\x00\x01") == [Start(StreamOptions(), AudioFormat()), Audio(b"\x00\x01")]
        assert dialect.receive(b"") == [Audio(b"")]

    def test_start_with_everything(self) -> None:
        audio = {"encoding": "pcm_f32le", "sample_rate": 48000, "channels": 2}
        start = message("start", audio=audio, language="fr", prompt="Ada", delay_ms=480, partials=False, words=False)
        options = StreamOptions(language="fr", prompt="Ada", delay_ms=480, partials=False, words=False)
        assert native().receive(start) == [Start(options, AudioFormat("pcm_f32le", 48000, 2))]

    def test_session_that_outlives_its_connection_if_the_server_offers_that(self) -> None:
        (start,) = native(resume_s=30.0).receive(message("start", resume=True))
        assert isinstance(start, Start)
        assert start.is_resumable
        started = json.loads(native(resume_s=30.0).encode(Started(start))[0])
        assert started["resume"] == {"token": "a token", "window_s": 30.0}
        assert native().receive(message("start", resume=True)) == [Start(StreamOptions(), AudioFormat())]

    def test_acknowledgement_counts_even_after_close(self) -> None:
        dialect = native()
        assert dialect.receive(message("ack", seq=3)) == [Acknowledge(3)]
        dialect.receive(message("close"))
        assert dialect.receive(message("ack", seq=4)) == [Acknowledge(4)]

    def test_null_is_left_out(self) -> None:
        start = message("start", language=None, prompt=None, delay_ms=None)
        assert native().receive(start) == [Start(StreamOptions(), AudioFormat())]

    def test_configured_language_stands_where_none_is_named(self) -> None:
        facts = SessionFacts("id", Capabilities("a", "b", True, "word", ("en", "fr"), False), "fr", 60.0, 14.0)
        assert Native(facts).receive(message("start")) == [Start(StreamOptions(language="fr"), AudioFormat())]

    def test_what_the_engine_lacks_is_not_in_force(self) -> None:
        (start,) = native(partials=False, timestamps="none").receive(message("start"))
        assert start == Start(StreamOptions(partials=False, words=False), AudioFormat())

    def test_messages(self) -> None:
        dialect = native()
        dialect.receive(message("start"))
        assert dialect.receive(message("audio", audio=base64.b64encode(b"1234").decode())) == [Audio(b"1234")]
        assert dialect.receive(message("flush")) == [Flush(None)]
        assert dialect.receive(message("flush", id="a")) == [Flush("a")]
        assert dialect.receive(message("keepalive")) == [KeepAlive()]
        assert dialect.receive(message("close")) == [Close()]

    def test_keepalive_and_close_start_nothing(self) -> None:
        dialect = native()
        assert dialect.receive(message("keepalive")) == [KeepAlive()]
        assert dialect.receive(message("close")) == [Close()]

    def test_nothing_counts_after_close(self) -> None:
        dialect = native()
        dialect.receive(message("close"))
        for frame in (message("close"), b"1234", "not JSON", message("start")):
            assert dialect.receive(frame) == ()

    @pytest.mark.parametrize("first", [message("start"), b"", message("flush")])
    def test_start_comes_once_and_first(self, first: str | bytes) -> None:
        dialect = native()
        dialect.receive(first)
        with pytest.raises(ProtocolError, match="only once"):
            dialect.receive(message("start"))

    @pytest.mark.parametrize("value", [0, -1, 1, 7999, 768001, 10**9, 10**40, 16000.0, "16000", None, True, [], {}])
    def test_wrong_rates(self, value: object) -> None:
        with pytest.raises(InvalidConfig) as caught:
            native().receive(message("start", audio={"sample_rate": value}))
        assert caught.value.param == "audio.sample_rate"

    @pytest.mark.parametrize(
        ("fields", "param"),
        [
            ({"audio": {"channels": 0}}, "audio.channels"),
            ({"audio": {"channels": 9}}, "audio.channels"),
            ({"audio": {"channels": True}}, "audio.channels"),
            ({"audio": {"encoding": "opus"}}, "audio.encoding"),
            ({"audio": {"encoding": None}}, "audio.encoding"),
            ({"audio": {"rate": 8000}}, "audio.rate"),
            ({"audio": "pcm_s16le"}, "audio"),
            ({"audio": None}, "audio"),
            ({"language": "xx"}, "language"),
            ({"language": "../.."}, "language"),
            ({"language": "e" * 10_000}, "language"),
            ({"language": ""}, "language"),
            ({"language": 7}, "language"),
            ({"language": ["en"]}, "language"),
            ({"prompt": "p" * 5000}, "prompt"),
            ({"prompt": False}, "prompt"),
            ({"partials": 1}, "partials"),
            ({"words": "yes"}, "words"),
            ({"words": None}, "words"),
            ({"delay_ms": 300}, "delay_ms"),
            ({"delay_ms": 240.5}, "delay_ms"),
            ({"langauge": "en"}, "langauge"),
            ({"l" * 1000: "en"}, "l" * 128),
        ],
    )
    def test_wrong_options_are_named(self, fields: dict[str, Any], param: str) -> None:
        with pytest.raises(InvalidConfig) as caught:
            native().receive(message("start", **fields))
        assert caught.value.param == param
        assert caught.value.message.startswith(param)
        assert len(caught.value.message) < 300

    def test_what_the_engine_cannot_honour_is_an_error(self) -> None:
        with pytest.raises(InvalidConfig, match="prompt"):
            native(biasing=False).receive(message("start", prompt="Ada"))
        with pytest.raises(InvalidConfig, match="name one of"):
            native(detects_language=False).receive(b"")

    @pytest.mark.parametrize(
        ("frame", "error", "param"),
        [
            ("not JSON", InvalidJson, None),
            ("[" * 2**20, InvalidJson, None),
            ("{}", ProtocolError, "type"),
            (message("stop"), ProtocolError, "type"),
            ('{"type": null}', ProtocolError, "type"),
            ('{"type": ["start"]}', ProtocolError, "type"),
            (message("audio"), ProtocolError, "audio"),
            (message("audio", audio=5), ProtocolError, "audio"),
            (message("audio", audio="AAA"), AudioError, "audio"),
            (message("audio", audio="****"), AudioError, "audio"),
            (message("flush", id=5), ProtocolError, "id"),
            (message("flush", id="i" * 129), ProtocolError, "id"),
            (message("close", now=True), ProtocolError, "now"),
            (message("start", prompt="p" * 2**16), MessageTooLarge, None),
            (message("p" * 2**16), MessageTooLarge, None),
        ],
    )
    def test_malformed(self, frame: str, error: type[VoxtralError], param: str | None) -> None:
        with pytest.raises(error) as caught:
            native().receive(frame)
        assert caught.value.param == param

    @given(
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.text(),
            lambda inner: (
                st.lists(inner)
                | st.dictionaries(st.text() | st.sampled_from(["type", "audio", "language", "id"]), inner)
            ),
        )
    )
    def test_any_json_is_answered(self, value: object) -> None:
        with pytest.raises(ProtocolError):
            native().receive(json.dumps(value))

    @given(
        st.sampled_from(["start", "audio", "flush", "keepalive", "close"]),
        st.dictionaries(
            st.sampled_from(["audio", "language", "prompt", "partials", "words", "id", "delay_ms"]),
            st.none() | st.booleans() | st.integers() | st.text() | st.dictionaries(st.text(), st.integers()),
        ),
    )
    def test_any_fields_are_answered(self, type_: str, fields: dict[str, Any]) -> None:
        try:
            assert native().receive(message(type_, **fields))
        except (ProtocolError, AudioError) as error:
            native().encode(Failed(error))


class TestEncode:
    def test_messages_are_numbered(self) -> None:
        dialect = native()
        sent = [json.loads(frame) for notice in (Opened(), Flushed(None)) for frame in dialect.encode(notice)]
        assert [frame["seq"] for frame in sent] == [0, 1]

    @pytest.mark.parametrize(
        ("notice", "expected"),
        [
            (
                Started(Start(StreamOptions(language="fr"), AudioFormat("pcm_f32le", 8000, 2))),
                {
                    "type": "started",
                    "audio": {"encoding": "pcm_f32le", "sample_rate": 8000, "channels": 2},
                    "language": "fr",
                    "prompt": None,
                    "delay_ms": None,
                    "partials": True,
                    "words": True,
                    "resume": None,
                },
            ),
            (
                Acked(96000, 2, 0.12345),
                {"type": "ack", "received_bytes": 96000, "received_messages": 2, "lag_s": 0.123},
            ),
            (SpeechStarted(0, 8000), {"type": "speech_started", "utterance": 0, "at": 8000, "seconds": 0.5}),
            (SpeechStopped(0, 8000), {"type": "speech_stopped", "utterance": 0, "at": 8000, "seconds": 0.5}),
            (
                Partial(1, 16000, "hello", " wor"),
                {
                    "type": "partial",
                    "utterance": 1,
                    "at": 16000,
                    "seconds": 1.0,
                    "stable": "hello",
                    "tentative": " wor",
                },
            ),
            (
                Final(1, 8000, 24000, "héllo", (Word("héllo", 0.5, 1.5, 0.9),), "fr"),
                {
                    "type": "final",
                    "utterance": 1,
                    "start_sample": 8000,
                    "end_sample": 24000,
                    "start": 0.5,
                    "end": 1.5,
                    "text": "héllo",
                    "language": "fr",
                    "words": [{"text": "héllo", "start": 0.5, "end": 1.5, "probability": 0.9}],
                },
            ),
            (Flushed("a"), {"type": "flushed", "id": "a"}),
            (Warned("code", "text", "name"), {"type": "warning", "code": "code", "message": "text", "param": "name"}),
            (
                Failed(InvalidConfig("wrong", param="language")),
                {
                    "type": "error",
                    "error": {"code": "invalid_config", "message": "wrong", "param": "language"},
                    "fatal": True,
                },
            ),
            (
                Failed(TooManySessions("full")),
                {
                    "type": "error",
                    "error": {"code": "too_many_sessions", "message": "full", "param": None, "retry_after_s": 5},
                    "fatal": True,
                },
            ),
            (
                Failed(EngineFailed("/a/secret/place")),
                {
                    "type": "error",
                    "error": {"code": "engine_failed", "message": "recognition failed", "param": None},
                    "fatal": True,
                },
            ),
            (
                Closed(5, 4, 1, 2, 3),
                {
                    "type": "closed",
                    "received_samples": 5,
                    "consumed_samples": 4,
                    "dropped_samples": 1,
                    "sanitized_samples": 2,
                    "utterances": 3,
                },
            ),
        ],
        ids=lambda value: type(value).__name__ if not isinstance(value, dict) else "",
    )
    def test_message(self, notice: Any, expected: dict[str, Any]) -> None:
        (frame,) = native().encode(notice)
        assert json.loads(frame) == {"seq": 0, **expected}

    def test_session_tells_what_the_engine_can_do(self) -> None:
        (frame,) = native().encode(Opened())
        assert json.loads(frame) == {
            "type": "session",
            "seq": 0,
            "id": "an id",
            "engine": {
                "name": "accounting",
                "model": "abacus",
                "partials": True,
                "timestamps": "word",
                "languages": ["en", "fr"],
                "detects_language": True,
                "delay_ms": [240, 480],
                "biasing": True,
            },
            "limits": {"max_frame_bytes": 2**20, "idle_timeout_s": 60.0, "max_utterance_s": 14.0},
        }

    @pytest.mark.parametrize(
        ("error", "code"),
        [
            (Stopping("m"), 1001),
            (UnsupportedMedia("m"), 1003),
            (ProtocolError("m"), 1008),
            (InvalidJson("m"), 1008),
            (InvalidConfig("m"), 1008),
            (SlowConsumer("m"), 1008),
            (MessageTooLarge("m"), 1009),
            (EngineFailed("m"), 1011),
            (VoxtralError("m"), 1011),
            (IdleTimeout("m"), 4408),
            (TooManySessions("m"), 4429),
        ],
    )
    def test_close_code(self, error: VoxtralError, code: int) -> None:
        assert native().close_code(error) == code


class TestResume:
    def test_first_message_says_what_was_heard(self) -> None:
        asked = read_resume(message("resume", id="an id", token="a token", seq=7))
        assert (asked.id, asked.token, asked.seq) == ("an id", "a token", 7)

    @pytest.mark.parametrize(
        "frame",
        [
            b"resume",
            message("start"),
            message("resume", id="an id", token="a token"),
            message("resume", id="an id", token="a token", seq=-2),
            message("resume", id="an id", token="a token", seq=2**63),
            message("resume", id="an id", token="x" * 200, seq=0),
        ],
    )
    def test_anything_else_is_refused(self, frame: str | bytes) -> None:
        with pytest.raises(ProtocolError):
            read_resume(frame)

    def test_answer_repeats_seq(self) -> None:
        answer = {"type": "resumed", "seq": 7, "received_bytes": 96000, "received_messages": 2}
        assert json.loads(resumed(7, 96000, 2)) == answer
