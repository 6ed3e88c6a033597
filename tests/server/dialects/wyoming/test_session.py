"""Wyoming, event by event."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from typing import Any

import pytest
from wyoming.event import Event as TheirEvent
from wyoming.ping import Ping

from bench.accounting import ABACUS
from voxtral_streaming.engines.base import StreamOptions
from voxtral_streaming.errors import EngineFailed, ProtocolError, UnsupportedMedia, UnsupportedOption
from voxtral_streaming.server.dialects.actions import (
    Audio,
    AudioFormat,
    Close,
    Closed,
    Failed,
    KeepAlive,
    Notice,
    Opened,
    Reply,
    SessionFacts,
    Start,
    Started,
)
from voxtral_streaming.server.dialects.wyoming.events import read
from voxtral_streaming.server.dialects.wyoming.session import Wyoming
from voxtral_streaming.transcript import Final, Partial, SpeechStarted, SpeechStopped

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # `audioop`, where Python still has it
    from wyoming.audio import AudioChunk, AudioStart, AudioStop
    from wyoming.info import Describe, Info

FORMAT = {"rate": 16000, "width": 2, "channels": 1}


def wyoming(language: str | None = None, **can: Any) -> Wyoming:
    return Wyoming(SessionFacts("an id", replace(ABACUS, **can), language, 60.0, 14.0))


def event(type_: str, data: dict[str, Any] | None = None, payload: bytes = b"") -> bytes:
    header = {"type": type_, "data": data or {}, "payload_length": len(payload)}
    return json.dumps(header).encode() + b"\n" + payload


def of(theirs: TheirEvent) -> bytes:
    return event(theirs.type, theirs.data, theirs.payload or b"")


def told(dialect: Wyoming, *notices: Notice) -> list[tuple[str, Any]]:
    frames = [frame for notice in notices for frame in dialect.encode(notice)]
    events = [read(frame) for frame in frames if isinstance(frame, bytes)]
    return [(one.type, dict(one.data)) for one in events]


def started(**transcribe: Any) -> StreamOptions:
    """The options of a session that is asked for so."""
    dialect = wyoming()
    dialect.receive(event("transcribe", transcribe))
    (start,) = dialect.receive(event("audio-start", FORMAT))
    assert isinstance(start, Start)
    return start.options


class TestReceive:
    def test_a_command(self) -> None:
        dialect = wyoming(language="fr")
        assert dialect.receive(event("transcribe", {"language": "en-US"})) == [KeepAlive()]
        start = dialect.receive(of(AudioStart(**FORMAT).event()))
        assert start == [Start(StreamOptions(language="en", words=False), AudioFormat())]
        assert dialect.receive(of(AudioChunk(**FORMAT, audio=b"1234").event())) == [Audio(b"1234")]
        assert dialect.receive(of(AudioStop().event())) == [Close()]
        assert dialect.receive(of(AudioStop().event())) == ()
        assert dialect.receive(b"\xff") == ()

    def test_audio_starts_by_itself(self) -> None:
        layout = {"rate": 48000, "width": 4, "channels": 2}
        actions = wyoming(language="fr").receive(event("audio-chunk", layout, b"12345678"))
        start = Start(StreamOptions(language="fr", words=False), AudioFormat("pcm_s32le", 48000, 2))
        assert actions == [start, Audio(b"12345678")]

    def test_what_may_be_said(self) -> None:
        assert started(transcript_names=["Ada", "Grace"], transcript_terms=["COBOL"]).prompt == "Ada, Grace, COBOL"
        assert started(transcript_names=["x" * 3000], transcript_terms=["y" * 3000]).prompt == "x" * 3000
        assert started(transcript_names=None, transcript_terms=[]).prompt is None

    def test_hints_are_no_reason_to_refuse(self) -> None:
        dialect = wyoming(biasing=False, partials=False)
        dialect.receive(event("transcribe", {"transcript_names": ["Ada"], "vad_sensitivity": "relaxed", "context": {}}))
        assert dialect.receive(event("audio-start", FORMAT)) == [
            Start(StreamOptions(partials=False, words=False), AudioFormat())
        ]

    @pytest.mark.parametrize(
        ("type_", "data", "error", "param"),
        [
            ("transcribe", {"language": 5}, ProtocolError, "language"),
            ("transcribe", {"name": "another"}, UnsupportedOption, "name"),
            ("audio-start", {}, ProtocolError, "rate"),
            ("audio-start", FORMAT | {"width": 1}, UnsupportedMedia, "width"),
            ("audio-start", FORMAT | {"rate": 7999}, ProtocolError, "rate"),
            ("audio-start", FORMAT | {"channels": 9}, ProtocolError, "channels"),
            ("audio-chunk", FORMAT | {"rate": "16000"}, ProtocolError, "rate"),
        ],
    )
    def test_what_is_wrong_is_named(self, type_: str, data: Any, error: Any, param: str) -> None:
        with pytest.raises(error) as caught:
            wyoming().receive(event(type_, data))
        assert caught.value.param == param

    def test_what_the_engine_lacks(self) -> None:
        dialect = wyoming()
        dialect.receive(event("transcribe", {"language": "de"}))
        with pytest.raises(UnsupportedOption, match="language"):
            dialect.receive(event("audio-start", FORMAT))

    def test_out_of_order(self) -> None:
        dialect = wyoming()
        dialect.receive(event("audio-start", FORMAT))
        with pytest.raises(ProtocolError, match="before any audio"):
            dialect.receive(event("transcribe"))
        with pytest.raises(ProtocolError, match="must stay"):
            dialect.receive(event("audio-chunk", FORMAT | {"channels": 2}))

    def test_what_is_not_known_is_ignored(self) -> None:
        assert wyoming().receive(event("run-pipeline", {"start_stage": "asr"})) == [KeepAlive()]

    def test_questions(self) -> None:
        dialect = wyoming()
        (reply,) = dialect.receive(of(Describe().event()))
        assert isinstance(reply, Reply)
        ((kind, data),) = told(dialect, reply)
        (program,) = Info.from_event(TheirEvent(kind, data)).asr
        assert (program.supports_transcript_streaming, program.requires_external_vad) == (True, True)
        assert [(model.name, model.languages) for model in program.models] == [("abacus", ["en", "fr"])]
        (reply,) = dialect.receive(of(Ping(text="1").event()))
        assert isinstance(reply, Reply)
        assert told(dialect, reply) == [("pong", {"text": "1"})]


class TestEncode:
    def test_the_transcript_in_chunks_and_whole(self) -> None:
        dialect = wyoming()
        (start,) = dialect.receive(event("audio-start", FORMAT))
        assert isinstance(start, Start)
        notices: list[Notice] = [
            Opened(),
            Started(start),
            SpeechStarted(0, 0),
            Partial(0, 100, "turn on ", "the"),
            Partial(0, 200, "turn on ", "a"),
            SpeechStopped(0, 300),
            Final(0, 0, 16_000, "turn on the light", (), "en"),
            Final(1, 16_000, 20_000, "", ()),
            Final(2, 20_000, 32_000, "please", (), "en"),
            Closed(32_000, 32_000, 0, 0, 3),
        ]
        assert told(dialect, *notices) == [
            ("transcript-start", {}),
            ("transcript-chunk", {"text": "turn on"}),
            ("transcript-chunk", {"text": " the light"}),
            ("transcript-chunk", {"text": " please"}),
            ("transcript", {"text": "turn on the light please", "language": "en"}),
            ("transcript-stop", {}),
        ]

    def test_a_command_without_audio(self) -> None:
        assert told(wyoming(), Closed(0, 0, 0, 0, 0)) == [("transcript", {"text": ""})]

    def test_failure(self) -> None:
        failed = told(wyoming(), Failed(EngineFailed("a file of the server")))
        assert failed == [("error", {"text": "recognition failed", "code": "engine_failed"})]
