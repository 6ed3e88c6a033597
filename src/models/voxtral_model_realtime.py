"""The door to transcription for programs of the first layout: `await voxtral_model.transcribe_from_url(url)`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from voxtral_streaming import Transcriber

CONFIG = Path("config.yaml")


class VoxtralModel:
    """A `Transcriber` as `config.yaml` of the current folder sets it, or by default where there is none.

    It is made when it is first asked for: whoever imports this module loads nothing.
    """

    def __init__(self) -> None:
        self._transcriber: Transcriber | None = None

    async def initialize(self) -> None:
        """Load the model. Raises `ConfigError`, `WeightsError`, `EngineUnavailable`. Does nothing the second time."""
        await self._made().initialize()

    async def transcribe_from_url(self, audio_url: str) -> str:
        """The text of the recording at a URL; a path or a `data:` URI will do as well. Raises `AudioError`."""
        return await self._made().transcribe_from_url(audio_url)

    async def close(self) -> None:
        """Let go of the model; asked again, it is loaded again."""
        transcriber, self._transcriber = self._transcriber, None
        if transcriber is not None:
            await transcriber.close()

    def _made(self) -> Transcriber:
        if self._transcriber is None:
            from voxtral_streaming import Transcriber
            from voxtral_streaming.config import load_config

            config = load_config(CONFIG if CONFIG.exists() else None, os.environ)
            self._transcriber = Transcriber(config)
        return self._transcriber


voxtral_model = VoxtralModel()
