"""Recordings as Mistral's clients send them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bench.accounting import ABACUS
from voxtral_streaming.engines.base import Capabilities, StreamOptions
from voxtral_streaming.errors import UnsupportedOption
from voxtral_streaming.server.dialects.mistral.events import Granularity, Telling, transcription
from voxtral_streaming.server.dialects.mistral.recording import Recording, RecordingFields, is_mistrals, read_recording
from voxtral_streaming.server.errors import InvalidRequest, ModelNotFound
from voxtral_streaming.transcript import Final, Segment, Transcript, Word


def capabilities(**can: Any) -> Capabilities:
    return replace(ABACUS, **can)


class TestRead:
    def test_what_is_always_sent_asks_for_nothing(self) -> None:
        asked = RecordingFields(model="voxtral", stream=False, diarize=False)
        options = StreamOptions(partials=False, words=False)
        assert read_recording(asked, capabilities()) == Recording(options, None, False, None)

    def test_everything(self) -> None:
        asked = RecordingFields(
            stream=True,
            file_url="http://example.org/a.wav",
            language="fr",
            temperature=0.0,
            context_bias=["Ada", "Grace, Radia"],
            timestamp_granularities=["word"],
        )
        options = StreamOptions(language="fr", prompt="Ada, Grace, Radia", partials=False)
        assert read_recording(asked, capabilities()) == Recording(options, "word", True, "http://example.org/a.wav")

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("diarize", True),
            ("speaker_references", '{"Ada": "UklGRg=="}'),
            ("file_id", "abc"),
            ("temperature", 0.3),
            ("language", "de"),
            ("context_bias", ["Ada"]),
            ("timestamp_granularities", ["word"]),
        ],
    )
    def test_what_is_lacking_is_refused_by_name(self, name: str, value: Any) -> None:
        with pytest.raises(UnsupportedOption, match=f"^{name}: ") as refusal:
            read_recording(RecordingFields(**{name: value}), capabilities(biasing=False, timestamps="segment"))
        assert refusal.value.param == name

    @pytest.mark.parametrize("name", ["abacus", "voxtral-mini-latest", "mistralai/Voxtral-Mini-3B-2507", "whisper-1"])
    def test_names_of_the_loaded_model(self, name: str) -> None:
        read_recording(RecordingFields(model=name), capabilities())

    def test_another_model_is_not_there(self) -> None:
        with pytest.raises(ModelNotFound, match="'pixtral'"):
            read_recording(RecordingFields(model="pixtral"), capabilities())

    def test_times_are_of_segments_or_of_words(self) -> None:
        with pytest.raises(InvalidRequest, match="either"):
            read_recording(RecordingFields(timestamp_granularities=["segment", "word"]), capabilities())


@pytest.mark.parametrize(
    ("form", "agent", "is_it"),
    [
        ({"model": ["abacus"]}, "mistral-client-python/3.7.0", True),
        ({"model": ["abacus"], "file_url": ["http://example.org"]}, "curl/8.1", True),
        ({"model": ["voxtral-mini-latest"]}, "curl/8.1", True),
        ({"model": ["abacus"], "timestamp_granularities[]": ["word"], "stream": ["true"]}, "curl/8.1", False),
        ({"model": ["whisper-1"], "language": ["en"]}, "", False),
    ],
)
def test_mistrals_forms_are_told_from_openais(form: dict[str, list[str]], agent: str, is_it: bool) -> None:
    assert is_mistrals(form, agent, "abacus") is is_it


def test_the_loaded_model_is_no_sign_of_mistral() -> None:
    assert not is_mistrals({"model": ["voxtral-mini"]}, "curl/8.1", "voxtral-mini")


WORDS = (Word("One", 0.0, 0.4, 1.0), Word("two.", 0.5, 1.0, 1.0))


@pytest.mark.parametrize(("granularity", "texts"), [(None, []), ("segment", ["One two."]), ("word", ["One", "two."])])
def test_segments_are_what_was_asked_for(granularity: Granularity | None, texts: list[str]) -> None:
    transcript = Transcript.of([Segment(0, 0.0, 1.0, "One two.", WORDS, "en")], 1.4)
    answer = transcription(transcript, "abacus", granularity)
    assert [piece["text"] for piece in answer["segments"]] == texts
    assert (answer["text"], answer["language"], answer["model"]) == ("One two.", "en", "abacus")
    assert answer["usage"]["prompt_audio_seconds"] == 1

    telling = Telling("abacus", granularity)
    told = telling.final(Final(0, 0, 16000, "One two.", WORDS, "en"))
    assert [message["text"] for message in told if message["type"] == "transcription.segment"] == texts
    assert telling.done(1.4) == {"type": "transcription.done", **answer}
