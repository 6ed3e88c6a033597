"""How the process of an engine is started, and ended."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

from voxtral_streaming.engines.process.watchdog import Vitals

PACKAGE_ROOT = Path(__file__).parents[3]
BOOT = "import sys; sys.path[:] = sys.argv[2:]; from voxtral_streaming.engines.process.host import main; main()"
SETTINGS = "VOXTRAL_"  # variables of the configuration, keys of clients among them: not the engine's business


Launched: TypeAlias = tuple[subprocess.Popen[bytes], socket.socket]


def launch(first: bytes) -> Launched:
    """Start a child that finds modules where this process does; the socket speaks with it, and has said `first`."""
    ours, theirs = socket.socketpair()
    path = [str(PACKAGE_ROOT), *filter(None, sys.path)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(SETTINGS)}
    with theirs:
        child = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", BOOT, str(os.getpid()), *path],
            stdin=theirs.fileno(),
            stdout=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,  # no Ctrl-C of the terminal, and one group to kill
        )
    with suppress(OSError):  # the child has ended, as whoever listens to it finds
        ours.sendall(first)
    return child, ours


def end(child: subprocess.Popen[bytes], grace_s: float) -> str:
    """Wait so long for a child to end, end it and whatever it has started if it has not, and tell how it ended."""
    with suppress(subprocess.TimeoutExpired):
        child.wait(grace_s)
    kill(child)
    status = child.wait()
    return signal.Signals(-status).name if status < 0 else f"exit status {status}"


def kill(child: subprocess.Popen[bytes]) -> None:
    """End a child and whatever it has started, at once."""
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)


def vitals(pid: int) -> Vitals | None:
    """How a process is doing; None where the system does not say."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat[stat.rindex(")") :].split()  # man 5 proc_pid_stat, from its field 2 on
    ticks = int(fields[12]) + int(fields[13])
    return Vitals(ticks / os.sysconf("SC_CLK_TCK"), int(fields[22]) * os.sysconf("SC_PAGE_SIZE"))
