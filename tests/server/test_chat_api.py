"""Questions about recordings, judged by OpenAI's and Mistral's own clients against a real server."""

from __future__ import annotations

import base64
import io
import json
import wave
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import openai
import pytest
from mistralai.client import Mistral
from openai import OpenAI

from voxtral_streaming.engines.base import StreamOptions, Turn
from voxtral_streaming.errors import EngineFailed
from voxtral_streaming.transcript import Hypothesis

ANSWER = "Somebody counts to three."


def wav(seconds: float = 1.0) -> str:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1, 2, 16_000, 0, "NONE", ""))
        writer.writeframes(np.zeros(round(16_000 * seconds), np.int16).tobytes())
    return base64.b64encode(file.getvalue()).decode()


class AnsweringStream:
    """Says `ANSWER`, a word at a time."""

    def __init__(self, options: StreamOptions, ails: Exception | None) -> None:
        self.options, self.ails, self.n_words, self.n_samples = options, ails, 0, 0

    def feed(self, samples: Any) -> None:
        self.n_samples += len(samples)

    async def partial(self) -> Hypothesis:
        self.n_words += 1
        if self.ails and self.n_words > 2:
            raise self.ails
        return Hypothesis(" ".join(ANSWER.split()[: self.n_words]))

    async def flush(self) -> Hypothesis:
        return await self.finish()

    async def finish(self) -> Hypothesis:
        words = ANSWER.split()[: self.options.most_tokens]
        return Hypothesis(" ".join(words), is_cut=len(words) < len(ANSWER.split()))

    def close(self) -> None:
        pass


@pytest.fixture(scope="module")
def answering(running: Any, accounting: Any, configure: Any) -> Iterator[Any]:
    """A server whose engine answers questions."""
    engine = accounting(converses_s=60.0)

    def open_(options: StreamOptions, at: int) -> Any:
        engine.options.append(options)
        return AnsweringStream(options, engine.ails)

    engine.open = open_
    server = running(configure(), engine)
    yield server
    server.stop()


@pytest.fixture
def client(answering: Any) -> Iterator[OpenAI]:
    with OpenAI(api_key="a key", base_url=f"http://{answering.host}/v1", max_retries=0) as client:
        yield client


def asked(*parts: Any, **more: Any) -> dict[str, Any]:
    return {"model": "abacus", "messages": [{"role": "user", "content": list(parts)}], **more}


def sound(data: str | None = None) -> dict[str, Any]:
    return {"type": "input_audio", "input_audio": {"data": data or wav(), "format": "wav"}}


QUESTION = {"type": "text", "text": "What is going on?"}


def test_openais_client_gets_an_answer(client: OpenAI, answering: Any) -> None:
    said = client.chat.completions.create(**asked(sound(), QUESTION))
    assert said.choices[0].message.content == ANSWER
    assert said.choices[0].finish_reason == "stop"
    assert answering.engine.options[-1].conversation == (Turn("user", (None, "What is going on?")),)


def test_it_may_be_cut(client: OpenAI) -> None:
    said = client.chat.completions.create(**asked(sound(), QUESTION, max_completion_tokens=2))
    assert said.choices[0].message.content == "Somebody counts"
    assert said.choices[0].finish_reason == "length"


def test_it_comes_word_by_word(client: OpenAI) -> None:
    chunks = list(client.chat.completions.create(**asked(sound(), QUESTION, stream=True)))
    deltas = [chunk.choices[0].delta.content for chunk in chunks]
    assert len(list(filter(None, deltas))) == len(ANSWER.split())
    assert "".join(filter(None, deltas)) == ANSWER
    assert chunks[-1].choices[0].finish_reason == "stop"


@pytest.mark.parametrize("prefix", ["", "data:audio/wav;base64,"])
def test_mistrals_client_gets_an_answer(answering: Any, prefix: str) -> None:
    with Mistral(api_key="a key", server_url=f"http://{answering.host}") as client:
        content: Any = [{"type": "input_audio", "input_audio": prefix + wav()}, QUESTION]
        said = client.chat.complete(model="abacus", messages=[{"role": "user", "content": content}], temperature=0)
        assert said.choices[0].message is not None
        assert said.choices[0].message.content == ANSWER
        assert said.usage.model_dump()["prompt_audio_seconds"] == 1
        with client.chat.stream(model="abacus", messages=[{"role": "user", "content": content}]) as events:
            deltas = [event.data.choices[0].delta.content for event in events]
        assert "".join(str(delta) for delta in deltas if delta) == ANSWER


def test_a_conversation_goes_on(client: OpenAI, answering: Any) -> None:
    messages = [
        *asked(QUESTION, sound())["messages"],
        {"role": "assistant", "content": ANSWER},
        {"role": "user", "content": "In which language?"},
    ]
    client.chat.completions.create(model="abacus", messages=messages)
    assert answering.engine.options[-1].conversation == (
        Turn("user", ("What is going on?", None)),
        Turn("assistant", (ANSWER,)),
        Turn("user", ("In which language?",)),
    )


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (asked(QUESTION), "messages"),
        (asked(sound(), sound(), QUESTION), "messages"),
        (asked(sound(), QUESTION, temperature=0.7), "temperature"),
        (asked(sound(), QUESTION, model="gpt-4"), "model"),
        (asked(sound(), QUESTION, tools=[]), "tools"),
        (asked(sound(), QUESTION, n=2), "n"),
        (asked(sound("!"), QUESTION), None),
        ({"messages": [{"role": "system", "content": "Be brief."}, *asked(sound())["messages"]]}, "messages"),
        ({"messages": [*asked(sound())["messages"], {"role": "assistant", "content": "Well"}]}, "messages"),
        (asked({"type": "audio_url", "audio_url": {"url": "http://127.0.0.1/speech.wav"}}), None),
        (asked({"type": "input_audio", "input_audio": "https://example.com/speech.wav"}), None),
        (asked({"type": "image_url", "image_url": "x"}), None),
        (asked(sound(wav(61.0)), QUESTION), "messages"),
    ],
)
def test_what_cannot_be_answered_is_refused(answering: Any, body: Any, param: str | None) -> None:
    answer = httpx.post(f"http://{answering.host}/v1/chat/completions", json=body)
    assert 400 <= answer.status_code < 500
    error = answer.json()["error"]
    assert error["message"]
    assert param is None or error["param"] == param


def test_an_engine_that_only_transcribes_says_so(server: Any) -> None:
    with OpenAI(api_key="a key", base_url=f"http://{server.host}/v1", max_retries=0) as client:
        with pytest.raises(openai.BadRequestError, match="accounting only transcribes") as refused:
            client.chat.completions.create(**asked(sound(), QUESTION))
        assert refused.value.param == "messages"


def test_a_failure_in_the_middle_is_told(client: OpenAI, answering: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answering.engine, "ails", EngineFailed("recognition failed"))
    with pytest.raises(openai.APIError, match="recognition failed"):
        list(client.chat.completions.create(**asked(sound(), QUESTION, stream=True)))
    with pytest.raises(openai.InternalServerError, match="recognition failed"):
        client.chat.completions.create(**asked(sound(), QUESTION))


def test_a_body_must_be_json(answering: Any) -> None:
    url = f"http://{answering.host}/v1/chat/completions"
    assert httpx.post(url, content=b"{", headers={"content-type": "application/json"}).status_code == 400
    assert httpx.post(url, data={"model": "abacus"}).status_code == 400
    assert json.loads(httpx.post(url, json=[]).text)["error"]["code"] == "invalid_json"
