"""Mistral's realtime transcription, frame by frame."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.accounting import ABACUS
from voxtral_streaming.engines.base import StreamOptions
from voxtral_streaming.errors import AudioError, EngineFailed, InvalidBase64, ProtocolError, UnsupportedOption
from voxtral_streaming.server.dialects.actions import (
    Audio,
    AudioFormat,
    Close,
    Closed,
    Failed,
    Flush,
    Flushed,
    Opened,
    Reply,
    SessionFacts,
    Start,
    Started,
    Warned,
)
from voxtral_streaming.server.dialects.mistral.realtime import MistralRealtime
from voxtral_streaming.server.errors import IdleTimeout, InvalidConfig, InvalidJson, MessageTooLarge
from voxtral_streaming.transcript import Final, Partial, SpeechStarted, SpeechStopped

PLAIN = StreamOptions(words=False)


def mistral(language: str | None = None, **can: Any) -> MistralRealtime:
    return MistralRealtime(
        SessionFacts("an id", replace(ABACUS, **({"delay_ms": (240, 480)} | can)), language, 60.0, 14.0)
    )


def message(type_: str, **fields: Any) -> str:
    return json.dumps({"type": type_, **fields})


def update(**fields: Any) -> str:
    return message("session.update", session=fields)


AUDIO = message("input_audio.append", audio="AAE=")
JSON = st.dictionaries(
    st.sampled_from(["audio_format", "language", "context_bias", "diarize", "turn_detection", "else"]),
    st.none() | st.booleans() | st.floats() | st.text() | st.lists(st.text()) | st.dictionaries(st.text(), st.text()),
)


def told(dialect: MistralRealtime, *notices: Any) -> list[dict[str, Any]]:
    return [json.loads(frame) for notice in notices for frame in dialect.encode(notice)]


class TestReceive:
    def test_audio_starts_with_the_defaults(self) -> None:
        dialect = mistral()
        assert dialect.receive(AUDIO) == [Start(PLAIN, AudioFormat()), Audio(b"\x00\x01")]
        assert dialect.receive(AUDIO) == [Audio(b"\x00\x01")]

    def test_updates_add_up_and_null_is_left_out(self) -> None:
        dialect = mistral()
        first = {"audio_format": {"encoding": "pcm_mulaw", "sample_rate": 8000}, "target_streaming_delay_ms": 480}
        dialect.receive(update(**first))
        (reply,) = dialect.receive(update(language="fr", context_bias=["Ada", "Grace"], audio_format=None))
        assert isinstance(reply, Reply)
        session = {
            "request_id": "an id",
            "model": "abacus",
            "language": "fr",
            "context_bias": ["Ada", "Grace"],
            **first,
        }
        assert told(dialect, reply) == [{"type": "session.updated", "session": session}]
        options = StreamOptions(language="fr", prompt="Ada, Grace", delay_ms=480, words=False)
        assert dialect.receive(AUDIO)[0] == Start(options, AudioFormat("pcm_mulaw", 8000))

    def test_configured_language_stands_where_none_is_named(self) -> None:
        assert mistral("fr").receive(AUDIO)[0] == Start(StreamOptions(language="fr", words=False), AudioFormat())

    def test_flush_and_end(self) -> None:
        dialect = mistral()
        assert dialect.receive(message("input_audio.flush")) == [Start(PLAIN, AudioFormat()), Flush(None)]
        assert dialect.receive(message("input_audio.end")) == [Close()]
        assert dialect.receive("whatever follows") == ()

    @pytest.mark.parametrize(
        ("fields", "param"),
        [
            ({"diarize": True}, "diarize"),
            ({"speaker_references": {"Ada": "UklGRg=="}}, "speaker_references"),
            ({"turn_detection": {}}, "turn_detection"),
            ({"target_streaming_delay_ms": 1000}, "target_streaming_delay_ms"),
            ({"language": "de"}, "language"),
        ],
    )
    def test_what_the_engine_lacks_is_refused_by_name(self, fields: dict[str, Any], param: str) -> None:
        with pytest.raises(UnsupportedOption, match=f"^{param}: ") as refusal:
            mistral().receive(update(**fields))
        assert refusal.value.param == param

    def test_words_to_expect_are_refused_by_name(self) -> None:
        with pytest.raises(UnsupportedOption, match=r"^context_bias: accounting takes none") as refusal:
            mistral(biasing=False).receive(update(context_bias=["Ada"]))
        assert refusal.value.param == "context_bias"
        mistral(biasing=False).receive(update(context_bias=[], diarize=False))

    def test_a_session_is_not_changed_after_audio(self) -> None:
        dialect = mistral()
        dialect.receive(AUDIO)
        with pytest.raises(ProtocolError, match="after audio has started"):
            dialect.receive(update(language="fr"))

    @pytest.mark.parametrize(
        ("frame", "kind"),
        [
            (b"\x00\x01", ProtocolError),
            ("[]", InvalidJson),
            (message("input_audio.stop"), ProtocolError),
            (message("input_audio.append", audio=1), ProtocolError),
            (message("input_audio.append", audio="?"), InvalidBase64),
            (message("input_audio.end", now=True), ProtocolError),
            (update(delay=1), InvalidConfig),
            (update(context_bias=["a"] * 101), InvalidConfig),
            (update(audio_format={"encoding": "opus", "sample_rate": 16000}), InvalidConfig),
            (update(audio_format={"encoding": "pcm_s16le", "sample_rate": 1}), InvalidConfig),
            (message("session.update", session={}, padding=" " * 2**16), MessageTooLarge),
        ],
    )
    def test_wrong_messages(self, frame: str | bytes, kind: type[Exception]) -> None:
        with pytest.raises(kind):
            mistral().receive(frame)

    @given(
        st.sampled_from(["session.update", "input_audio.append", "input_audio.flush", "input_audio.end"]),
        st.dictionaries(st.sampled_from(["session", "audio"]), st.text() | JSON),
    )
    def test_any_fields_are_answered(self, type_: str, fields: dict[str, Any]) -> None:
        try:
            assert mistral().receive(message(type_, **fields))
        except (ProtocolError, AudioError, UnsupportedOption) as error:
            told(mistral(), Failed(error))


class TestEncode:
    def test_what_is_stable_is_told_at_once_and_the_rest_with_the_final(self) -> None:
        heard = told(
            mistral(),
            SpeechStarted(0, 100),
            Partial(0, 8000, "One", " too"),
            Partial(0, 9000, "One", " two"),
            SpeechStopped(0, 16000),
            Final(0, 0, 16000, "One two.", language="en"),
            Flushed(None),
            Partial(1, 20000, "Three", ""),
            Final(1, 16000, 32000, "Three.", language="en"),
        )
        assert [message["type"].removeprefix("transcription.") for message in heard] == [
            *("text.delta", "language", "text.delta", "segment"),
            *("text.delta", "text.delta", "segment"),
        ]
        assert [message["text"] for message in heard if message["type"] == "transcription.text.delta"] == [
            *("One", " two.", " Three", "."),
        ]
        assert heard[-1] == {
            "type": "transcription.segment", "text": "Three.", "start": 1.0, "end": 2.0, "speaker_id": None
        }  # fmt: skip

    def test_the_end_tells_everything_again(self) -> None:
        dialect = mistral()
        told(dialect, Final(0, 0, 16000, "One.", language="en"), Final(1, 16000, 48000, "Deux.", language="fr"))
        told(dialect, Final(2, 48000, 49000, ""))
        (done,) = told(dialect, Closed(64000, 64000, 0, 0, 3))
        assert done["type"] == "transcription.done"
        assert (done["model"], done["text"], done["language"]) == ("abacus", "One. Deux.", "fr")
        assert [segment["text"] for segment in done["segments"]] == ["One.", "Deux."]
        assert done["usage"]["prompt_audio_seconds"] == 4

    def test_a_change_of_language_is_told(self) -> None:
        finals = [Final(n, n, n + 1, "x", language=name) for n, name in enumerate(["en", "en", "fr", None])]
        heard = told(mistral(), *finals)
        languages = [one["audio_language"] for one in heard if one["type"] == "transcription.language"]
        assert languages == ["en", "fr"]

    def test_what_has_no_message_is_not_told(self) -> None:
        start = Start(PLAIN, AudioFormat())
        assert told(mistral(), Started(start), Warned("stopping", "…"), Flushed(None)) == []

    def test_greeting(self) -> None:
        (created,) = told(mistral("fr"), Opened())
        assert created["session"]["language"] == "fr"
        assert created["session"]["audio_format"] == {"encoding": "pcm_s16le", "sample_rate": 16000}

    def test_errors_have_a_number_and_no_secrets(self) -> None:
        dialect = mistral()
        (error,) = told(dialect, Failed(EngineFailed("at /some/path")))
        assert error["type"] == "error"
        assert (error["error"]["message"], error["error"]["code"]) == ("recognition failed", 1011)
        assert dialect.close_code(IdleTimeout("")) == 4408
