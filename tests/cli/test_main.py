"""What holds for every command."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

HEAVY = {"anyio", "asyncio", "av", "ctranslate2", "fastapi", "numpy", "onnxruntime", "pydantic", "torch", "yaml"}
COMMANDS = ("serve", "transcribe", "listen", "check", "config")
WRONG = "audio: {sample_rate: 8000}\nvad: {threshold: 7}\nmodel: {name: whisper-base}\n"


def test_importing_it_imports_nothing_heavy() -> None:
    program = "import sys, voxtral_streaming.cli.main; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, check=True, text=True)
    assert not HEAVY & set(loaded.stdout.split())


def test_the_version(voxtral: Any) -> None:
    assert voxtral("--version").stdout.decode() == f"voxtral {version('voxtral-streaming')}\n"


def test_help_names_every_command(voxtral: Any) -> None:
    result = voxtral("--help")
    assert (result.returncode, result.stderr) == (0, b"")
    assert all(command in result.stdout.decode() for command in COMMANDS)


@pytest.mark.parametrize("arguments", [("transcribe",), ("transcribe", "--loud", "x"), ("listen", "talk.mp3")])
def test_a_wrong_command_is_answered_with_what_would_be_right(voxtral: Any, arguments: tuple[str, ...]) -> None:
    result = voxtral(*arguments)
    assert (result.returncode, result.stdout) == (2, b"")
    assert b"Usage:" in result.stderr
    assert b"Traceback" not in result.stderr


@pytest.mark.parametrize("command", [("serve",), ("transcribe", "x"), ("listen", "-"), ("check",), ("config",)])
def test_a_wrong_configuration_ends_every_command(voxtral: Any, command: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "wrong.yaml").write_text(WRONG)
    result = voxtral(*command, "--config", "wrong.yaml")
    assert (result.returncode, result.stdout) == (2, b"")
    message = result.stderr.decode()
    assert message.startswith("voxtral: wrong.yaml: the configuration is not valid\n")
    assert all(key in message for key in ("audio.sample_rate", "vad.threshold", "model.device"))


def test_a_model_that_is_nowhere(voxtral: Any, short: Path) -> None:
    result = voxtral("transcribe", "--model", "nobody/nothing", short)
    assert (result.returncode, result.stdout) == (3, b"")
    assert result.stderr.startswith(b"voxtral: 'nobody/nothing' is neither a built-in model")
    assert result.stderr.count(b"\n") == 1


def test_what_the_system_refuses(voxtral: Any, short: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    result = voxtral("transcribe", short, "--output", "taken/x.txt")
    assert (result.returncode, result.stdout, result.stderr) == (1, b"", b"voxtral: taken: File exists\n")


def test_a_traceback_is_for_those_who_ask_for_it(voxtral: Any) -> None:
    command = ("config", "--config", "none.yaml")
    plain, debugged = voxtral(*command), voxtral(*command, VOXTRAL_DEBUG="1")
    assert b"Traceback" not in plain.stderr
    assert debugged.stderr.startswith(b"Traceback")
    assert debugged.stderr.endswith(plain.stderr)
    assert debugged.returncode == plain.returncode == 2


def test_ctrl_c_ends_a_command_without_a_word(start: Any, as_wav: Callable[[bytes], bytes]) -> None:
    process = start("transcribe", "-")
    process.stdin.write(as_wav(bytes(2**21))[: 2**20])  # more than a pipe holds: the command is reading
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=20) == (b"", b"")
    assert process.returncode == 128 + signal.SIGINT


def test_a_reader_that_is_gone_is_no_error(start: Any) -> None:
    process = start("config")
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(20) == 128 + signal.SIGPIPE


@pytest.mark.parametrize(
    "arguments",
    [("transcribe", "talk.wav"), ("listen", "-"), ("ask", "talk.wav", "Why?"), ("check",), ("check", "--json")],
)
def test_a_closed_standard_output_is_told_before_anything_is_done(silenced: Any, arguments: tuple[str, ...]) -> None:
    result = silenced(*arguments)
    assert (result.returncode, result.stderr) == (1, b"voxtral: standard output is closed\n")


def test_a_closed_standard_output_is_no_matter_where_a_file_is_written(
    silenced: Any, short: Path, tmp_path: Path
) -> None:
    result = silenced("transcribe", short, "--output", "said.txt")
    assert (result.returncode, result.stderr) == (0, b"")
    assert (tmp_path / "said.txt").read_text().strip()
