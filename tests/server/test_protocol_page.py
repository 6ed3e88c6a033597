"""The protocol page says what the code does."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from voxtral_streaming import errors as package_errors
from voxtral_streaming.errors import VoxtralError
from voxtral_streaming.server import errors as server_errors
from voxtral_streaming.server.dialects import native
from voxtral_streaming.server.problems import STATUSES

ABSTRACT = {"engine_error", "engine_lost", "weights_invalid", "invalid_config"}  # never heard over HTTP


@pytest.fixture(scope="module")
def page() -> str:
    return (Path(__file__).parents[2] / "docs/protocol.md").read_text()


def test_names_every_error(page: str) -> None:
    for module in (package_errors, server_errors):
        for _, error in inspect.getmembers(module, inspect.isclass):
            if issubclass(error, VoxtralError) and error.code not in ABSTRACT:
                assert f"`{error.code}`" in page, error.code


def test_gives_every_error_of_a_live_session_its_close_code(page: str) -> None:
    rows = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \| .* \| (\d{4}) \|$", page, re.MULTILINE)
    documented = {code: int(close) for codes, close in rows for code in re.findall(r"`(\w+)`", codes)}
    kinds = {error.code: error for error in all_errors()}
    facts = native.Native.close_code
    assert len(documented) >= 12
    for code, close in documented.items():
        assert facts(None, kinds[code]("")) == close, code  # type: ignore[arg-type]


def test_gives_every_error_its_status(page: str) -> None:
    table = page[page.index("| status | when |") :]
    rows = re.findall(r"^\| ([\d, ]+) \| (.*) \|$", table, re.MULTILINE)
    documented = {code: status for status, text in rows for code in re.findall(r"`([a-z_0-9]+)`", text)}
    for error, status in STATUSES.items():
        if error.code not in ABSTRACT:
            assert str(status) in documented[error.code], error.code


def test_names_every_message(page: str) -> None:
    for kind in native._MESSAGES:
        assert f'"type": "{kind}"' in page
    said = re.findall(r'"type": "(\w+)"', inspect.getsource(native.Native._message))
    for kind in said:
        assert f"| `{kind}` |" in page


def all_errors() -> list[type[VoxtralError]]:
    """All but the client's own, which is no answer of the server."""
    found = [VoxtralError]
    for error in found:
        found += error.__subclasses__()
    return [error for error in found if not error.__module__.startswith("voxtral_streaming.client")]
