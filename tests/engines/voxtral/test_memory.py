from __future__ import annotations

from pathlib import Path

import pytest

from voxtral_streaming.engines.voxtral.memory import free_memory

MIB = 2**20


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A machine that can give 4096 MiB, most of which holds files."""
    file = tmp_path / "meminfo"
    file.write_text("MemTotal:        8388608 kB\nMemFree:          524288 kB\nMemAvailable:    4194304 kB\n")
    return file


def container(folder: Path, limit: str) -> Path:
    """It uses 1000 MiB, 300 of them for files that were read a while ago."""
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.current").write_text(f"{1000 * MIB}\n")
    (folder / "memory.stat").write_text(f"anon {700 * MIB}\ninactive_file {300 * MIB}\n")
    return folder


def test_what_holds_files_counts_as_free(machine: Path, tmp_path: Path) -> None:
    assert free_memory(machine, tmp_path / "none") == 4096 * MIB


@pytest.mark.parametrize(("limit", "free"), [("max", 4096), (str(2000 * MIB), 1300), (str(9000 * MIB), 4096)])
def test_a_container_has_its_share(machine: Path, tmp_path: Path, limit: str, free: int) -> None:
    assert free_memory(machine, container(tmp_path, limit)) == free * MIB


def test_a_machine_that_does_not_say_has_what_it_has(tmp_path: Path) -> None:
    assert free_memory(tmp_path / "none", tmp_path) > 100 * MIB
    assert free_memory() > 0
