from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxtral_streaming.audio.guard import is_public


@pytest.mark.parametrize(
    "address",
    ["93.184.216.34", "1.1.1.1", "168.63.129.15", "172.32.0.1", "2606:2800:220:1:248:1893:25c8:1946", "2a00::1"],
)
def test_the_public_internet_is_public(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    "address",
    [
        *("0.0.0.0", "10.0.0.5", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.255", "169.254.169.254"),
        *("168.63.129.16", "172.16.0.1", "172.31.255.255", "192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.0.1"),
        *("198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1", "240.0.0.1", "255.255.255.255"),
        *("::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:93.184.216.34", "::ffff:0:7f00:1"),
        *("64:ff9b::7f00:1", "64:ff9b:1::1", "100::1", "2001:0:7f00:1::80ff:fffe", "2001:db8::1", "2002:7f00:1::"),
        *("3fff::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1"),
    ],
)
def test_special_addresses_are_not(address: str) -> None:
    assert not is_public(ip_address(address))


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)))
def test_nothing_is_public_that_python_calls_local(address: IPv4Address | IPv6Address) -> None:
    assert address.is_global or not is_public(address)
