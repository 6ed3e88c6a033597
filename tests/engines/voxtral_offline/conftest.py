"""Small checkpoints, our engine on them, and transformers as the oracle."""

from __future__ import annotations

import json
import os
import wave
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from voxtral_streaming.audio.units import Samples  # noqa: E402
from voxtral_streaming.engines.voxtral_offline.batch import Batch, Sizes  # noqa: E402
from voxtral_streaming.engines.voxtral_offline.checkpoint import Checkpoint, load_model, open_checkpoint  # noqa: E402
from voxtral_streaming.engines.voxtral_offline.mel import log_mel  # noqa: E402
from voxtral_streaming.engines.voxtral_offline.model import VoxtralModel  # noqa: E402
from voxtral_streaming.engines.voxtral_offline.worker import Answer, Kind, Request, Worker  # noqa: E402

TINY = Path(__file__).parents[2] / "data" / "voxtral_tiny"
WORDS = "hello world one two three stop please yes nine zero"
EOS = 2

Ask: TypeAlias = Callable[..., Request]
Oracle: TypeAlias = Callable[..., list[int]]


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    """Two threads spin on a busy machine, and the tensors are small."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tiny() -> Path:
    """The folder of the checkpoint that `scripts/train_tiny_voxtral.py` made."""
    return TINY


@pytest.fixture(scope="session")
def words() -> str:
    """What is said in `clip`."""
    return WORDS


@pytest.fixture(scope="session")
def clip() -> Samples:
    """Ten words, 7 s."""
    with wave.open(str(TINY / "words.wav")) as recording:
        pcm = np.frombuffer(recording.readframes(-1), np.int16)
    samples: Samples = pcm.astype(np.float32) / np.float32(32768)
    return samples


@pytest.fixture(scope="session")
def official(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with random weights and windows of 30 s, as the published models have."""
    transformers: Any = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("official")
    config = json.loads((TINY / "config.json").read_text())
    config["audio_config"] |= {"max_source_positions": 1500, "hidden_size": 64, "intermediate_size": 256}
    config["text_config"] |= {"hidden_size": 64, "head_dim": 16}
    torch.manual_seed(1)
    model = transformers.VoxtralForConditionalGeneration(transformers.VoxtralConfig(**config))
    for name, parameter in model.named_parameters():
        if "norm" not in name and parameter.dim() == 2:  # so that what is said depends on what is heard and was said
            gain = 3.0 if "q_proj" in name or "k_proj" in name else 2.0
            parameter.data.normal_(std=1.0 if "embed" in name else gain * parameter.shape[1] ** -0.5)
    model.save_pretrained(folder)
    tekken = json.loads((TINY / "tekken.json").read_text())
    tekken["audio"]["chunk_length_s"] = 30.0
    (folder / "tekken.json").write_text(json.dumps(tekken))
    (folder / "processor_config.json").write_text(
        json.dumps({"feature_extractor": {"feature_extractor_type": "WhisperFeatureExtractor", "feature_size": 128}})
    )
    return folder


@pytest.fixture(scope="session")
def opened() -> Callable[[Path], Checkpoint]:
    """A checkpoint, described once."""
    return cache(open_checkpoint)


@pytest.fixture(scope="session")
def loaded(opened: Callable[[Path], Checkpoint]) -> Callable[..., VoxtralModel]:
    """Our model of a folder, loaded once for each type."""

    @cache
    def load(folder: Path, dtype: Any = torch.float32) -> VoxtralModel:
        return load_model(opened(folder), dtype, torch.device("cpu"))

    return load


@pytest.fixture(scope="session")
def ask(opened: Callable[[Path], Checkpoint]) -> Ask:
    """A request for the transcript of samples."""

    def make(
        folder: Path,
        samples: Samples,
        language: str | None = None,
        most: int = 60,
        draft: Sequence[int] = (),
        kind: Kind = Kind.FINISH,
    ) -> Request:
        checkpoint = opened(folder)
        prompt = checkpoint.tokenizer.transcription(checkpoint.facts.n_audio_tokens(len(samples)), language)
        return Request(kind, prompt, log_mel(samples, checkpoint.facts), most, tuple(draft))

    return make


@pytest.fixture(scope="session")
def open_worker(loaded: Callable[..., VoxtralModel], opened: Callable[[Path], Checkpoint]) -> Callable[..., Worker]:
    """A worker whose thread does not run: the test calls `advance`."""

    def make(folder: Path, n_rows: int = 1, dtype: Any = torch.float32, context: int = 2048) -> Worker:
        special = opened(folder).tokenizer.special
        return Worker(Batch(loaded(folder, dtype), Sizes(n_rows, context), special.audio), special.eos, "auto")

    return make


@pytest.fixture(scope="session")
def serve() -> Callable[..., list[Answer]]:
    """The answers of a worker to requests, the n-th of which comes after so many turns."""

    def run(worker: Worker, requests: Sequence[Request], arrivals: Sequence[int] = ()) -> list[Answer]:
        turn, coming = 0, sorted(zip(arrivals or [0] * len(requests), range(len(requests)), strict=True))
        while coming or not worker.is_idle:
            while coming and coming[0][0] <= turn:
                worker.waiting.append(requests[coming.pop(0)[1]])
            worker.advance()
            turn += 1
        return [request.answer.result(timeout=0) for request in requests]

    return run


@pytest.fixture(scope="session")
def transcribe(ask: Ask, open_worker: Callable[..., Worker], serve: Callable[..., list[Answer]]) -> Oracle:
    """Our tokens of a recording, alone."""

    def run(folder: Path, samples: Samples, language: str | None = None, dtype: Any = torch.float32) -> list[int]:
        [answer] = serve(open_worker(folder, dtype=dtype), [ask(folder, samples, language)])
        return list(answer.tokens)

    return run


@pytest.fixture(scope="session")
def oracle_model() -> Callable[..., Any]:
    """transformers' model of a folder."""
    transformers: Any = pytest.importorskip("transformers")

    @cache
    def load(folder: Path, dtype: Any = torch.float32) -> Any:
        return transformers.VoxtralForConditionalGeneration.from_pretrained(folder, dtype=dtype).eval()

    return load


@pytest.fixture(scope="session")
def processor() -> Callable[[Path], Any]:
    """transformers' processor of a folder."""
    transformers: Any = pytest.importorskip("transformers")
    os.environ["HF_HUB_OFFLINE"] = "1"

    @cache
    def load(folder: Path) -> Any:
        config = json.loads((folder / "config.json").read_text())
        seconds = config["audio_config"]["max_source_positions"] // 50
        extractor = transformers.WhisperFeatureExtractor(feature_size=128, chunk_length=seconds)
        return transformers.VoxtralProcessor(extractor, transformers.MistralCommonBackend.from_pretrained(folder))

    return load


@pytest.fixture(scope="session")
def oracle(oracle_model: Callable[..., Any], processor: Callable[[Path], Any], oracle_inputs: Any) -> Oracle:
    """transformers' tokens of a recording: its prompt, its features, its greedy search."""

    def run(
        folder: Path, samples: Samples, language: str | None = None, dtype: Any = torch.float32, most: int = 60
    ) -> list[int]:
        ids, features = oracle_inputs(processor(folder), samples, language)
        with torch.inference_mode():
            answer = oracle_model(folder, dtype).generate(
                input_ids=ids, input_features=features, max_new_tokens=most, do_sample=False
            )
        said: list[int] = answer[0, ids.shape[1] :].tolist()
        return said[: said.index(EOS)] if EOS in said else said

    return run


@pytest.fixture(scope="session")
def oracle_inputs(mistral_prompt: Callable[..., list[int]]) -> Callable[..., tuple[Any, Any]]:
    """Ids of mistral-common's prompt and features of transformers' extractor.

    The processor itself would write the samples to a file of 16 bits on the way.
    """

    def make(processor: Any, samples: Samples, language: str | None) -> tuple[Any, Any]:
        extractor = processor.feature_extractor
        n_windows = max(1, -(-len(samples) // extractor.n_samples))
        padded = np.pad(samples, (0, n_windows * extractor.n_samples - len(samples)))
        features = extractor(padded, sampling_rate=16_000, return_tensors="pt", truncation=False, padding=False)
        windows = features.input_features.reshape(128, n_windows, -1).transpose(0, 1)
        return torch.tensor([mistral_prompt(processor, samples, language)]), windows

    return make


@pytest.fixture(scope="session")
def mistral_prompt() -> Callable[..., list[int]]:
    """What mistral-common makes of a transcription request."""
    pytest.importorskip("mistral_common")
    from mistral_common.protocol.transcription.request import TranscriptionRequest
    from mistral_common.tokens.tokenizers.audio import Audio

    def make(processor: Any, samples: Samples, language: Any) -> list[int]:
        audio = Audio(samples, 16_000, "wav").to_base64("wav")
        request = TranscriptionRequest(audio=audio, language=language, target_streaming_delay_ms=None)
        tokens: list[int] = processor.tokenizer.tokenizer.encode_transcription(request).tokens
        return tokens

    return make
