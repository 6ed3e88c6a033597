from __future__ import annotations

import asyncio
import json
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

import anyio
import httpcore
import pytest

from voxtral_streaming.audio.decode import open_url
from voxtral_streaming.audio.fetch import fetch
from voxtral_streaming.audio.guard import Address
from voxtral_streaming.audio.source import SourcePolicy, resolve_host
from voxtral_streaming.config import AudioConfig
from voxtral_streaming.errors import (
    AudioError,
    AudioTooLarge,
    FetchError,
    FetchTimeout,
    SourceForbidden,
    UnsupportedMedia,
)

if TYPE_CHECKING:
    from tests.audio.conftest import Site

ToSite = Callable[[SourcePolicy], SourcePolicy]

PUBLIC = {
    "public.test": ["93.184.216.34"],
    "cdn.test": ["2606:2800:220:1:248:1893:25c8:1946"],
    "internal.test": ["10.0.0.5"],
    "mixed.test": ["93.184.216.34", "10.0.0.5"],
    "mapped.test": ["::ffff:127.0.0.1"],
    "empty.test": [],
}


@dataclass
class Names:
    """A resolver with a table of its own; numbers in any spelling are taken as the system takes them."""

    table: dict[str, list[str]]
    asked: list[str] = field(default_factory=list)

    async def __call__(self, host: str, port: int) -> Sequence[Address]:
        self.asked.append(host)
        if host in self.table:
            return [ip_address(address) for address in self.table[host]]
        numeric = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        return [ip_address(sockaddr[0]) for *_, sockaddr in numeric]


@dataclass
class Rebinding(Names):
    """A resolver that answers with a public address once, and with a local one ever after."""

    async def __call__(self, host: str, port: int) -> Sequence[Address]:
        self.asked.append(host)
        return [ip_address("93.184.216.34" if len(self.asked) == 1 else "127.0.0.1")]


class Wire(httpcore.AsyncNetworkStream):
    """A connection to the pretended internet, which knows every answer beforehand."""

    def __init__(self, internet: Internet) -> None:
        self.internet = internet
        self.scheme = "http"
        self.unread = b""

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        if not (request := buffer.decode()):
            return  # the body of a GET
        self.internet.requests.append(request)
        target = request.split()[1]
        host = request.partition("Host: ")[2].partition("\r\n")[0]
        self.unread += self.internet.answer(f"{self.scheme}://{host}{target}")

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        part, self.unread = self.unread[:max_bytes], self.unread[max_bytes:]
        return part

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> Wire:
        assert ssl_context.verify_mode == ssl.CERT_REQUIRED
        assert ssl_context.check_hostname
        self.internet.verified.append(server_hostname)
        self.scheme = "https"
        return self

    async def aclose(self) -> None:
        pass

    def get_extra_info(self, info: str) -> Any:
        return None


@dataclass
class Internet(httpcore.AsyncNetworkBackend):
    """Notes who is dialled, whose certificate is verified and what is asked."""

    redirects: dict[str, str] = field(default_factory=dict)
    dead: set[str] = field(default_factory=set)
    dialled: list[tuple[str, int]] = field(default_factory=list)
    verified: list[str | None] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def answer(self, url: str) -> bytes:
        if url in self.redirects:
            return f"HTTP/1.1 302 Found\r\nLocation: {self.redirects[url]}\r\nContent-Length: 0\r\n\r\n".encode()
        return b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nsound"

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> Wire:
        self.dialled.append((host, port))
        if host in self.dead:
            raise httpcore.ConnectError("no route")
        return Wire(self)


@pytest.fixture
def names() -> Names:
    return Names(dict(PUBLIC))


@pytest.fixture
def internet() -> Internet:
    return Internet()


@pytest.fixture
def stranger(internet: Internet, names: Names) -> SourcePolicy:
    """A remote caller on the pretended internet, who may name URLs."""
    policy = SourcePolicy.remote(AudioConfig(sample_rate=16000, allow_urls=True))
    return replace(policy, resolve=names, network=internet)


@pytest.fixture
def local(to_site: ToSite) -> SourcePolicy:
    """A remote caller who may fetch from the test's own site, and waits no longer than it takes to test."""
    audio = AudioConfig(sample_rate=16000, allow_urls=True, max_bytes=2**20, connect_timeout_s=0.5, fetch_timeout_s=1.0)
    return to_site(SourcePolicy.remote(audio))


async def fetched(url: str, policy: SourcePolicy) -> bytes:
    with await fetch(url, policy) as file:
        file.seek(0)
        return file.read()


async def test_the_checked_address_is_dialled_and_the_name_is_verified(
    stranger: SourcePolicy, internet: Internet, names: Names
) -> None:
    assert await fetched("https://Public.test/a%20b?q=ü#part", stranger) == b"sound"
    assert internet.dialled == [("93.184.216.34", 443)]
    assert internet.verified == ["public.test"]
    assert names.asked == ["public.test"]
    (request,) = internet.requests
    assert request.startswith("GET /a%20b?q=%C3%BC HTTP/1.1\r\n")
    assert "host: public.test" in request.lower()
    assert "Accept-Encoding: identity" in request


async def test_an_ipv6_host_keeps_its_brackets(stranger: SourcePolicy, internet: Internet) -> None:
    await fetched("http://[2606:2800:220:1:248:1893:25c8:1946]/", stranger)
    assert internet.dialled == [("2606:2800:220:1:248:1893:25c8:1946", 80)]
    assert "Host: [2606:2800:220:1:248:1893:25c8:1946]\r\n" in internet.requests[0]


async def test_the_next_address_is_dialled_when_one_is_dead(
    stranger: SourcePolicy, internet: Internet, names: Names
) -> None:
    names.table["two.test"] = ["93.184.216.34", "93.184.216.35"]
    internet.dead.add("93.184.216.34")
    assert await fetched("http://two.test/", stranger) == b"sound"
    internet.dead.add("93.184.216.35")
    with pytest.raises(FetchError):
        await fetched("http://two.test/", stranger)


async def test_strangers_name_no_urls_unless_it_is_allowed(remote: SourcePolicy, names: Names) -> None:
    with pytest.raises(SourceForbidden):
        await fetch("http://public.test/", replace(remote, resolve=names))
    assert not names.asked


@pytest.mark.parametrize(
    "url",
    [
        *("", " ", "http://", "http:public.test", "//public.test/a", "a.wav", "C:\\a.wav", "file:///etc/hostname"),
        *("ftp://public.test/", "gopher://public.test/", "http+unix://%2Fsock/a", "javascript:alert(1)"),
        *("http://127.1/", "http://2130706433/", "http://0x7f.0.0.1/", "http://0177.0.0.1/", "http://0/"),
        *("http://[::1]/", "http://[::ffff:127.0.0.1]/", "http://[fe80::1%25eth0]/", "http://169.254.169.254/"),
        *("http://①②⑦.①/", "http://127。0。0。1/", "http://loc\u00adalhost/", "http://%31%32%37.0.0.1/"),
        *("http://internal.test/", "http://mixed.test/", "http://mapped.test/"),
        *("http://user:pw@public.test/", "http://127.0.0.1\\@public.test/", "http://[::1]@public.test/"),
        *("http://public.test:0/", "http://public.test:6379/", "http://public.test:-1/", "https://public.test:80:443/"),
        *("http://public.test /", "http://public.test/\r\nHost: x", "http://public.test/a\0b"),
        *("http://" + "a" * 300 + ".test/", "http://public.test/" + "a" * 5000, "http://[::1/", "http://[v1.a]/"),
    ],
)
async def test_what_a_stranger_may_not_fetch(url: str, stranger: SourcePolicy, internet: Internet) -> None:
    with pytest.raises((SourceForbidden, FetchError)):
        await fetch(url, stranger)
    assert not internet.dialled


@pytest.mark.parametrize("host", ["empty.test", "nowhere.test", "a" * 64 + ".test"])
async def test_a_host_without_an_address_is_no_fault_of_the_caller(host: str, stranger: SourcePolicy) -> None:
    with pytest.raises(FetchError):
        await fetch(f"http://{host}/", stranger)


async def test_only_allowed_hosts(stranger: SourcePolicy, internet: Internet, names: Names) -> None:
    audio = AudioConfig(sample_rate=16000, allow_urls=True, allowed_hosts=("cdn.test", "*.Public.test"))
    policy = replace(stranger, audio=audio)
    names.table["a.public.test"] = names.table["public.test"]
    for url in ("http://cdn.test/", "http://CDN.test./", "http://a.public.test/"):
        names.table["cdn.test."] = names.table["cdn.test"]
        await fetched(url, policy)
    internet.redirects["http://cdn.test/out"] = "http://public.test/"
    for host in ("public.test", "cdn.test.evil.test", "evilcdn.test", "apublic.test", "cdn.test/out"):
        with pytest.raises(SourceForbidden):
            await fetch(f"http://{host}", policy)


@pytest.mark.parametrize(
    ("start", "target"),
    [
        ("http://public.test/1", "http://127.0.0.1/"),
        ("https://public.test/1", "http://169.254.169.254/"),
        ("http://public.test/1", "//internal.test/"),
        ("https://public.test/1", "http://public.test/2"),
        ("http://public.test/1", "file:///etc/hostname"),
        ("http://public.test/1", "http://[::ffff:10.0.0.1]/"),
        ("http://public.test/1", "http://public.test:6379/"),
        ("http://public.test/1", "/1"),
    ],
)
async def test_a_redirect_is_checked_like_a_url(
    start: str, target: str, stranger: SourcePolicy, internet: Internet
) -> None:
    internet.redirects[start] = target
    with pytest.raises((SourceForbidden, FetchError)):
        await fetch(start, stranger)
    assert {address for address, _ in internet.dialled} == {"93.184.216.34"}


async def test_redirects_are_followed_as_often_as_is_allowed(
    stranger: SourcePolicy, internet: Internet, names: Names
) -> None:
    internet.redirects = {
        "http://public.test/1": "2",
        "http://public.test/2": "https://cdn.test/3",
        "https://cdn.test/3": "/4",
    }
    assert await fetched("http://public.test/1", stranger) == b"sound"
    assert names.asked == ["public.test", "public.test", "cdn.test", "cdn.test"]
    internet.redirects["https://cdn.test/4"] = "/5"
    with pytest.raises(FetchError, match="more than 3"):
        await fetch("http://public.test/1", stranger)
    assert not any(word in "".join(internet.requests).lower() for word in ("authorization", "cookie", "referer"))


async def test_a_trusted_caller_may_fetch_from_anywhere(
    trusted: SourcePolicy, internet: Internet, names: Names
) -> None:
    internet.redirects["https://public.test/1"] = "http://internal.test:8080/2"
    policy = replace(trusted, resolve=names, network=internet)
    assert await fetched("https://public.test/1", policy) == b"sound"
    assert internet.dialled == [("93.184.216.34", 443), ("10.0.0.5", 8080)]


async def test_a_second_look_at_the_name_never_happens(stranger: SourcePolicy, internet: Internet) -> None:
    rebinding = Rebinding({})
    await fetched("http://rebind.test/", replace(stranger, resolve=rebinding))
    assert internet.dialled == [("93.184.216.34", 80)]
    assert rebinding.asked == ["rebind.test"]


async def test_the_system_knows_numbers() -> None:
    assert list(await resolve_host("127.0.0.1", 80)) == [ip_address("127.0.0.1")]


async def test_proxies_of_the_environment_are_ignored(
    local: SourcePolicy, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert await fetched(site.serve("/a", b"sound"), local) == b"sound"


async def test_a_body_of_the_largest_size_passes_and_a_byte_more_does_not(local: SourcePolicy, site: Site) -> None:
    assert len(await fetched(site.serve("/most", bytes(2**20)), local)) == 2**20
    with pytest.raises(AudioTooLarge):
        await fetch(site.serve("/more", bytes(2**20 + 1)), local)


async def test_a_huge_length_is_refused_before_the_body(local: SourcePolicy, site: Site) -> None:
    site.answers["/"] = b"HTTP/1.1 200 OK\r\nContent-Length: 10737418240\r\n\r\n"
    with anyio.fail_after(0.4), pytest.raises(AudioTooLarge):
        await fetch(site.url("/"), local)


async def test_an_endless_body_is_stopped_at_the_cap(local: SourcePolicy, site: Site) -> None:
    n_sent = 0

    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal n_sent
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"10000\r\n" + bytes(2**16) + b"\r\n")
            n_sent += 2**16
            await writer.drain()

    site.answers["/"] = pour
    with pytest.raises(AudioTooLarge):
        await fetch(site.url("/"), local)
    assert n_sent < 16 * 2**20


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def endless_head(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while not reader.at_eof():
        writer.write(b"X-More: 1\r\n")
        await writer.drain()
        await asyncio.sleep(0.1)


async def dripping_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    while not reader.at_eof():
        writer.write(b"\0")
        await writer.drain()
        await asyncio.sleep(0.1)


@pytest.mark.parametrize("handler", [silent, endless_head, dripping_body])
async def test_a_slow_server_meets_a_deadline(
    handler: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any], local: SourcePolicy, site: Site
) -> None:
    site.answers["/"] = handler
    started = time.monotonic()
    with pytest.raises(FetchTimeout):
        await fetch(site.url("/"), local)
    assert time.monotonic() - started < 10


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + bytes(50),
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x00",
        b"HTTP/1.1 200 OK\r\n" + b"X-More: 1\r\n" * 100_000 + b"\r\n",
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 6\r\n\r\nsecret",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n",
        b"ICY 200 OK\r\n\r\n",
        b"<html>hello</html>",
        b"",
    ],
)
async def test_a_server_that_misbehaves_is_a_failed_fetch(answer: bytes, local: SourcePolicy, site: Site) -> None:
    site.answers["/"] = answer
    with pytest.raises(FetchError) as caught:
        await fetch(site.url("/"), local)
    assert "127.0.0.1" not in caught.value.message
    assert "secret" not in caught.value.message


async def test_nobody_listens(local: SourcePolicy, site: Site) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        site.port = unused.getsockname()[1]
    with pytest.raises(FetchError) as caught:
        await fetch(site.url("/"), local)
    assert "127.0.0.1" not in caught.value.message


async def test_a_page_or_a_playlist_is_not_audio(local: SourcePolicy, site: Site) -> None:
    for body in (b"<!doctype html><title>Sign in</title>", f"#EXTM3U\n{site.url('/next')}\n".encode()):
        with pytest.raises(UnsupportedMedia):
            async with open_url(site.serve("/", body), local):
                pass
    assert len(site.requests) == 2


async def test_the_table_of_hostile_urls_is_met(hostile: Path, stranger: SourcePolicy, internet: Internet) -> None:
    cases = json.loads((hostile / "cases" / "ssrf.json").read_text())
    names = Names({host: found for host, found in cases["dns"].items() if isinstance(found, list)})
    policy = replace(stranger, resolve=names)
    for row in cases["urls"]:
        internet.dialled.clear()
        outcome = await verdict(row["url"], policy)
        assert row["expect"].startswith(outcome) or row["expect"] == "allow_or_deny_ip_literals", row
        assert (outcome == "deny") == (not internet.dialled), row


async def test_the_table_of_hostile_redirects_is_met(hostile: Path, stranger: SourcePolicy) -> None:
    cases = json.loads((hostile / "cases" / "ssrf.json").read_text())
    names = Names({host: found for host, found in cases["dns"].items() if isinstance(found, list)})
    for row in cases["redirects"]:
        first, *others = [link.split(" ")[0] for link in row["chain"]]
        internet = Internet(redirects=chain(first, others))
        outcome = await verdict(first, replace(stranger, resolve=names, network=internet))
        assert row["expect"].startswith((outcome, "no Authorization")), row
        assert not any("authorization" in request.lower() for request in internet.requests)


def chain(url: str, targets: list[str]) -> dict[str, str]:
    redirects = {}
    for target in targets:
        redirects[urlsplit(url).geturl()] = target
        url = urljoin(url, target)
    return redirects


async def verdict(url: str, policy: SourcePolicy) -> str:
    try:
        await fetched(url, policy)
    except AudioError:
        return "deny"
    return "allow"
