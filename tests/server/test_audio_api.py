"""OpenAI's interface for recordings, judged by OpenAI's own client against a real server."""

from __future__ import annotations

import io
import math
import re
import wave
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import numpy as np
import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from voxtral_streaming.errors import EngineFailed

EXPECTED = r"\d+ \d+ [0-9a-f]{8}"  # what the engine says of an utterance


@pytest.fixture
def recording(sound: Any) -> tuple[str, bytes]:
    """Two utterances."""
    return "speech.wav", wav(np.frombuffer(sound.utterances(1.0, 0.5), "<i2"))


def wav(samples: np.ndarray) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(16_000)
        writer.writeframes(samples.tobytes())
    return file.getvalue()


@pytest.fixture
def client(server: Any) -> Iterator[OpenAI]:
    with client_of(server) as client:
        yield client


def client_of(running: Any) -> OpenAI:
    return OpenAI(api_key="a key", base_url=f"http://{running.host}/v1", max_retries=0)


@pytest.fixture
async def asynchronous(server: Any) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(api_key="a key", base_url=f"http://{server.host}/v1", max_retries=0) as client:
        yield client


def test_json(client: OpenAI, recording: Any) -> None:
    heard = client.audio.transcriptions.create(file=recording, model="whisper-1")
    assert re.fullmatch(f"{EXPECTED} {EXPECTED}", heard.text)
    assert heard.usage is not None
    assert heard.usage.to_dict() == {"type": "duration", "seconds": 4.5}
    assert heard.languages is not None
    assert [language.code for language in heard.languages] == ["en"]


async def test_the_asynchronous_client(asynchronous: AsyncOpenAI, recording: Any) -> None:
    heard = await asynchronous.audio.transcriptions.create(file=recording, model="abacus", language="fr")
    assert re.fullmatch(f"{EXPECTED} {EXPECTED}", heard.text)


def test_verbose_json(client: OpenAI, recording: Any) -> None:
    heard = client.audio.transcriptions.create(
        file=recording,
        model="whisper-1",
        response_format="verbose_json",
        timestamp_granularities=["word", "segment"],
    )
    assert (heard.language, heard.duration) == ("en", 4.5)
    assert heard.segments is not None
    assert heard.words is not None
    assert " ".join(segment.text.strip() for segment in heard.segments) == heard.text
    assert [segment.id for segment in heard.segments] == [0, 1]
    assert [segment.avg_logprob for segment in heard.segments] == [0.0, 0.0]
    assert [(word.start, word.end) for word in heard.words] == [(one.start, one.end) for one in heard.segments]


@pytest.mark.parametrize(("asked", "has_words", "has_segments"), [([], False, True), (["word"], True, False)])
def test_granularities(asked: list[Any], has_words: bool, has_segments: bool, client: OpenAI, recording: Any) -> None:
    heard = client.audio.transcriptions.create(
        file=recording, model="whisper-1", response_format="verbose_json", timestamp_granularities=asked
    )
    assert (heard.words is not None, heard.segments is not None) == (has_words, has_segments)


@pytest.mark.parametrize(
    ("format_", "beginning"), [("text", EXPECTED), ("srt", "1\n00:00:00,"), ("vtt", "WEBVTT\n\n00:00:00\\.")]
)
def test_plain_formats(format_: Any, beginning: str, client: OpenAI, recording: Any) -> None:
    heard: Any = client.audio.transcriptions.create(file=recording, model="whisper-1", response_format=format_)
    assert re.match(beginning, heard)
    assert heard.endswith("\n")


def test_a_stream_of_events(client: OpenAI, recording: Any) -> None:
    events = list(client.audio.transcriptions.create(file=recording, model="gpt-4o-transcribe", stream=True))
    assert [event.type for event in events] == ["transcript.text.delta"] * 2 + ["transcript.text.done"]
    *deltas, done = events
    assert "".join(event.delta for event in deltas if event.type == "transcript.text.delta") == done.text  # type: ignore[union-attr]


async def test_the_asynchronous_client_hears_the_same_stream(
    asynchronous: AsyncOpenAI, client: OpenAI, recording: Any
) -> None:
    stream = await asynchronous.audio.transcriptions.create(file=recording, model="gpt-4o-transcribe", stream=True)
    events = [event async for event in stream]
    assert events == list(client.audio.transcriptions.create(file=recording, model="gpt-4o-transcribe", stream=True))


async def test_a_stream_that_fails_says_so(launch: Any, accounting: Any, recording: Any, eventually: Any) -> None:
    running = launch(accounting(ails=EngineFailed("out of order")))
    with client_of(running) as client:
        stream = client.audio.transcriptions.create(file=recording, model="whisper-1", stream=True)
        with pytest.raises(openai.APIError, match="recognition failed"):
            list(stream)
    await eventually(lambda: len(running.service.uploads) == 0)


async def test_a_client_that_leaves_a_stream_takes_its_recording_along(
    launch: Any, accounting: Any, recording: Any, eventually: Any
) -> None:
    running = launch(accounting(cost=100.0))
    async with AsyncOpenAI(api_key="a key", base_url=f"http://{running.host}/v1") as client:
        stream = await client.audio.transcriptions.create(file=recording, model="whisper-1", stream=True)
        assert len(running.service.uploads) == 1
        await stream.close()
    await eventually(lambda: len(running.service.uploads) == 0)
    assert not running.service.turns.locked()


def test_logprobs_of_words(client: OpenAI, recording: Any) -> None:
    heard = client.audio.transcriptions.create(file=recording, model="whisper-1", include=["logprobs"])
    assert heard.logprobs is not None
    assert [one.logprob for one in heard.logprobs] == [math.log(1.0)] * 2


def test_chunking_as_the_client_wants_it(client: OpenAI, recording: Any) -> None:
    strategy: Any = {"type": "server_vad", "silence_duration_ms": 2000}
    heard = client.audio.transcriptions.create(file=recording, model="whisper-1", chunking_strategy=strategy)
    assert re.fullmatch(EXPECTED, heard.text)  # the second of silence between the two ends no turn
    heard = client.audio.transcriptions.create(file=recording, model="whisper-1", chunking_strategy="auto")
    assert re.fullmatch(f"{EXPECTED} {EXPECTED}", heard.text)


def test_words_to_expect(launch: Any, accounting: Any, recording: Any) -> None:
    engine = accounting()
    with client_of(launch(engine)) as client:
        client.audio.transcriptions.create(file=recording, model="whisper-1", prompt="Ada.", keywords=["Grace", "Alan"])
    assert {options.prompt for options in engine.options} == {"Ada. Grace, Alan"}


@pytest.mark.parametrize(
    ("fields", "param", "error"),
    [
        ({"model": "gpt-5"}, "model", openai.NotFoundError),
        ({"temperature": 0.5}, "temperature", openai.BadRequestError),
        ({"language": "xx"}, "language", openai.BadRequestError),
        ({"languages": ["en", "fr"]}, "languages", openai.BadRequestError),
        ({"response_format": "diarized_json"}, "response_format", openai.BadRequestError),
        ({"response_format": "srt", "stream": True}, "response_format", openai.BadRequestError),
        ({"timestamp_granularities": ["word"]}, "timestamp_granularities", openai.BadRequestError),
        ({"include": ["logprobs"], "response_format": "text"}, "include", openai.BadRequestError),
        ({"known_speaker_names": ["Ada"]}, "known_speaker_names", openai.BadRequestError),
        ({"chunking_strategy": {"type": "server_vad", "threshold": 2}}, "threshold", openai.BadRequestError),
        ({"extra_body": {"best_of": 5}}, "best_of", openai.BadRequestError),
    ],
)
def test_what_is_wrong_or_lacking_is_named(
    fields: Any, param: str, error: type[openai.APIStatusError], client: OpenAI, recording: Any
) -> None:
    with pytest.raises(error) as caught:
        client.audio.transcriptions.create(file=recording, **{"model": "whisper-1", **fields})
    assert caught.value.param == param
    assert caught.value.type == "invalid_request_error"


def test_an_engine_without_word_times_refuses_them(launch: Any, accounting: Any, recording: Any) -> None:
    with client_of(launch(accounting(timestamps="none", biasing=False))) as client:
        for fields in ({"include": ["logprobs"]}, {"prompt": "Ada"}):
            with pytest.raises(openai.BadRequestError) as caught:
                client.audio.transcriptions.create(file=recording, model="whisper-1", **fields)
            assert caught.value.code == "unsupported_option"


def test_what_is_no_audio(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.audio.transcriptions.create(file=("a.wav", b"not audio" * 100), model="whisper-1")
    assert caught.value.code == "unsupported_media"
    with pytest.raises(openai.BadRequestError):
        client.audio.transcriptions.create(file=("a.wav", b"not audio" * 100), model="whisper-1", stream=True)


def test_a_recording_that_is_too_large(launch: Any, recording: Any) -> None:
    running = launch(audio={"max_bytes": 1024})
    with client_of(running) as client, pytest.raises(openai.APIStatusError) as caught:
        client.audio.transcriptions.create(file=("a.wav", recording[1]), model="whisper-1")
    assert caught.value.status_code == 413


def test_a_wrong_key(launch: Any, recording: Any) -> None:
    running = launch(server={"api_keys": ["k" * 32]})
    with client_of(running) as client, pytest.raises(openai.AuthenticationError):
        client.audio.transcriptions.create(file=recording, model="whisper-1")


def test_what_is_no_form(server: Any) -> None:
    answered = httpx.post(f"http://{server.host}/v1/audio/transcriptions", json={"file": "?"})
    assert answered.status_code == 400
    assert answered.json()["error"].keys() == {"message", "type", "param", "code"}


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")  # by OpenAI
def test_translations_are_refused_by_name(client: OpenAI, recording: Any) -> None:
    with pytest.raises(openai.BadRequestError, match="does not translate"):
        client.audio.translations.create(file=recording, model="whisper-1")


def test_the_loaded_model(client: OpenAI) -> None:
    (model,) = client.models.list().data
    assert model.id == "abacus"
    assert client.models.retrieve("abacus").id == client.models.retrieve("whisper-1").id == "abacus"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-5")


def test_the_built_in_engine_is_heard(hearing: Any, sentence: bytes) -> None:
    recording = ("sentence.wav", wav(np.frombuffer(sentence, "<i2")))
    heard = client_of(hearing).audio.transcriptions.create(file=recording, model="whisper-1")
    assert "made amiable himself" in heard.text
