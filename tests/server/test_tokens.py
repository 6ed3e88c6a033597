from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxtral_streaming.server.tokens import Token, Tokens

TOKENS = Tokens(lambda: 0.0)
SUBPROTOCOL = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # RFC 6455, 4.1; RFC 9110, 5.6.2


class Clock:
    now = 50.0

    def __call__(self) -> float:
        return self.now


@given(session=st.dictionaries(st.text(), st.text() | st.integers() | st.none()), ttl_s=st.integers(1, 7200))
def test_what_is_minted_is_read_and_fits_into_a_subprotocol(session: dict[str, str | int | None], ttl_s: int) -> None:
    value = TOKENS.mint("ek_", ttl_s, session)
    assert SUBPROTOCOL.fullmatch(value)
    assert TOKENS.read(value.encode()) == Token(session, is_expired=False)


def test_no_two_are_the_same() -> None:
    assert len({TOKENS.mint("rt_", 60, {}) for _ in range(100)}) == 100


def test_it_ends_when_it_should() -> None:
    clock = Clock()
    tokens = Tokens(clock)
    value = tokens.mint("rt_", 60, {}).encode()
    clock.now += 59.9
    assert tokens.read(value) == Token({}, is_expired=False)
    clock.now += 0.1
    assert tokens.read(value) == Token({}, is_expired=True)


def test_a_token_of_another_process_is_none() -> None:
    assert Tokens().read(TOKENS.mint("rt_", 60, {}).encode()) is None


def test_no_byte_of_it_can_be_changed() -> None:
    value = TOKENS.mint("ek_", 60, {"language": "en"}).encode()
    for at in range(len(value) - 1):  # the last character has bits that mean nothing
        for byte in (b"A", b"B", b"_"):
            changed = value[:at] + byte + value[at + 1 :]
            assert changed == value or TOKENS.read(changed) is None
    assert TOKENS.read(b"rt_" + value[3:]) is None


@given(st.binary())
def test_nonsense_is_none(data: bytes) -> None:
    for prefix in (b"", b"rt_", b"ek_"):
        assert TOKENS.read(prefix + data) is None


@pytest.mark.parametrize("value", [b"", b"rt_", b"ek_AAAA", b"sk-something", b"rt_" + b"A" * 10_000])
def test_what_is_too_short_or_too_long_is_none(value: bytes) -> None:
    assert TOKENS.read(value) is None
