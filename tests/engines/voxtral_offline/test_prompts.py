"""What the model is given: the ids of mistral-common and the features of transformers, made without either."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from voxtral_streaming.audio.units import SAMPLE_RATE
from voxtral_streaming.engines.base import Turn
from voxtral_streaming.engines.voxtral_offline.checkpoint import Checkpoint
from voxtral_streaming.engines.voxtral_offline.mel import log_mel
from voxtral_streaming.errors import WeightsError


@pytest.mark.parametrize("language", [None, "en", "es", "fr", "pt", "hi", "de", "nl", "it"])
def test_transcription_prompts_are_mistral_commons(
    official: Path, opened: Callable[[Path], Checkpoint], processor: Any, mistral_prompt: Any, language: str | None
) -> None:
    samples = np.zeros(SAMPLE_RATE, np.float32)
    assert opened(official).tokenizer.transcription(375, language) == mistral_prompt(
        processor(official), samples, language
    )


@pytest.mark.parametrize(("n_samples", "n_tokens"), [(1, 375), (480_000, 375), (480_001, 750), (1_520_000, 1500)])
def test_audio_becomes_whole_windows_of_tokens(
    official: Path,
    opened: Callable[[Path], Checkpoint],
    processor: Any,
    mistral_prompt: Any,
    n_samples: int,
    n_tokens: int,
) -> None:
    checkpoint = opened(official)
    assert checkpoint.facts.n_audio_tokens(n_samples) == n_tokens
    prompt = mistral_prompt(processor(official), np.zeros(n_samples, np.float32), None)
    assert prompt.count(checkpoint.tokenizer.special.audio) == n_tokens
    assert checkpoint.facts.n_windows(checkpoint.facts.most_samples(n_tokens)) * 375 == n_tokens


@pytest.mark.parametrize("duration_s", [0.1, 3.3, 30.0, 61.0])
def test_features_are_those_of_transformers(
    official: Path, opened: Callable[[Path], Checkpoint], processor: Any, oracle_inputs: Any, duration_s: float
) -> None:
    samples = np.random.default_rng(0).standard_normal(round(duration_s * SAMPLE_RATE), np.float32) / np.float32(20)
    _, features = oracle_inputs(processor(official), samples, None)
    ours = log_mel(samples, opened(official).facts)
    assert ours.shape == features.shape
    assert torch.equal(ours, features)


def test_text_comes_back(official: Path, opened: Callable[[Path], Checkpoint]) -> None:
    tokenizer = opened(official).tokenizer
    for text in ("hello world", "naïve café", "ça, où?", "日本語", "नमस्ते", "[AUDIO]</s>"):
        tokens = tokenizer.encode(text)
        assert min(tokens) >= tokenizer.vocabulary.n_special
        assert tokenizer.decode(tokens) == text
    assert tokenizer.decode([tokenizer.special.bos, tokenizer.special.eos]) == ""


def test_the_tokenizer_of_another_kind_of_model_is_refused(root: Path) -> None:
    from voxtral_streaming.engines.voxtral_offline.tokenizer import Tokenizer

    with pytest.raises(WeightsError, match="transcription_format"):
        Tokenizer(root / "tests" / "data" / "voxtral_realtime_tiny" / "tekken.json")


@pytest.mark.parametrize(
    "turns",
    [
        [("user", (None, "What is it?"))],
        [("user", ("What is it?", None))],
        [("user", (None,))],
        [("user", (None, "What?", " And who?")), ("assistant", ("A bird.",)), ("user", ("Sure?",))],
    ],
)
def test_conversations_are_mistral_commons(
    official: Path, opened: Callable[[Path], Checkpoint], processor: Any, turns: list[Any]
) -> None:
    from mistral_common.protocol.instruct.chunk import AudioChunk, TextChunk
    from mistral_common.protocol.instruct.messages import AssistantMessage, UserMessage
    from mistral_common.protocol.instruct.request import ChatCompletionRequest
    from mistral_common.tokens.tokenizers.audio import Audio

    audio = Audio(np.zeros(SAMPLE_RATE, np.float32), SAMPLE_RATE, "wav").to_base64("wav")
    messages: list[Any] = []
    for role, parts in turns:
        if role == "assistant":
            messages.append(AssistantMessage(content=parts[0]))
        else:
            chunks: list[Any] = [
                AudioChunk(input_audio=audio) if part is None else TextChunk(text=part) for part in parts
            ]
            messages.append(UserMessage(content=chunks))
    tokenizer = processor(official).tokenizer.tokenizer
    expected = tokenizer.encode_chat_completion(ChatCompletionRequest(messages=messages)).tokens
    ours = opened(official).tokenizer.conversation([Turn(role, parts) for role, parts in turns], 375)
    assert ours == expected
