"""The memory of the machine that can still be had. No torch."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

MEMORY = Path("/proc/meminfo")
GROUP = Path("/sys/fs/cgroup")  # of this process, where it runs in a container


def free_memory(memory: Path = MEMORY, group: Path = GROUP) -> int:
    """Bytes that the machine can give, and of those no more than what is left of a container's share."""
    free = _of_machine(memory)
    return free if (share := _of_group(group)) is None else min(free, share)


def _of_machine(file: Path) -> int:
    """Linux counts what it keeps of files among it, since it gives that up; elsewhere it is all of the memory."""
    with suppress(FileNotFoundError):
        for line in file.read_text("ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _of_group(folder: Path) -> int | None:
    """None where nothing limits it (https://docs.kernel.org/admin-guide/cgroup-v2.html)."""
    try:
        limit = (folder / "memory.max").read_text("ascii").strip()
        used = int((folder / "memory.current").read_text("ascii"))
        counts = dict(line.split() for line in (folder / "memory.stat").read_text("ascii").splitlines())
    except FileNotFoundError:
        return None
    return None if limit == "max" else int(limit) - used + int(counts["inactive_file"])
