from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from voxtral_streaming.engines.voxtral.framer import Framer
from voxtral_streaming.engines.voxtral.mel import LogMel, mel_filters


@pytest.fixture(scope="module")
def extractor() -> Any:
    transformers: Any = pytest.importorskip("transformers")
    return transformers.VoxtralRealtimeFeatureExtractor()


@pytest.fixture(scope="module")
def sound() -> Any:
    """Ten seconds: noise, silence, a sweep."""
    random = np.random.default_rng(0)
    noise = random.standard_normal(16000 * 4).astype(np.float32) / 10
    sweep = np.sin(np.linspace(0, 3e4, 16000 * 4) ** 1.05).astype(np.float32)
    return np.concatenate((noise, np.zeros(16000 * 2, np.float32), sweep))


def streamed(samples: Any, n_blocks: int) -> torch.Tensor:
    """Frames of a stream, [n_mels, n_frames], without the eight before the audio."""
    framer, mel, tokens = Framer(), LogMel(), []
    for block in np.array_split(samples, n_blocks):
        framer.feed(block)
        while framer.n_ready:
            tokens.append(mel(torch.from_numpy(framer.peek(1).copy()))[0])
            framer.take(1)
    return torch.cat(tokens[1:], dim=1)


def test_filters_are_those_of_the_oracle(extractor: Any) -> None:
    assert np.array_equal(mel_filters().numpy(), extractor.mel_filters.astype(np.float32))


@pytest.mark.parametrize("n_blocks", [1, 7, 400])
def test_streamed_frames_equal_offline_frames_bit_by_bit(extractor: Any, sound: Any, n_blocks: int) -> None:
    frames = streamed(sound, n_blocks)
    silence = torch.zeros(1, 1280)  # in front and behind, as in front of every recording
    padded = torch.cat((silence, torch.from_numpy(sound)[None], silence), dim=1)
    offline = extractor._torch_extract_fbank_features(padded)[0, :, 8:]
    assert torch.equal(frames, offline[:, : frames.shape[1]])


def test_frames_do_not_depend_on_what_is_computed_beside_them(sound: Any) -> None:
    framer, mel = Framer(), LogMel()
    framer.feed(sound)
    windows = torch.from_numpy(framer.peek(framer.n_ready).copy())  # [n, window]
    together = mel(windows)
    assert torch.equal(together, torch.stack([mel(window) for window in windows]))
    assert torch.equal(together[:96].view(12, 8, 128, 8), mel(windows[:96].view(12, 8, -1)))
