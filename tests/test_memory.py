"""What a process keeps in memory."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from voxtral_streaming.memory import LARGE, in_a_file

KEEPS = f"""
import sys
import numpy as np
from voxtral_streaming.memory import hold_little

def resident_mb() -> float:
    return int(open("/proc/self/statm").read().split()[1]) * 4096 / 1e6

def large() -> np.ndarray:
    return np.ones({LARGE}, np.uint8)

if sys.argv[1] == "little":
    hold_little()
before = resident_mb()
del (first := [large()])[:]  # from here on glibc would take as much from its heap
many = [(large(), np.ones(9000, np.uint8)) for _ in range(50)]  # what is small keeps the heap from shrinking
few = [small for _, small in many]
del many
print(resident_mb() - before)
"""


def kept_mb(how: str) -> float:
    """What is left of 100 MB that were taken and freed."""
    found = subprocess.run([sys.executable, "-c", KEEPS, how], capture_output=True, text=True, check=True)
    return float(found.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc is asked to")
def test_what_is_large_goes_back_to_the_system() -> None:
    assert kept_mb("little") < 20 < 80 < kept_mb("as it comes")


@pytest.mark.parametrize("kind", [np.int8, np.float32])
def test_an_array_in_a_file_is_the_same_and_leaves_no_file(
    kind: type[np.generic], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    array = np.arange(60).reshape(5, 12).astype(kind)
    found = in_a_file(array)
    assert not list(tmp_path.iterdir())
    assert found.dtype == array.dtype
    assert np.array_equal(found, array)
    assert np.array_equal(found[[[4, 0]]], array[[[4, 0]]])
    assert not found.flags.writeable
