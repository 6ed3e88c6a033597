"""Fetching of URLs for callers who may be strangers.

The host's addresses are looked up once a hop, all of them are checked, and the one that was checked is
the one that is dialled; redirects are followed by hand and checked like the first URL. Nothing is taken
from the environment (no proxies), nothing is sent but the request, and nothing is decompressed.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import AsyncIterator, Iterable
from contextlib import ExitStack, asynccontextmanager, suppress
from typing import Any, BinaryIO
from urllib.parse import SplitResult, quote, urljoin, urlsplit

import anyio
import httpcore

from voxtral_streaming.audio.source import SourcePolicy
from voxtral_streaming.errors import AudioTooLarge, FetchError, FetchTimeout, SourceForbidden

MAX_URL = 4096  # characters
NEVER_IN_URL = re.compile(r"[\x00-\x20\x7f\\]")  # parsers disagree about these
HOST = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?|[0-9a-f:.]*:[0-9a-f:.]*")  # a name, or an IPv6 address
DEFAULT_PORTS = {"http": 80, "https": 443}
REDIRECTS = frozenset({301, 302, 303, 307, 308})
SAFE_IN_TARGET = "%!#$&'()*+,/:;=?@[]~"  # RFC 3986, reserved characters and what is quoted already


async def fetch(url: str, policy: SourcePolicy) -> BinaryIO:
    """Fetch a URL into an unnamed temporary file. The caller closes it.

    Raises `SourceForbidden`, `FetchError`, `FetchTimeout` and `AudioTooLarge`. No message holds an address
    or anything of the answer's body.
    """
    if not (policy.is_trusted or policy.audio.allow_urls):
        raise SourceForbidden("URLs are not fetched here", param="url")
    try:
        with anyio.fail_after(policy.audio.fetch_timeout_s):
            return await _fetch(url, policy)
    except (TimeoutError, httpcore.TimeoutException) as error:
        raise FetchTimeout("the URL did not answer in time", param="url") from error
    except (httpcore.NetworkError, httpcore.ProtocolError) as error:
        raise FetchError(
            "the URL's host could not be reached, or its certificate or its HTTP is not valid", param="url"
        ) from error


async def _fetch(url: str, policy: SourcePolicy) -> BinaryIO:
    parts = check_url(url, policy)
    for _ in range(policy.audio.max_redirects + 1):
        async with _get(parts, policy) as response:
            if response.status not in REDIRECTS:
                return await _spool(response, policy.max_bytes)
            parts = _redirect(response, parts, policy)
    raise FetchError(f"the URL redirects more than {policy.audio.max_redirects} times", param="url")


def check_url(url: str, policy: SourcePolicy) -> SplitResult:
    """Take a URL apart if its form, its port and its host's name are allowed; else `SourceForbidden`."""
    if len(url) > MAX_URL or NEVER_IN_URL.search(url):
        raise SourceForbidden(f"a URL has at most {MAX_URL} characters, none blank or a backslash", param="url")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise SourceForbidden(f"not a URL: {error}", param="url") from error
    if parts.scheme not in DEFAULT_PORTS or not HOST.fullmatch(parts.hostname or ""):
        raise SourceForbidden("not an http or https URL with a host in ASCII", param="url")
    if "@" in parts.netloc:
        raise SourceForbidden("a URL with a user name or password is not fetched", param="url")
    if port is not None and port not in policy.ports:
        raise SourceForbidden(f"port {port} is not fetched from", param="url")
    _check_host(parts.hostname or "", policy)
    return parts


def _check_host(host: str, policy: SourcePolicy) -> None:
    """Match `audio.allowed_hosts`: `cdn.example.org` itself, `*.example.org` every name below."""
    if policy.is_trusted or not policy.audio.allowed_hosts:
        return
    host = host.rstrip(".")
    for allowed in policy.audio.allowed_hosts:
        if host == allowed.lower() or (allowed.startswith("*.") and host.endswith(allowed[1:].lower())):
            return
    raise SourceForbidden("this host is not fetched from", param="url")


@asynccontextmanager
async def _get(parts: SplitResult, policy: SourcePolicy) -> AsyncIterator[httpcore.Response]:
    timeout = policy.audio.connect_timeout_s
    async with (
        httpcore.AsyncConnectionPool(network_backend=GuardedNetwork(policy), max_connections=1) as pool,
        pool.stream(
            "GET",
            _httpcore_url(parts),
            headers={"Host": parts.netloc, "Accept-Encoding": "identity", "User-Agent": "voxtral-streaming"},
            extensions={"timeout": dict.fromkeys(("connect", "read", "write", "pool"), timeout)},
        ) as response,
    ):
        yield response


def _httpcore_url(parts: SplitResult) -> httpcore.URL:
    target = quote(parts.path or "/", SAFE_IN_TARGET) + (
        f"?{quote(parts.query, SAFE_IN_TARGET)}" if parts.query else ""
    )
    port = parts.port or DEFAULT_PORTS[parts.scheme]
    return httpcore.URL(scheme=parts.scheme, host=parts.hostname or "", port=port, target=target)


def _redirect(response: httpcore.Response, parts: SplitResult, policy: SourcePolicy) -> SplitResult:
    location = _header(response, b"location")
    if location is None:
        raise FetchError("the URL redirects to nowhere", param="url")
    target = check_url(urljoin(parts.geturl(), location), policy)
    if parts.scheme == "https" and target.scheme == "http" and not policy.is_trusted:
        raise SourceForbidden("the URL redirects from https to http", param="url")
    return target


async def _spool(response: httpcore.Response, max_bytes: int) -> BinaryIO:
    """The body, in a temporary file."""
    if response.status != 200:
        raise FetchError(f"the URL answered with status {response.status}", param="url")
    if (_header(response, b"content-encoding") or "identity").lower() != "identity":
        raise FetchError("the URL answered with a compressed body, which was not asked for", param="url")
    _check_size(int(_header(response, b"content-length") or 0), max_bytes)
    with ExitStack() as stack:
        file = stack.enter_context(tempfile.TemporaryFile())
        async for chunk in response.aiter_stream():
            file.write(chunk)
            _check_size(file.tell(), max_bytes)
        file.flush()
        stack.pop_all()
    return file


def _check_size(n_bytes: int, max_bytes: int) -> None:
    if n_bytes > max_bytes:
        raise AudioTooLarge(f"the URL's body is larger than {max_bytes} bytes", param="url")


def _header(response: httpcore.Response, name: bytes) -> str | None:
    return next((value.decode("latin-1") for key, value in response.headers if key.lower() == name), None)


class GuardedNetwork(httpcore.AsyncNetworkBackend):
    """A network that dials only addresses that the policy allows. TLS still verifies the host's name."""

    def __init__(self, policy: SourcePolicy) -> None:
        self._policy = policy

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Look the host up once, check every address, dial them in order until one answers."""
        *others, last = await self._addresses(host, port)
        network = self._policy.network
        for address in others:
            with suppress(httpcore.NetworkError, httpcore.TimeoutException):
                return await network.connect_tcp(address, port, timeout, local_address, socket_options)
        return await network.connect_tcp(last, port, timeout, local_address, socket_options)

    async def _addresses(self, host: str, port: int) -> list[str]:
        """The host's addresses, at least one, each of which may be dialled."""
        try:
            addresses = await self._policy.resolve(host, port)
        except (OSError, UnicodeError) as error:
            raise FetchError("the URL's host does not exist", param="url") from error
        if not addresses:
            raise FetchError("the URL's host has no address", param="url")
        if not all(self._policy.may_dial(address) for address in addresses):
            raise SourceForbidden("the URL's host is not on the public internet", param="url")
        return [str(address) for address in addresses]
