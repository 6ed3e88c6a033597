"""Deepgram's query options: each honoured, warned of or refused by name."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.accounting import ABACUS
from voxtral_streaming.engines.base import Capabilities, StreamOptions
from voxtral_streaming.errors import UnsupportedOption
from voxtral_streaming.server.dialects.actions import AudioFormat, Start, Turns
from voxtral_streaming.server.dialects.deepgram.query import (
    LEFT_TO_THE_MODEL,
    REFUSED,
    REFUSED_OF_RECORDINGS,
    Live,
    Recording,
    _LiveQuery,
    _RecordingQuery,
    read_live,
    read_recording,
)
from voxtral_streaming.server.errors import InvalidRequest

NAMES = sorted({*REFUSED_OF_RECORDINGS, *_LiveQuery.model_fields, *_RecordingQuery.model_fields})
RAW = [("encoding", "linear16"), ("sample_rate", "16000")]


def can(**facts: Any) -> Capabilities:
    return replace(ABACUS, **facts)


def live(*items: tuple[str, str], language: str | None = None, **facts: Any) -> Live:
    return read_live([*RAW, *items], can(**facts), language)


def recording(*items: tuple[str, str], language: str | None = None, **facts: Any) -> Recording:
    return read_recording(items, can(**facts), language)


def warned(asked: Live | Recording) -> list[str]:
    return [warning["parameter"] for warning in asked.asked.warnings]


class TestLive:
    def test_what_is_left_out_is_as_configured(self) -> None:
        asked = live(language="fr")
        assert asked.start == Start(StreamOptions(language="fr", partials=False), AudioFormat("pcm_s16le", 16000, 1))
        assert (asked.has_endpoints, asked.has_speech_started, asked.utterance_end) == (True, False, None)
        assert asked.asked.warnings == ()

    @pytest.mark.parametrize(
        ("encoding", "ours"),
        [("linear16", "pcm_s16le"), ("linear32", "pcm_f32le"), ("mulaw", "pcm_mulaw"), ("alaw", "pcm_alaw")],
    )
    def test_raw_audio(self, encoding: str, ours: Any) -> None:
        items = [("encoding", encoding), ("sample_rate", "8000"), ("channels", "2")]
        assert read_live(items, can(), None).start.audio == AudioFormat(ours, 8000, 2)

    @pytest.mark.parametrize("encoding", ["opus", "ogg-opus", "flac", "amr-nb", "amr-wb", "speex", "g729", "LINEAR16"])
    def test_other_audio_is_refused(self, encoding: str) -> None:
        with pytest.raises(UnsupportedOption, match="linear16, linear32, mulaw, alaw") as caught:
            read_live([("encoding", encoding), ("sample_rate", "16000")], can(), None)
        assert caught.value.param == "encoding"

    def test_containers_are_refused_before_any_audio(self) -> None:
        with pytest.raises(InvalidRequest, match="raw"):
            read_live([("model", "nova-3")], can(), None)
        with pytest.raises(InvalidRequest, match="beside") as caught:
            read_live([("encoding", "linear16")], can(), None)
        assert caught.value.param == "sample_rate"

    def test_everything_at_once(self) -> None:
        asked = live(
            ("model", "nova-3"),
            ("version", "latest"),
            ("language", "fr-CA"),
            ("interim_results", "true"),
            ("endpointing", "450"),
            ("utterance_end_ms", "1000"),
            ("vad_events", "true"),
            ("punctuate", "true"),
            ("smart_format", "true"),
            ("diarize", "false"),
            ("no_delay", "true"),
            ("mip_opt_out", "true"),
            ("keyterm", "Ada"),
            ("keyterm", "Grace Hopper"),
            ("tag", "a"),
            ("tag", "b"),
            ("extra", "who:me:too"),
        )
        assert asked.start.options == StreamOptions(language="fr", prompt="Ada, Grace Hopper")
        assert asked.start.turns == Turns(silence_ms=450)
        assert asked.has_speech_started
        assert asked.utterance_end == 16_000
        assert (asked.asked.tags, asked.asked.extra) == (("a", "b"), {"who": "me:too"})
        assert asked.asked.warnings == ()

    @pytest.mark.parametrize(
        ("value", "turns", "has_endpoints", "warnings"),
        [
            ("true", Turns(), True, []),
            ("false", Turns(), False, []),
            ("300", Turns(silence_ms=300), True, []),
            ("10", Turns(silence_ms=200), True, ["endpointing"]),
            ("0", Turns(silence_ms=200), True, ["endpointing"]),
        ],
    )
    def test_endpointing(self, value: str, turns: Turns, has_endpoints: bool, warnings: list[str]) -> None:
        asked = live(("endpointing", value))
        assert (asked.start.turns, asked.has_endpoints, warned(asked)) == (turns, has_endpoints, warnings)

    @pytest.mark.parametrize(
        ("language", "ours", "is_multilingual"),
        [("en", "en", False), ("en-US", "en", False), ("FR_ca", "fr", False), ("multi", None, True)],
    )
    def test_language(self, language: str, ours: str | None, is_multilingual: bool) -> None:
        asked = live(("language", language), language="fr")
        assert (asked.start.options.language, asked.asked.is_multilingual) == (ours, is_multilingual)

    def test_what_the_engine_lacks(self) -> None:
        assert warned(live(("interim_results", "true"), partials=False)) == ["interim_results"]
        assert not live(("interim_results", "true"), partials=False).start.options.partials
        assert warned(live(timestamps="segment")) == ["words"]
        assert not live(timestamps="none").start.options.words
        for name in ("keyterm", "keywords"):
            with pytest.raises(UnsupportedOption) as caught:
                live((name, "Ada"), biasing=False)
            assert caught.value.param == name
        with pytest.raises(UnsupportedOption, match="language"):
            live(("language", "de"))
        with pytest.raises(UnsupportedOption, match="language"):
            live(("language", "multi"), detects_language=False)

    def test_keywords(self) -> None:
        assert live(("keywords", "Ada"), ("keywords", "co:lon:2.5")).start.options.prompt == "Ada, co:lon"
        assert warned(live(("keywords", "Ada:2"))) == ["keywords"]
        with pytest.raises(UnsupportedOption, match="suppressed"):
            live(("keywords", "Ada:-2"))

    @pytest.mark.parametrize("name", LEFT_TO_THE_MODEL)
    def test_what_is_left_to_the_model_is_warned_of(self, name: str) -> None:
        assert warned(live((name, "true"))) == [name]
        assert warned(live((name, "false"))) == []

    @pytest.mark.parametrize("name", REFUSED)
    def test_what_is_not_there_is_refused_by_name_unless_switched_off(self, name: str) -> None:
        with pytest.raises(UnsupportedOption, match=f"^{name}: ") as caught:
            live((name, "true"))
        assert caught.value.param == name
        assert live((name, "false")) == live()

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("interim_results", "maybe"),
            ("interim_results", ""),
            ("endpointing", "-1"),
            ("endpointing", "soon"),
            ("endpointing", "9" * 5000),
            ("utterance_end_ms", "70000"),
            ("utterance_end_ms", "1e3"),
            ("channels", "0"),
            ("channels", "9"),
            ("language", "../.."),
            ("language", ""),
            ("punctuate", "\x00"),
            ("interim", "true"),
            ("access_token", "secret"),
            ("keyterm", "k" * 5000),
        ],
    )
    def test_what_is_wrong_is_named(self, name: str, value: str) -> None:
        with pytest.raises(InvalidRequest) as caught:
            live((name, value))
        assert caught.value.param == name or (caught.value.param or "").startswith(f"{name}.")
        assert "secret" not in caught.value.message

    def test_what_stands_twice(self) -> None:
        with pytest.raises(InvalidRequest, match="twice"):
            live(("language", "en"), ("language", "fr"))

    @settings(max_examples=30, deadline=None)
    @given(st.lists(st.tuples(st.sampled_from(NAMES) | st.text(), st.sampled_from(["true", "false", "1"]) | st.text())))
    def test_any_query_is_taken_or_refused(self, items: list[tuple[str, str]]) -> None:
        for read in (read_live, read_recording):
            with suppress(InvalidRequest, UnsupportedOption):
                read(items, can(), None)
                read([*RAW, *items], can(), None)

    @pytest.mark.parametrize("value", ["7999", "768001", "x", "16000.5"])
    def test_wrong_rates(self, value: str) -> None:
        with pytest.raises(InvalidRequest) as caught:
            read_live([("encoding", "linear16"), ("sample_rate", value)], can(), None)
        assert caught.value.param == "sample_rate"


class TestRecording:
    def test_what_is_left_out_is_as_configured(self) -> None:
        asked = recording(("model", "nova-3"), language="fr")
        assert asked.asked.options == StreamOptions(language="fr", partials=False)
        assert (asked.has_language, asked.has_utterances, asked.turns) == (False, False, Turns())

    def test_language_is_detected_where_that_is_asked(self) -> None:
        asked = recording(("detect_language", "true"), language="fr")
        assert (asked.asked.options.language, asked.has_language) == (None, True)
        with pytest.raises(UnsupportedOption, match="tells no language"):
            recording(("detect_language", "true"), tells_language=False)

    def test_utterances(self) -> None:
        asked = recording(("utterances", "true"), ("utt_split", "1.2"))
        assert (asked.has_utterances, asked.turns) == (True, Turns(silence_ms=1200))

    @pytest.mark.parametrize("name", REFUSED_OF_RECORDINGS)
    def test_what_is_not_there_is_refused_by_name(self, name: str) -> None:
        with pytest.raises(UnsupportedOption, match=f"^{name}: "):
            recording((name, "1"))
        assert recording((name, "false")) == recording()

    def test_what_belongs_to_live_sessions(self) -> None:
        with pytest.raises(InvalidRequest, match="interim_results"):
            recording(("interim_results", "true"))
