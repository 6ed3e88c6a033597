"""`voxtral config`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

KEYS = ("a-key-that-nobody-sees", "another-key-of-a-client")


def test_what_is_printed_is_what_is_in_force(voxtral: Any, tmp_path: Path) -> None:
    result = voxtral("config", VOXTRAL_SERVER__PORT="7001")
    assert (result.returncode, result.stderr) == (0, b"")
    assert yaml.safe_load(result.stdout)["server"]["port"] == 7001
    (tmp_path / "config.yaml").write_bytes(result.stdout)
    assert voxtral("config").stdout == result.stdout


def test_keys_are_masked(voxtral: Any) -> None:
    result = voxtral("config", VOXTRAL_SERVER__API_KEYS=f'["{KEYS[0]}", "env:SECOND"]', SECOND=KEYS[1])
    assert yaml.safe_load(result.stdout)["server"]["api_keys"] == ["***", "***"]
    assert not any(key.encode() in result.stdout + result.stderr for key in KEYS)


def test_keys_are_masked_in_complaints(voxtral: Any) -> None:
    result = voxtral("config", VOXTRAL_SERVER__API_KEYS='["short-secret", "spaced  secret  here"]')
    assert (result.returncode, result.stdout) == (2, b"")
    assert b"server.api_keys" in result.stderr
    assert b"secret" not in result.stderr.replace(b"server.api_keys", b"")


def test_the_check_prints_one_line(voxtral: Any) -> None:
    result = voxtral("config", "--check")
    assert (result.returncode, result.stdout, result.stderr) == (0, b"the configuration is valid\n", b"")
