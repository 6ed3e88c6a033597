from __future__ import annotations

import pytest

from voxtral_streaming.server.peers import Peers


def peer(client: str | None, *forwarded: str, proxies: tuple[str, ...] = ()) -> str:
    headers = [(b"x-forwarded-for", line.encode()) for line in forwarded]
    return Peers(proxies).of({"type": "http", "client": client and (client, 5), "headers": headers})


def test_the_socket_says_who_it_is() -> None:
    assert peer("198.51.100.7") == "198.51.100.7"
    assert peer("::ffff:198.51.100.7") == "198.51.100.7"
    assert peer(None) == ""
    assert peer("testclient") == "testclient"


def test_a_site_of_ipv6_is_one_peer() -> None:
    assert peer("2001:db8:1:2::5") == peer("2001:db8:1:2:ffff::9") != peer("2001:db8:1:3::5")


@pytest.mark.parametrize("forwarded", [("203.0.113.9",), ("203.0.113.9", "198.51.100.1"), ("127.0.0.1",)])
def test_strangers_are_not_believed(forwarded: tuple[str, ...]) -> None:
    assert peer("198.51.100.7", *forwarded) == "198.51.100.7"
    assert peer("198.51.100.7", *forwarded, proxies=("10.0.0.0/8",)) == "198.51.100.7"


@pytest.mark.parametrize(
    ("forwarded", "expected"),
    [
        (("203.0.113.9",), "203.0.113.9"),
        (("203.0.113.9:4711",), "203.0.113.9"),
        (("[2001:db8::1]:4711",), "2001:db8::/64"),
        (("6.6.6.6, 203.0.113.9",), "203.0.113.9"),
        (("6.6.6.6", "203.0.113.9, 10.2.3.4"), "203.0.113.9"),
        (("203.0.113.9, nonsense",), "10.0.0.1"),
        (("",), "10.0.0.1"),
        ((), "10.0.0.1"),
        (("10.9.9.9",), "10.9.9.9"),
    ],
)
def test_trusted_proxies_are_believed_as_far_as_they_wrote(forwarded: tuple[str, ...], expected: str) -> None:
    assert peer("10.0.0.1", *forwarded, proxies=("10.0.0.0/8",)) == expected


def test_a_proxy_may_have_an_address_of_ipv6() -> None:
    assert peer("fd00::1", "203.0.113.9", proxies=("fd00::1",)) == "203.0.113.9"
