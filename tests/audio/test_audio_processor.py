from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from src.models.audio_processor_realtime import AudioProcessor
from voxtral_streaming.audio.units import Samples

if TYPE_CHECKING:
    from tests.audio.conftest import Recipe


async def test_it_gives_all_samples_of_a_recording(
    record: Callable[[Samples, Recipe], Path], recipe: Callable[..., Recipe], speech: Samples
) -> None:
    path = record(speech, recipe("wav", "pcm_s16le"))
    for url in (str(path), path.as_uri()):
        samples = await AudioProcessor().process_audio_from_url(url)
        assert samples.dtype == np.float32
        np.testing.assert_allclose(samples, speech, atol=1 / 32768)


def test_importing_it_loads_nothing_heavy() -> None:
    heavy = {"torch", "ctranslate2", "onnxruntime", "av", "fastapi", "transformers"}
    code = f"import sys, src.models.audio_processor_realtime; print(*{heavy} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == ""
