"""OpenAI's Realtime API, frame by frame."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.accounting import ABACUS
from voxtral_streaming.engines.base import StreamOptions
from voxtral_streaming.errors import EngineFailed, VoxtralError
from voxtral_streaming.server.dialects.actions import (
    Audio,
    AudioFormat,
    Clear,
    Closed,
    Failed,
    Flush,
    Flushed,
    Notice,
    Opened,
    Rejected,
    Reply,
    SessionFacts,
    Start,
    Started,
    Turns,
    Warned,
)
from voxtral_streaming.server.dialects.openai.realtime import OpenAIRealtime
from voxtral_streaming.server.dialects.realtime import UntoldRealtime, realtime
from voxtral_streaming.server.errors import IdleTimeout
from voxtral_streaming.transcript import Cleared, Final, Partial, SpeechStarted, SpeechStopped, Word

CAN = replace(ABACUS, delay_ms=(240, 480, 960))
PIECE = bytes(9600)  # 0.2 s at 24 kHz
MANUAL = {"audio": {"input": {"turn_detection": None}}}


def facts(**can: Any) -> SessionFacts:
    return SessionFacts("f" * 32, replace(CAN, **can), None, 60.0, 14.0, Turns(True, 500, 0.5, 300))


def openai(**can: Any) -> OpenAIRealtime:
    return OpenAIRealtime(facts(**can), 0)


def message(type_: str, **fields: Any) -> str:
    return json.dumps({"type": type_, **fields})


def append(data: bytes = PIECE) -> str:
    return message("input_audio_buffer.append", audio=base64.b64encode(data).decode())


def update(dialect: OpenAIRealtime, session: dict[str, Any], type_: str = "session.update") -> dict[str, Any]:
    """The answer to an update that is carried out."""
    (reply,) = dialect.receive(message(type_, session=session))
    assert isinstance(reply, Reply), reply
    told: dict[str, Any] = json.loads(reply.frame)
    return told


def rejection(dialect: OpenAIRealtime, frame: str | bytes) -> VoxtralError:
    (rejected,) = dialect.receive(frame)
    assert isinstance(rejected, Rejected)
    return rejected.error


def start_of(dialect: OpenAIRealtime) -> Start:
    start, audio = dialect.receive(append())
    assert isinstance(start, Start)
    assert audio == Audio(PIECE)
    return start


def told(dialect: OpenAIRealtime | UntoldRealtime, *notices: Notice) -> list[dict[str, Any]]:
    return [json.loads(frame) for notice in notices for frame in dialect.encode(notice)]


def types(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"].rpartition(".")[2] for event in events]


class TestSession:
    def test_the_defaults(self) -> None:
        dialect = openai()
        assert start_of(dialect) == Start(StreamOptions(words=False), AudioFormat("pcm_s16le", 24_000), Turns())
        assert dialect.receive(append()) == [Audio(PIECE)]

    def test_everything(self) -> None:
        dialect = openai()
        transcription = {
            "model": "whisper-1",
            "language": "fr",
            "prompt": "Ada.",
            "keywords": ["Alan"],
            "delay": "xhigh",
        }
        detection = {"type": "server_vad", "threshold": 0.3, "prefix_padding_ms": 0, "silence_duration_ms": 0}
        heard = {"format": {"type": "audio/pcma"}, "transcription": transcription, "turn_detection": detection}
        updated = update(dialect, {"type": "transcription", "audio": {"input": heard}})
        assert updated["warnings"] == []
        assert updated["session"]["audio"]["input"]["turn_detection"] == detection
        options = StreamOptions(language="fr", prompt="Ada. Alan", delay_ms=960, words=False)
        turns = Turns(silence_ms=0, speech_probability=0.3, pre_roll_ms=0)
        assert start_of(dialect) == Start(options, AudioFormat("pcm_alaw", 8_000), turns)

    def test_an_update_changes_what_it_names(self) -> None:
        dialect = openai()
        update(dialect, {"audio": {"input": {"transcription": {"language": "fr"}, "format": {"type": "audio/pcmu"}}}})
        update(dialect, {"audio": {"input": {"transcription": {"prompt": "Ada"}, "turn_detection": None}}})
        told = update(dialect, {"audio": {"input": {"format": {"type": "audio/pcm", "rate": 8000}}}})
        assert told["session"]["audio"]["input"]["format"] == {"type": "audio/pcm", "rate": 8000}
        start = start_of(dialect)
        assert start == Start(
            StreamOptions(language="fr", prompt="Ada", words=False),
            AudioFormat("pcm_s16le", 8_000),
            Turns(detect=False),
        )

    def test_the_older_shape_means_the_same(self) -> None:
        old, new = openai(), openai()
        flat = {
            "input_audio_format": "g711_ulaw",
            "input_audio_transcription": {"model": "gpt-4o-transcribe", "language": "en"},
            "turn_detection": {"type": "server_vad", "silence_duration_ms": 700},
        }
        nested = {
            "format": {"type": "audio/pcmu"},
            "transcription": flat["input_audio_transcription"],
            "turn_detection": flat["turn_detection"],
        }
        assert update(old, flat, "transcription_session.update")["type"] == "transcription_session.updated"
        assert update(new, {"type": "transcription", "audio": {"input": nested}})["type"] == "session.updated"
        assert start_of(old) == start_of(new)

    def test_what_can_be_done_without_is_left_out_with_a_warning(self) -> None:
        heard = {
            "noise_reduction": {"type": "near_field"},
            "transcription": {"delay": "low", "languages": ["en", "fr"]},
            "turn_detection": {"type": "semantic_vad", "eagerness": "low", "create_response": True},
        }
        dialect = openai(delay_ms=(), timestamps="none")
        session = {
            "type": "transcription",
            "audio": {"input": heard},
            "include": ["item.input_audio_transcription.logprobs"],
        }
        updated = update(dialect, session)
        names = [
            warning["param"].removeprefix("session.").removeprefix("audio.input.") for warning in updated["warnings"]
        ]
        assert names == [
            "noise_reduction",
            "transcription.delay",
            "transcription.languages",
            "turn_detection.type",
            "turn_detection.create_response",
            "include",
        ]
        assert updated["session"]["include"] == []
        assert updated["session"]["audio"]["input"]["noise_reduction"] is None

    @pytest.mark.parametrize(
        ("session", "param"),
        [
            ({"type": "realtime"}, "session.type"),
            ({"type": "transcription", "instructions": "be kind"}, "session.instructions"),
            ({"audio": {"output": {}}}, "session.audio.output"),
            ({"audio": {"input": {"format": {"type": "audio/opus"}}}}, "session.audio.input.format.type"),
            ({"audio": {"input": {"format": {"rate": 1}}}}, "session.audio.input.format.rate"),
            ({"audio": {"input": {"format": {"type": "audio/pcmu", "rate": 24000}}}}, "session.audio.input.format"),
            ({"audio": {"input": {"transcription": {"language": "xx"}}}}, "session.audio.input.transcription.language"),
            (
                {"audio": {"input": {"transcription": {"language": "English"}}}},
                "session.audio.input.transcription.language",
            ),
            ({"audio": {"input": {"transcription": {"model": "gpt-5"}}}}, "session.audio.input.transcription.model"),
            ({"audio": {"input": {"transcription": None}}}, "session.audio.input.transcription"),
            (
                {"audio": {"input": {"turn_detection": {"threshold": 1.5}}}},
                "session.audio.input.turn_detection.threshold",
            ),
            (
                {"audio": {"input": {"turn_detection": {"idle_timeout_ms": 6000}}}},
                "session.audio.input.turn_detection.idle_timeout_ms",
            ),
            ({"include": ["everything"]}, "session.include.0"),
        ],
    )
    def test_what_cannot_be_had_is_named(self, session: dict[str, Any], param: str) -> None:
        dialect = openai()
        assert rejection(dialect, message("session.update", session=session)).param == param
        assert start_of(dialect) == start_of(openai())  # nothing of it is in force

    def test_an_engine_that_takes_no_prompt_refuses_it(self) -> None:
        session = {"audio": {"input": {"transcription": {"prompt": "Ada"}}}}
        error = rejection(openai(biasing=False), message("session.update", session=session))
        assert (error.code, error.param) == ("unsupported_option", "session.audio.input.transcription.prompt")

    def test_an_engine_that_must_be_told_the_language_waits_for_it(self) -> None:
        dialect = openai(detects_language=False)
        assert rejection(dialect, append()).param == "session.audio.input.transcription.language"
        update(dialect, {"audio": {"input": {"transcription": {"language": "fr"}}}})
        assert start_of(dialect).options.language == "fr"

    def test_once_audio_has_come_only_what_stays_the_same_is_taken(self) -> None:
        dialect = openai()
        start_of(dialect)
        assert rejection(dialect, message("session.update", session=MANUAL)).param == "session"
        update(dialect, {"audio": {"input": {"turn_detection": {"type": "server_vad"}}}})


class TestReceive:
    def test_commits_and_clears(self) -> None:
        dialect = openai()
        update(dialect, MANUAL)
        start_of(dialect)
        *replies, flush = dialect.receive(message("input_audio_buffer.commit", event_id="mine"))
        assert flush == Flush("mine")
        assert types([json.loads(reply.frame) for reply in replies if isinstance(reply, Reply)]) == [
            "committed",
            "added",
            "done",
        ]
        assert dialect.receive(message("input_audio_buffer.clear")) == [Clear()]

    def test_a_clear_before_any_audio_is_answered_at_once(self) -> None:
        (reply,) = openai().receive(message("input_audio_buffer.clear"))
        assert isinstance(reply, Reply)

    @pytest.mark.parametrize("n_bytes", [0, 4798])
    def test_less_than_a_tenth_of_a_second_is_not_committed(self, n_bytes: int) -> None:
        dialect = openai()
        update(dialect, MANUAL)
        dialect.receive(append(bytes(n_bytes)))
        error = rejection(dialect, message("input_audio_buffer.commit"))
        assert error.code == "input_audio_buffer_commit_empty"

    @pytest.mark.parametrize(
        ("frame", "code"),
        [
            (b"1234", "protocol_error"),
            ("not JSON", "invalid_json"),
            ("[]", "invalid_json"),
            (message("response.create"), "protocol_error"),
            (message("session.update"), "invalid_config"),
            (message("input_audio_buffer.append"), "protocol_error"),
            (message("input_audio_buffer.append", audio="?"), "invalid_base64"),
            (message("input_audio_buffer.commit", final=True), "protocol_error"),
            (message("input_audio_buffer.commit", event_id="e" * 200), "protocol_error"),
            (message("input_audio_buffer.commit", event_id="e" * 70_000), "message_too_large"),
        ],
    )
    def test_what_is_wrong_is_rejected_and_the_session_goes_on(self, frame: str | bytes, code: str) -> None:
        dialect = openai()
        assert rejection(dialect, frame).code == code
        start_of(dialect)

    def test_a_rejection_bears_the_id_of_its_message(self) -> None:
        dialect = openai()
        (rejected,) = dialect.receive(message("response.create", event_id="mine"))
        (error,) = told(dialect, *[rejected] if isinstance(rejected, Rejected) else [])
        assert error["error"]["event_id"] == "mine"

    @settings(deadline=None)
    @given(st.text() | st.binary() | st.dictionaries(st.text(), st.text()).map(json.dumps))
    def test_nothing_of_a_stranger_ends_the_session(self, frame: str | bytes) -> None:
        assert all(isinstance(action, Rejected) for action in openai().receive(frame))


class TestEncode:
    def test_a_turn(self) -> None:
        events = told(
            openai(),
            SpeechStarted(0, 1600),
            Partial(0, 8000, "it", " is"),
            Partial(0, 9000, "it", " was"),
            Partial(0, 9600, "it is", ""),
            SpeechStopped(0, 16_000),
            Final(0, 1600, 17_600, "it is so", (), "en"),
        )
        assert types(events) == [
            "speech_started", "delta", "delta", "speech_stopped", "committed", "added", "done", "delta", "completed",
        ]  # fmt: skip
        assert "".join(event.get("delta", "") for event in events) == events[-1]["transcript"] == "it is so"
        assert events[0]["audio_start_ms"] == 100
        assert events[3]["audio_end_ms"] == 1100
        assert events[-1]["usage"] == {"type": "duration", "seconds": 1.0}
        assert len({event["event_id"] for event in events}) == len(events)
        items = {event["item_id"] for event in events if "item_id" in event}
        assert len(items) == 1

    def test_what_was_stable_and_turned_out_wrong_stays_in_the_deltas_only(self) -> None:
        events = told(
            openai(), SpeechStarted(0, 0), Partial(0, 1, "a word", ""), Final(0, 0, 1, "the word was", (), None)
        )
        assert "".join(event.get("delta", "") for event in events) == "a word was"
        assert events[-1]["transcript"] == "the word was"
        assert events[-1]["languages"] == []

    def test_a_turn_of_several_utterances(self) -> None:
        dialect = openai()
        update(dialect, MANUAL)
        start_of(dialect)
        dialect.receive(message("input_audio_buffer.commit"))
        events = told(
            dialect,
            SpeechStarted(0, 0),
            Final(0, 0, 16_000, "one", (), "en"),
            SpeechStarted(1, 16_000),
            Partial(1, 20_000, "two", ""),
            Final(1, 16_000, 32_000, "two three", (), "fr"),
            Flushed(None),
        )
        assert [event.get("delta") for event in events] == ["one", " two", " three", None]
        assert events[-1]["transcript"] == "one two three"
        assert events[-1]["languages"] == [{"code": "en"}, {"code": "fr"}]

    def test_items_keep_their_ids_over_commits_and_clears(self) -> None:
        dialect = openai()
        update(dialect, MANUAL)
        start_of(dialect)
        (committed, *_), completed = self.commit(dialect, 0)
        assert committed["item_id"] == completed["item_id"]
        dialect.receive(message("input_audio_buffer.clear"))
        assert types(told(dialect, Partial(1, 1, "gone", ""), Cleared())) == ["delta", "cleared"]
        dialect.receive(append())
        (again, *_), last = self.commit(dialect, 2)
        assert again["item_id"] == last["item_id"] != committed["item_id"]
        assert again["previous_item_id"] == committed["item_id"]
        assert last["transcript"] == "text 2"

    @staticmethod
    def commit(dialect: OpenAIRealtime, number: int) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        actions = dialect.receive(message("input_audio_buffer.commit"))
        replies = [json.loads(action.frame) for action in actions if isinstance(action, Reply)]
        return replies, told(dialect, Final(number, 0, 1, f"text {number}"), Flushed(None))[-1]

    def test_a_commit_without_speech_is_an_error_where_speech_makes_turns(self) -> None:
        (error,) = told(openai(), Flushed("mine"))
        assert error["error"]["code"] == "input_audio_buffer_commit_empty"
        assert error["error"]["event_id"] == "mine"
        dialect = openai()
        told(dialect, SpeechStarted(0, 0), Final(0, 0, 1, "text"))
        assert told(dialect, Flushed("mine")) == []

    def test_what_was_not_committed_is_completed_when_the_server_stops(self) -> None:
        dialect = openai()
        update(dialect, MANUAL)
        told(dialect, SpeechStarted(0, 0), Final(0, 0, 1, "text"))
        assert types(told(dialect, Closed(1, 1, 0, 0, 1))) == ["committed", "added", "done", "completed"]
        assert told(openai(), Closed(1, 1, 0, 0, 1)) == []

    def test_logprobs_of_words(self) -> None:
        dialect = openai()
        update(dialect, {"include": ["item.input_audio_transcription.logprobs"]})
        final = Final(0, 0, 1, "é a", (Word("é", 0, 1, 1.0), Word("a", 1, 2, 0.0)), "fr")
        first, second = told(dialect, SpeechStarted(0, 0), final)[-1]["logprobs"]
        assert first == {"token": " é", "logprob": 0.0, "bytes": [32, 195, 169]}
        assert second["logprob"] < -700

    def test_failures(self) -> None:
        dialect = openai()
        failed, error = told(dialect, SpeechStarted(0, 0), Failed(EngineFailed("secret")))[1:]
        assert failed["type"] == "conversation.item.input_audio_transcription.failed"
        assert failed["error"] == {
            "type": "server_error", "code": "engine_failed", "message": "recognition failed", "param": None,
        }  # fmt: skip
        assert error["error"] == {**failed["error"], "event_id": None}
        assert types(told(openai(), Failed(IdleTimeout("nothing came")))) == ["error"]
        assert dialect.close_code(IdleTimeout("nothing came")) == 4408

    def test_warnings_are_errors_that_end_nothing(self) -> None:
        (event,) = told(openai(), Warned("stopping", "the server is stopping"))
        assert (event["type"], event["error"]["code"]) == ("error", "stopping")

    def test_it_has_no_word_for_the_start(self) -> None:
        assert told(openai(), Started(Start(StreamOptions(), AudioFormat()))) == []


class TestBothProtocols:
    def open(self, **query: str) -> UntoldRealtime | OpenAIRealtime:
        dialect = realtime(facts(), query=query, headers={}, asked={}, created=7)
        assert isinstance(dialect, UntoldRealtime | OpenAIRealtime)
        return dialect

    def test_the_greeting_is_for_both(self) -> None:
        (greeting,) = told(self.open(), Opened())
        assert greeting["id"] == greeting["session"]["id"] == "sess-" + "f" * 32
        assert greeting["created"] == 7
        assert greeting["session"]["object"] == "realtime.transcription_session"

    @pytest.mark.parametrize(
        ("first", "is_vllm"),
        [
            (message("session.update", model="abacus"), True),
            (message("session.update", session=MANUAL), False),
            (append(), False),
            (message("transcription_session.update", session={}), False),
            ("not JSON", False),
            (b"1234", False),
        ],
    )
    def test_the_first_message_decides(self, first: str | bytes, is_vllm: bool) -> None:
        dialect = self.open()
        dialect.receive(first)
        events = told(dialect, SpeechStarted(0, 0), Partial(0, 1, "text", ""))
        assert events[-1]["type"] == (
            "transcription.delta" if is_vllm else "conversation.item.input_audio_transcription.delta"
        )

    def test_the_intent_decides_before_it(self) -> None:
        assert isinstance(self.open(intent="transcription"), OpenAIRealtime)

    def test_browsers_hear_the_subprotocol(self) -> None:
        assert OpenAIRealtime.subprotocols == UntoldRealtime.subprotocols == ("realtime",)
