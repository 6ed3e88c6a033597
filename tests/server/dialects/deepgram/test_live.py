"""Deepgram's live protocol, frame by frame."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timezone
from typing import Any

import pytest

from voxtral_streaming.engines.base import Capabilities
from voxtral_streaming.errors import EngineFailed, ProtocolError
from voxtral_streaming.server.dialects.actions import (
    Audio,
    Close,
    Closed,
    Failed,
    Flush,
    Flushed,
    KeepAlive,
    Notice,
    Opened,
    Rejected,
    Reply,
    SessionFacts,
    Started,
    Tick,
    Warned,
)
from voxtral_streaming.server.dialects.deepgram.live import DeepgramLive
from voxtral_streaming.server.dialects.deepgram.query import read_live
from voxtral_streaming.server.errors import IdleTimeout, MessageTooLarge, SlowConsumer, Stopping, TooManySessions
from voxtral_streaming.transcript import Final, Heard, Partial, SpeechStarted, SpeechStopped, Word

CAN = Capabilities("accounting", "abacus", True, "word", ("en", "fr"), True, biasing=True)
RAW = {"encoding": "linear16", "sample_rate": "16000"}
END = {"type": "UtteranceEnd", "channel": [0, 1], "last_word_end": 2.0}
DAY = datetime(2026, 11, 24, 12, 0, 0, 123_456, timezone.utc)
SPEECH = b"\x01\x02" * 800  # 50 ms
WORDS = (Word("Hello,", 1.0, 1.4, 0.9), Word("World!", 1.5, 2.0, 0.7))


def deepgram(**query: str) -> DeepgramLive:
    asked = read_live(list({**RAW, **query}.items()), CAN, None)
    return DeepgramLive(SessionFacts("0123456789abcdef" * 2, CAN, None, 60.0, 14.0), asked=asked, opened_at=DAY)


def text(type_: str, **fields: Any) -> str:
    return json.dumps({"type": type_, **fields})


def told(dialect: DeepgramLive, *notices: Notice) -> list[dict[str, Any]]:
    return [json.loads(frame) for notice in notices for frame in dialect.encode(notice)]


def utterance(number: int = 0, start: int = 16_000, end: int = 33_536, text: str = "Hello, World!") -> list[Notice]:
    """One that ends where its speech stopped."""
    words = WORDS if text else ()
    return [SpeechStarted(number, start), SpeechStopped(number, end), Final(number, start, end, text, words, "en")]


def transcripts(messages: list[dict[str, Any]]) -> list[str]:
    return [one["channel"]["alternatives"][0]["transcript"] for one in messages if one["type"] == "Results"]


class TestReceive:
    def test_the_first_audio_starts_what_the_query_asks_for(self) -> None:
        dialect = deepgram(endpointing="300")
        assert dialect.receive(SPEECH) == [dialect._asked.start, Audio(SPEECH)]
        assert dialect.receive(SPEECH) == (Audio(SPEECH),)

    def test_messages(self) -> None:
        dialect = deepgram()
        assert dialect.receive(text("KeepAlive")) == [KeepAlive()]
        assert dialect.receive(text("Finalize")) == [dialect._asked.start, Flush(None)]
        assert dialect.receive(text("Finalize", channel=0)) == (Flush(None),)
        assert dialect.receive(text("KeepAlive", whatever=1)) == [KeepAlive()]
        assert dialect.receive(text("CloseStream")) == [Close()]

    @pytest.mark.parametrize("end", [text("CloseStream"), b""])
    def test_nothing_counts_after_the_end(self, end: str | bytes) -> None:
        dialect = deepgram()
        assert dialect.receive(end) == [Close()]
        for frame in (SPEECH, b"", text("Finalize"), "not JSON"):
            assert dialect.receive(frame) == ()

    @pytest.mark.parametrize(
        "frame", ["not JSON", "[]", "{}", text("Flush"), text("Finalize", channel=1), '{"type": ["KeepAlive"]}']
    )
    def test_what_is_not_understood_ends_nothing(self, frame: str) -> None:
        dialect = deepgram()
        (rejected,) = dialect.receive(frame)
        assert isinstance(rejected, Rejected)
        assert isinstance(rejected.error, ProtocolError)
        (error,) = told(dialect, rejected)
        assert (error["type"], error["variant"], error["description"]) == (
            "Error",
            "SchemaError",
            rejected.error.message,
        )
        assert dialect.receive(text("KeepAlive")) == [KeepAlive()]

    def test_megabytes_of_text(self) -> None:
        with pytest.raises(MessageTooLarge):
            deepgram().receive(text("KeepAlive" + " " * 2**16))

    def test_configure_is_refused_in_its_own_words(self) -> None:
        dialect = deepgram()
        (reply,) = dialect.receive(text("Configure", keyterms=["Ada"]))
        assert isinstance(reply, Reply)
        (failure,) = told(dialect, reply)
        assert (failure["type"], failure["code"]) == ("ConfigureFailure", "CONFIGURE_KEYTERMS_NOT_SUPPORTED")

    def test_silence_is_measured_only_where_it_is_told(self) -> None:
        dialect = deepgram(utterance_end_ms="1000")
        ticks = [action for _ in range(10) for action in dialect.receive(SPEECH) if isinstance(action, Tick)]
        assert len(ticks) == 5  # every 100 ms
        assert Tick() not in [action for _ in range(10) for action in deepgram().receive(SPEECH)]


class TestResults:
    def test_a_final_with_its_words(self) -> None:
        (result,) = told(deepgram(), *utterance())
        metadata = result.pop("metadata")
        assert result == {
            "type": "Results",
            "channel_index": [0, 1],
            "start": 1.0,
            "duration": 1.096,
            "is_final": True,
            "speech_final": True,
            "from_finalize": False,
            "channel": {
                "alternatives": [
                    {
                        "transcript": "Hello, World!",
                        "confidence": 0.8,
                        "words": [
                            {
                                "word": "hello",
                                "punctuated_word": "Hello,",
                                "start": 1.0,
                                "end": 1.4,
                                "confidence": 0.9,
                            },
                            {
                                "word": "world",
                                "punctuated_word": "World!",
                                "start": 1.5,
                                "end": 2.0,
                                "confidence": 0.7,
                            },
                        ],
                    }
                ]
            },
        }
        assert metadata["request_id"] == "01234567-89ab-cdef-0123-456789abcdef"
        assert metadata["model_info"].keys() == {"name", "version", "arch"}
        assert (metadata["model_info"]["name"], metadata["model_info"]["arch"]) == ("abacus", "accounting")

    def test_interim_results_only_where_asked(self) -> None:
        partial = Partial(0, 24_000, "Hello, ", "wor")
        assert told(deepgram(), SpeechStarted(0, 16_000), partial) == []
        (interim,) = told(deepgram(interim_results="true"), SpeechStarted(0, 16_000), partial)
        assert (interim["is_final"], interim["speech_final"]) == (False, False)
        assert (interim["start"], interim["duration"]) == (1.0, 0.5)
        assert interim["channel"] == {"alternatives": [{"transcript": "Hello, wor", "confidence": 0.0, "words": []}]}

    def test_speech_that_is_cut_has_no_end(self) -> None:
        cut: list[Notice] = [SpeechStarted(0, 0), Final(0, 0, 400_000, "on and on"), *utterance(1, 400_000, 433_536)]
        assert [result["speech_final"] for result in told(deepgram(), *cut)] == [False, True]

    def test_speech_that_resumes_and_is_cut_has_no_end(self) -> None:
        resumed: list[Notice] = [SpeechStarted(0, 0), SpeechStopped(0, 100_000), Final(0, 0, 400_000, "on and on")]
        assert not told(deepgram(), *resumed)[0]["speech_final"]

    def test_no_endpointing_hides_ends(self) -> None:
        (result,) = told(deepgram(endpointing="false"), *utterance())
        assert (result["is_final"], result["speech_final"]) == (True, False)

    def test_speech_started_only_where_asked(self) -> None:
        assert told(deepgram(), SpeechStarted(0, 16_000)) == []
        (started,) = told(deepgram(vad_events="true"), SpeechStarted(0, 16_000))
        assert started == {"type": "SpeechStarted", "channel": [0, 1], "timestamp": 1.0}

    def test_any_language(self) -> None:
        (result,) = told(deepgram(language="multi"), *utterance())
        assert result["channel"]["alternatives"][0]["languages"] == ["en"]

    def test_warnings_come_with_every_result(self) -> None:
        (result,) = told(deepgram(profanity_filter="true"), *utterance())
        assert [warning["parameter"] for warning in result["metadata"]["warnings"]] == ["profanity_filter"]

    def test_what_has_no_place_is_not_told(self) -> None:
        assert told(deepgram(), Opened(), Warned("stopping", "", None)) == []
        dialect = deepgram()
        assert told(dialect, Started(dialect._asked.start)) == []


class TestFinalize:
    def test_the_final_it_brings_says_so(self) -> None:
        dialect = deepgram()
        dialect.receive(SPEECH)
        dialect.receive(text("Finalize"))
        (result,) = told(dialect, *utterance(), Flushed(None))
        assert (result["from_finalize"], result["is_final"]) == (True, True)
        assert transcripts([result]) == ["Hello, World!"]

    def test_earlier_finals_do_not(self) -> None:
        dialect = deepgram()
        dialect.receive(text("Finalize"))
        messages = told(dialect, *utterance(), *utterance(1, 60_000, 90_000), Flushed(None))
        assert [result["from_finalize"] for result in messages] == [False, True]

    def test_it_is_answered_where_nobody_spoke(self) -> None:
        dialect = deepgram()
        dialect.receive(text("Finalize"))
        (result,) = told(dialect, Flushed(None))
        assert (result["from_finalize"], transcripts([result])) == (True, [""])
        assert (result["start"], result["duration"]) == (0.0, 0.0)

    def test_what_is_said_between_changes_nothing(self) -> None:
        dialect = deepgram()
        dialect.receive(text("Finalize"))
        error, result = told(dialect, *utterance(), Heard(33_536), Rejected(ProtocolError("no")), Flushed(None))
        assert error["type"] == "Error"
        assert result["from_finalize"]

    def test_it_is_an_end_also_where_those_are_hidden(self) -> None:
        dialect = deepgram(endpointing="false")
        dialect.receive(text("Finalize"))
        assert told(dialect, *utterance(), Flushed(None))[0]["speech_final"]

    def test_several(self) -> None:
        dialect = deepgram()
        dialect.receive(text("Finalize"))
        dialect.receive(text("Finalize"))
        messages = told(dialect, *utterance(), Flushed(None), Flushed(None), *utterance(1, 60_000, 90_000))
        assert transcripts(messages) == ["Hello, World!", "", "Hello, World!"]
        assert [result["from_finalize"] for result in messages] == [True, True, False]


class TestUtteranceEnd:
    def test_said_once_when_it_was_silent_for_long_enough(self) -> None:
        dialect = deepgram(utterance_end_ms="1000")
        told(dialect, *utterance())
        assert told(dialect, Heard(47_999)) == []
        assert told(dialect, Heard(48_000), Heard(60_000)) == [END]

    def test_silence_lasts_through_an_utterance_without_words(self) -> None:
        dialect = deepgram(utterance_end_ms="1000")
        told(dialect, *utterance(), *utterance(1, 40_000, 46_000, text=""))
        assert told(dialect, Heard(48_000)) == [END]

    def test_speech_that_begins_late_enough_brings_it(self) -> None:
        for start, ends in ((48_000, [END]), (47_999, [])):
            dialect = deepgram(utterance_end_ms="1000", vad_events="true")
            told(dialect, *utterance())
            messages = told(dialect, SpeechStarted(1, start))
            assert messages[:-1] == ends

    def test_the_end_of_the_audio_brings_it(self) -> None:
        dialect = deepgram(utterance_end_ms="1000")
        end, metadata = told(dialect, *utterance(), Closed(48_000, 48_000, 0, 0, 1))[1:]
        assert (end, metadata["type"]) == (END, "Metadata")

    def test_never_unasked(self) -> None:
        assert len(told(deepgram(), *utterance(), Heard(160_000))) == 1


class TestEnd:
    def test_metadata(self) -> None:
        dialect = deepgram(tag="mine", extra="who:me", numerals="true")
        dialect.receive(SPEECH)
        dialect.receive(SPEECH)
        (metadata,) = told(dialect, Closed(1600, 1600, 0, 0, 0))
        (warning,) = metadata.pop("warnings")
        assert warning["parameter"] == "numerals"
        assert metadata == {
            "type": "Metadata",
            "transaction_key": "deprecated",
            "request_id": "01234567-89ab-cdef-0123-456789abcdef",
            "sha256": hashlib.sha256(SPEECH * 2).hexdigest(),
            "created": "2026-11-24T12:00:00.123456Z",
            "duration": 0.1,
            "channels": 1,
            "tags": ["mine"],
            "extra": {"who": "me"},
        }

    def test_failure(self) -> None:
        (error,) = told(deepgram(), Failed(EngineFailed("a file of the server")))
        assert error == {"type": "Error", "variant": "engine_failed", "description": "recognition failed"}

    @pytest.mark.parametrize(
        ("error", "code"),
        [
            (IdleTimeout("idle"), 1011),
            (TooManySessions("full"), 1013),
            (SlowConsumer("slow"), 1008),
            (Stopping("stopping"), 1001),
            (EngineFailed("broken"), 1011),
        ],
    )
    def test_close_codes(self, error: Any, code: int) -> None:
        assert deepgram().close_code(error) == code
