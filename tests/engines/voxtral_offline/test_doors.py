"""The ways in, with the trained model: the library's door, the engine in a process of its own, the command."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from src.models.voxtral_model_realtime import VoxtralModel
from voxtral_streaming import Transcriber
from voxtral_streaming.cli import asking
from voxtral_streaming.config import Config, load_config
from voxtral_streaming.engines.isolated import open_isolated
from voxtral_streaming.errors import UnsupportedOption

QUESTION = "Which word is last?"


@pytest.fixture
def config(tiny: Path) -> Config:
    settings = {"MODEL__NAME": str(tiny), "MODEL__DEVICE": "cpu", "MODEL__TORCH_DTYPE": "float32"}
    return load_config(None, {f"VOXTRAL_{key}": value for key, value in settings.items()})


async def test_the_promised_door_leads_to_it(
    tiny: Path, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text(
        f"model:\n  name: {tiny}\n  device: cpu\n  torch_dtype: float32\n"
        "audio:\n  sample_rate: 16000\nvad:\n  threshold: 0.01\n"
    )
    model = VoxtralModel()
    assert await model.transcribe_from_url(str(tiny / "words.wav")) == words
    await model.close()


async def test_recordings_are_asked_about(config: Config, tiny: Path) -> None:
    async with Transcriber(config) as transcriber:
        shown = list[str]()
        answer = await transcriber.answer(tiny / "words.wav", QUESTION, on_progress=shown.append)
        assert (answer.text, answer.is_cut) == ("zero", False)
        assert shown[-1] == "zero"
        cut = await transcriber.answer(tiny / "words.wav", QUESTION, most_tokens=1)
        assert cut.is_cut


async def test_in_a_process_of_its_own_it_says_the_same(config: Config, tiny: Path, words: str) -> None:
    async with Transcriber(config, engine=open_isolated(config)) as transcriber:
        assert (await transcriber.transcribe(tiny / "words.wav")).text == words
        assert await transcriber.ask(tiny / "words.wav", QUESTION) == "zero"


async def test_whisper_refuses_by_name() -> None:
    async with Transcriber(load_config(None, {"VOXTRAL_MODEL__NAME": "whisper-tiny.en"})) as transcriber:
        with pytest.raises(UnsupportedOption, match="whisper only transcribes"):
            await transcriber.ask(np.zeros(16_000, np.float32), QUESTION)


def test_the_command_prints_the_answer(tiny: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "voxtral_streaming.cli.main", "ask", str(tiny / "words.wav"), QUESTION]
    done = subprocess.run(
        [*command, "--model", str(tiny)], capture_output=True, cwd=tmp_path, check=True, timeout=90, text=True
    )
    assert (done.stdout, done.stderr) == ("zero\n", "")


def test_the_command_tells_of_an_answer_that_was_cut(config: Config, tiny: Path, capsys: Any) -> None:
    assert asking.run(config, str(tiny / "words.wav"), QUESTION, 1) == 0
    assert capsys.readouterr().err.startswith("voxtral: the answer goes on")
