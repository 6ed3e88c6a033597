from __future__ import annotations

import os
import subprocess
import sys

from bench.cost import ProcessTree, metering

BURN = "import time\nwhile time.process_time() < 0.3: pass"
CHILD = "import sys; print(flush=True); sys.stdin.read()"
PARENT = f"""
import subprocess, sys
print(flush=True)
input()
subprocess.run([sys.executable, "-c", {CHILD!r}])
"""


def _burn() -> None:
    subprocess.run([sys.executable, "-c", BURN], check=True)


def test_processes_that_have_ended_are_charged() -> None:
    tree = ProcessTree(os.getpid())
    before = tree.cpu_seconds()
    _burn()
    assert tree.cpu_seconds() - before >= 0.2  # the kernel counts in ticks


def test_memory_is_that_of_all_processes() -> None:
    # of processes that do nothing else: this one gives memory back whenever it likes
    with subprocess.Popen([sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdin
        assert parent.stdout
        parent.stdout.readline()
        tree = ProcessTree(parent.pid)
        alone = tree.rss_mb()
        parent.stdin.write(b"\n")
        parent.stdin.flush()
        parent.stdout.readline()
        assert tree.rss_mb() > alone + 2


async def test_cost_is_counted_from_when_the_meter_was_made() -> None:
    async with metering(os.getpid()) as meter:
        _burn()
        cost = meter.cost(audio_s=2.0, speech_s=1.0, lateness=[0.001, 0.003])
    assert cost.server_cpu_s is not None
    assert 0.2 <= cost.server_cpu_s <= cost.wall_s * (os.cpu_count() or 1) + 0.5
    assert cost.other_cpu_s is not None
    assert cost.send_late_max_s == 0.003
    assert cost.server_peak_mb is not None
    assert cost.server_peak_mb > 10


async def test_a_server_that_cannot_be_seen_has_no_cost() -> None:
    async with metering(None) as meter:
        cost = meter.cost(audio_s=2.0, speech_s=1.0, lateness=[])
    assert (cost.server_cpu_s, cost.server_peak_mb, cost.other_cpu_s) == (None, None, None)
