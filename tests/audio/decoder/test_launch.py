from __future__ import annotations

import sys
from collections.abc import Callable
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


def test_it_has_one_thread_and_the_control_socket(pid: int) -> None:
    assert len(list(Path(f"/proc/{pid}/task").iterdir())) == 1
    opened = [place.readlink() for place in Path(f"/proc/{pid}/fd").iterdir()]
    assert sum(str(target).startswith("socket:") for target in opened) == 1


def test_ctrl_c_in_the_terminal_does_not_reach_it(pid: int) -> None:
    session = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[3]
    assert int(session) == pid
