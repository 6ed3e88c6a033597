"""The tiny checkpoint, our engine on it, and transformers as the oracle."""

from __future__ import annotations

import wave
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from voxtral_streaming.audio.units import SAMPLE_RATE, Samples  # noqa: E402
from voxtral_streaming.engines.voxtral.checkpoint import load_model  # noqa: E402
from voxtral_streaming.engines.voxtral.files import Checkpoint, open_checkpoint  # noqa: E402
from voxtral_streaming.engines.voxtral.framer import Framer  # noqa: E402
from voxtral_streaming.engines.voxtral.model import RealtimeModel  # noqa: E402
from voxtral_streaming.engines.voxtral.stepper import Sizes, Stepper  # noqa: E402

TINY = Path(__file__).parents[2] / "data" / "voxtral_realtime_tiny"
WORDS = "hello world one two three stop please yes nine zero"

Transcribe: TypeAlias = Callable[..., list[int]]


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    """Two threads spin on a busy machine, and the tensors are small."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tiny() -> Path:
    """The folder of the checkpoint that `scripts/train_tiny_realtime.py` made."""
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
def spoken(clip: Samples) -> list[tuple[float, float]]:
    """Seconds at which each word of `clip` begins and ends; it is silent to the last bit between them."""
    sound = np.nonzero(clip)[0]
    last = np.nonzero(np.diff(sound) > SAMPLE_RATE // 5)[0]  # of each word but the last, as an index into `sound`
    starts, ends = np.append(sound[0], sound[last + 1]), np.append(sound[last], sound[-1])
    return [(start / SAMPLE_RATE, end / SAMPLE_RATE) for start, end in zip(starts, ends, strict=True)]


@pytest.fixture(scope="session")
def checkpoint() -> Checkpoint:
    return open_checkpoint(TINY)


@cache
def _model(dtype: Any) -> RealtimeModel:
    return load_model(open_checkpoint(TINY), dtype, torch.device("cpu"))


@pytest.fixture(scope="session")
def model() -> RealtimeModel:
    return _model(torch.float32)


@pytest.fixture(scope="session")
def open_stepper(checkpoint: Checkpoint) -> Callable[..., Stepper]:
    """A stepper over the tiny model, with the model's own decoder window."""

    def make(n_rows: int = 1, dtype: Any = torch.float32) -> Stepper:
        return Stepper(_model(dtype), checkpoint.tekken, Sizes(n_rows, checkpoint.facts.decoder.window))

    return make


@pytest.fixture(scope="session")
def transcribe_alone(checkpoint: Checkpoint) -> Transcribe:
    """Tokens of a recording through one row of a stepper, up to `n_tokens` in a step."""

    def transcribe(stepper: Stepper, samples: Samples, n_delay: int = 6, n_tokens: int = 8, row: int = 0) -> list[int]:
        framer, tokens = Framer(), list[int]()
        framer.feed(samples)
        windows = torch.from_numpy(framer.padded(framer.n_padded(checkpoint.tekken.n_right_pad(n_delay))).copy())
        stepper.join(row, n_delay)
        while (left := len(windows) - len(tokens)) > 0:
            count = min(left, n_tokens)
            tokens += stepper.step(windows[len(tokens) :][:count][None], [count], row)[0].tokens
        return tokens[n_delay + 1 :]

    return transcribe


@cache
def _oracle(folder: Path, dtype: Any, attention: str) -> Any:
    transformers: Any = pytest.importorskip("transformers")
    library = transformers.VoxtralRealtimeForConditionalGeneration
    return library.from_pretrained(folder, dtype=dtype, attn_implementation=attention).eval()


@pytest.fixture(scope="session")
def oracle() -> Transcribe:
    """Tokens of a recording according to transformers, without its processor: any delay."""

    def transcribe(
        samples: Samples, n_delay: int = 6, dtype: Any = torch.float32, attention: str = "sdpa", folder: Path = TINY
    ) -> list[int]:
        model = _oracle(folder, dtype, attention)
        extractor: Any = pytest.importorskip("transformers").VoxtralRealtimeFeatureExtractor()
        right = -len(samples) % 1280 + (n_delay + 11) * 1280
        padded = torch.from_numpy(np.pad(samples, (32 * 1280, right)))[None]
        features = extractor._torch_extract_fbank_features(padded).to(dtype)
        prompt = torch.tensor([[1] + [32] * (32 + n_delay)])
        n_new = padded.shape[1] // 1280 - prompt.shape[1]
        with torch.inference_mode():
            ids = model.generate(
                input_ids=prompt,
                input_features=features,
                num_delay_tokens=n_delay,
                max_new_tokens=n_new,
                do_sample=False,
                eos_token_id=None,
            )
        generated: list[int] = ids[0, prompt.shape[1] :].tolist()
        return generated

    return transcribe
