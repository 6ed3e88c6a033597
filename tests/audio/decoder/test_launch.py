from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from voxtral_streaming.audio.decode import open_path
from voxtral_streaming.audio.decoder.launch import DECODER
from voxtral_streaming.audio.source import SourcePolicy
from voxtral_streaming.audio.units import Samples

if TYPE_CHECKING:
    from tests.audio.conftest import Recipe

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at the process through /proc")


@pytest.fixture
async def pid(
    record: Callable[[Samples, Recipe], Path],
    recipe: Callable[..., Recipe],
    speech: Samples,
    trusted: SourcePolicy,
    monkeypatch: pytest.MonkeyPatch,
) -> int:
    """The decoder process, started by a program that has a secret in its environment."""
    monkeypatch.setenv("VOXTRAL_SERVER__API_KEYS", "canary")
    DECODER.close()
    async with open_path(record(speech, recipe("wav", "pcm_s16le")), trusted) as audio:
        async for _ in audio:
            pass
    assert DECODER.pid is not None
    return DECODER.pid


def test_it_knows_no_secret(pid: int) -> None:
    assert b"canary" not in Path(f"/proc/{pid}/environ").read_bytes()


async def test_a_decoder_at_work_is_confined(hour: Path, trusted: SourcePolicy) -> None:
    async with open_path(hour, trusted):
        (child,) = Path(f"/proc/{DECODER.pid}/task/{DECODER.pid}/children").read_text().split()
        limits = Path(f"/proc/{child}/limits").read_text().splitlines()
    hard = {line[:26].strip(): line[26:].split()[1] for line in limits[1:]}
    for gone in ("Max open files", "Max processes", "Max file size", "Max core file size"):
        assert hard[gone] == "0"
    assert int(hard["Max cpu time"]) == trusted.audio.decode_timeout_s
    assert int(hard["Max address space"]) < 2**31


def test_it_has_one_thread_and_the_control_socket(pid: int) -> None:
    assert len(list(Path(f"/proc/{pid}/task").iterdir())) == 1
    opened = []
    for place in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # what the last recording needed may be closed only now
            opened.append(str(place.readlink()))
    assert sum(target.startswith("socket:") for target in opened) == 1


READER = """
import asyncio, sys
from voxtral_streaming.audio.decode import open_path
from voxtral_streaming.audio.decoder.launch import DECODER
from voxtral_streaming.audio.source import SourcePolicy
from voxtral_streaming.config import AudioConfig

async def read():
    async with open_path(sys.argv[1], SourcePolicy.trusted(AudioConfig(sample_rate=16000))) as audio:
        await anext(aiter(audio))
        print(DECODER.pid, flush=True)
        await asyncio.sleep(60)

asyncio.run(read())
"""


def test_nothing_is_left_of_a_program_that_was_killed(hour: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", READER, str(hour)], stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        pid = int(program.stdout.readline())
        left = {pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())}
        program.kill()
    assert len(left) == 2
    deadline = time.monotonic() + 5
    while any(is_running(pid) for pid in left) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(is_running(pid) for pid in left)


def is_running(pid: int) -> bool:
    """Whether a process exists, and not only waits to be forgotten by its parent."""
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def test_ctrl_c_in_the_terminal_does_not_reach_it(pid: int) -> None:
    session = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[3]
    assert int(session) == pid
