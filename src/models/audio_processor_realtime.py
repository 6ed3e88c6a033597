"""The door to audio for programs of the first layout: `await AudioProcessor().process_audio_from_url(url)`."""

from __future__ import annotations

import numpy as np

from voxtral_streaming.audio.decode import open_audio
from voxtral_streaming.audio.source import SourcePolicy
from voxtral_streaming.audio.units import Samples
from voxtral_streaming.config import AudioConfig


class AudioProcessor:
    """Turns recordings into samples for a caller who may read what his account can read."""

    def __init__(self, audio: AudioConfig | None = None) -> None:
        self._policy = SourcePolicy.trusted(audio or AudioConfig(sample_rate=16000))

    async def process_audio_from_url(self, url: str) -> Samples:
        """All of a recording [n_samples], mono, 16 kHz; `url` may also be a path or a `data:` URI."""
        async with open_audio(url, self._policy) as audio:
            return np.concatenate([block async for block in audio])
