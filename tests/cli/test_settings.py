"""Which setting holds: that of the command line, of the environment, or of the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from voxtral_streaming.cli.settings import configured
from voxtral_streaming.config import load_config
from voxtral_streaming.errors import ConfigError

FILE = """
server: {port: 7001}
model: {name: whisper-tiny.en, device: cpu}
audio: {sample_rate: 16000}
vad: {threshold: 0.02}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VOXTRAL_MODEL__NAME", raising=False)
    return tmp_path


@pytest.mark.usefixtures("folder")
def test_without_a_file_the_defaults_hold() -> None:
    assert configured(None) == load_config(None, {})


def test_the_file_of_the_folder_is_found(folder: Path) -> None:
    (folder / "config.yaml").write_text(FILE)
    assert configured(None).server.port == 7001


def test_the_file_that_is_named_is_taken(folder: Path) -> None:
    (folder / "config.yaml").write_text(FILE)
    (folder / "other.yaml").write_text(FILE.replace("7001", "7002"))
    assert configured(Path("other.yaml")).server.port == 7002


def test_the_environment_beats_the_file_and_the_command_line_both(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "config.yaml").write_text(FILE)
    monkeypatch.setenv("VOXTRAL_SERVER__PORT", "7003")
    assert configured(None).server.port == 7003
    config = configured(None, host="::1", port=7004, model="whisper-base")
    assert (config.server.host, config.server.port, config.model.name) == ("::1", 7004, "whisper-base")


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("name", ["true", "null", "[whisper-base]", "4"])
def test_a_name_is_a_name_whatever_it_looks_like(name: str) -> None:
    with pytest.raises(ConfigError, match=r"--model"):
        configured(None, model=name)


@pytest.mark.usefixtures("folder")
def test_what_is_wrong_is_named_as_it_was_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOXTRAL_VAD__THRESHOLD", "loud")
    with pytest.raises(ConfigError) as caught:
        configured(None, port=70000)
    assert {problem.key for problem in caught.value.problems} == {"--port", "vad.threshold (VOXTRAL_VAD__THRESHOLD)"}
