"""The two doors for programs of the first layout, with the real model and a real recording."""

from __future__ import annotations

import asyncio
import base64
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from src.models.audio_processor_realtime import AudioProcessor
from src.models.voxtral_model_realtime import VoxtralModel
from voxtral_streaming import Transcriber
from voxtral_streaming.config import load_config
from voxtral_streaming.errors import ConfigError, FetchError, UnsupportedMedia

SMALLEST = "model:\n  name: whisper-tiny.en\n  device: cpu\naudio:\n  sample_rate: 16000\nvad:\n  threshold: 0.01\n"
INITIALIZE = (
    "from src.models.voxtral_model_realtime import voxtral_model; "
    "import asyncio; asyncio.run(voxtral_model.initialize())"
)


@pytest.fixture
def clip(root: Path) -> Path:
    """He might even have been made amiable himself."""
    return root / "tests" / "data" / "speech" / "en_librivox_0930.flac"


@pytest.fixture
def data_uri(clip: Path) -> str:
    return f"data:audio/flac;base64,{base64.b64encode(clip.read_bytes()).decode()}"


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The `config.yaml` of the current folder."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "config.yaml"
    path.write_text(SMALLEST)
    return path


@pytest.fixture
def no_config(config: Path) -> None:
    config.unlink()


@pytest.fixture
def wrong_config(config: Path) -> None:
    config.write_text(SMALLEST.replace("0.01", "loud"))


@pytest.fixture
async def model(config: Path) -> AsyncIterator[VoxtralModel]:
    model = VoxtralModel()
    yield model
    await model.close()


def test_the_promised_command_works(root: Path) -> None:
    subprocess.run([sys.executable, "-W", "error", "-c", INITIALIZE], cwd=root, check=True)


@pytest.mark.usefixtures("config")
def test_a_program_of_a_few_lines(clip: Path) -> None:
    model = VoxtralModel()
    asyncio.run(model.initialize())
    assert "made amiable himself" in asyncio.run(model.transcribe_from_url(str(clip)))
    asyncio.run(model.close())


async def test_a_url_a_path_and_a_data_uri_say_the_same(model: VoxtralModel, clip: Path, data_uri: str) -> None:
    said = await asyncio.gather(*(model.transcribe_from_url(url) for url in (str(clip), clip.as_uri(), data_uri)))
    assert len(set(said)) == 1


async def test_both_doors_lead_to_the_library(model: VoxtralModel, clip: Path, config: Path) -> None:
    samples = await AudioProcessor().process_audio_from_url(str(clip))
    async with Transcriber(load_config(config, {})) as transcriber:
        transcript = await transcriber.transcribe(samples)
    assert await model.transcribe_from_url(str(clip)) == transcript.text


async def test_it_can_be_closed_and_asked_again(model: VoxtralModel, clip: Path) -> None:
    first = await model.transcribe_from_url(str(clip))
    await model.close()
    assert await model.transcribe_from_url(str(clip)) == first


@pytest.mark.usefixtures("no_config")
async def test_without_a_file_the_defaults_and_the_environment_hold(
    model: VoxtralModel, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOXTRAL_MODEL__NAME", "whisper-tiny.en")
    assert "amiable" in await model.transcribe_from_url(str(clip))


@pytest.mark.usefixtures("wrong_config")
async def test_what_is_wrong_with_the_file_is_told(model: VoxtralModel) -> None:
    with pytest.raises(ConfigError) as caught:
        await model.initialize()
    assert caught.value.source == "config.yaml"
    assert [problem.key for problem in caught.value.problems] == ["vad.threshold"]


@pytest.mark.parametrize(
    ("url", "error"),
    [("http://127.0.0.1:9/speech.wav", FetchError), ("data:audio/wav;base64,UklGRg==", UnsupportedMedia)],
)
async def test_what_is_no_recording_is_an_error_and_no_text(
    model: VoxtralModel, url: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await model.transcribe_from_url(url)
