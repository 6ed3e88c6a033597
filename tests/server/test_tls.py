"""TLS by files: which versions and names are taken, and how a certificate is exchanged."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import trustme
import websockets

from voxtral_streaming.errors import ConfigError
from voxtral_streaming.server import protocols
from voxtral_streaming.server.run import open_certificate, serve
from voxtral_streaming.server.tls import Certificate

if TYPE_CHECKING:
    from tests.server.conftest import AccountingEngine, Configure, Running, Sound

AUTHORITY = trustme.CA()
TRUSTING = ssl.create_default_context(cadata=AUTHORITY.cert_pem.bytes().decode())


def write_pair(folder: Path, name: str) -> dict[str, Path]:
    """A certificate for `name` and its key, as settings name them."""
    pair = AUTHORITY.issue_cert(name)
    paths = {"tls_cert": folder / "chain.pem", "tls_key": folder / "key.pem"}
    paths["tls_cert"].write_bytes(b"".join(blob.bytes() for blob in pair.cert_chain_pems))
    paths["tls_key"].write_bytes(pair.private_key_pem.bytes())
    return paths


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    return write_pair(tmp_path, "127.0.0.1")


@pytest.fixture
def secure(
    configure: Configure, accounting: type[AccountingEngine], running: type[Running], files: dict[str, Path]
) -> Iterator[Any]:
    server = running(configure(server=files), accounting())
    yield server
    server.stop()


def handshake(server: Any, context: ssl.SSLContext, name: str = "127.0.0.1") -> tuple[str, bytes]:
    """The version of TLS and the certificate that the server shows."""
    host, port = server.host.split(":")
    with (
        socket.create_connection((host, int(port)), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname=name) as connection,
    ):
        return str(connection.version()), connection.getpeercert(binary_form=True) or b""


class TestHandshake:
    def test_https(self, secure: Running) -> None:
        assert httpx.get(f"https://{secure.host}/health/ready", verify=TRUSTING).json()["status"] == "ready"

    async def test_wss(self, secure: Running, sound: Sound) -> None:
        async with websockets.connect(f"wss://{secure.host}/ws", ssl=TRUSTING, compression=None) as ws:
            await ws.send(sound.utterances(0.5))
            await ws.send('{"type": "close"}')
            assert '"final"' in "".join([str(message) async for message in ws])
        assert ws.close_code == 1000

    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
    def test_new_versions(self, secure: Running, version: ssl.TLSVersion) -> None:
        context = ssl.create_default_context(cadata=AUTHORITY.cert_pem.bytes().decode())
        context.minimum_version = context.maximum_version = version
        assert handshake(secure, context)[0] == version.name.replace("_", ".")

    @pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
    def test_old_versions_are_refused(self, secure: Running) -> None:
        context = ssl.create_default_context(cadata=AUTHORITY.cert_pem.bytes().decode())
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        with pytest.raises((ssl.SSLError, ConnectionError)):
            handshake(secure, context)

    def test_a_wrong_name_is_noticed(self, secure: Running) -> None:
        with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
            handshake(secure, TRUSTING, name="localhost")

    async def test_plain_text_gets_no_answer(self, secure: Running) -> None:
        reader, writer = await asyncio.open_connection(*secure.host.split(":"))
        writer.write(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"HTTP" not in await asyncio.wait_for(reader.read(), 5)
        writer.close()

    def test_own_page_is_known_over_tls(self, secure: Running) -> None:
        for scheme, status in (("https", 200), ("http", 403)):
            headers = {"Origin": f"{scheme}://{secure.host}"}
            assert httpx.get(f"https://{secure.host}/metrics", verify=TRUSTING, headers=headers).status_code == status


class TestBounds:
    """TLS has no half-closed connections; what relied on them works all the same."""

    async def test_slow_headers(self, secure: Running, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(protocols, "HEADER_TIMEOUT_S", 0.3)
        monkeypatch.setattr(protocols, "LINGER_S", 0.3)
        reader, writer = await asyncio.open_connection(*secure.host.split(":"), ssl=TRUSTING)
        writer.write(b"GET / HT")
        assert b"408" in await asyncio.wait_for(reader.readline(), 5)
        await asyncio.wait_for(reader.read(), 5)  # ends
        writer.close()

    async def test_text_that_is_not_utf8(self, secure: Running, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(protocols, "LINGER_S", 0.3)
        async with websockets.connect(f"wss://{secure.host}/ws", ssl=TRUSTING, compression=None) as ws:
            await ws.send(b"\xff\xfe", text=True)
            with pytest.raises(websockets.ConnectionClosed):
                async for _ in ws:
                    pass
        assert ws.close_code == 1007


class TestReload:
    async def test_open_sessions_go_on(self, secure: Running, files: dict[str, Path], tmp_path: Path) -> None:
        before = handshake(secure, TRUSTING)
        async with websockets.connect(f"wss://{secure.host}/ws", ssl=TRUSTING, compression=None) as ws:
            write_pair(tmp_path, "127.0.0.1")
            secure.server.reload()
            assert handshake(secure, TRUSTING) != before
            await ws.send('{"type": "close"}')
            assert '"closed"' in "".join([str(message) async for message in ws])

    def test_what_is_of_no_use_changes_nothing(
        self, secure: Running, files: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        before = handshake(secure, TRUSTING)
        (tmp_path / "other").mkdir()
        other = write_pair(tmp_path / "other", "127.0.0.1")
        shutil.copy(other["tls_cert"], files["tls_cert"])  # a chain without its key
        secure.server.reload()
        assert "the old certificate stays" in caplog.text
        assert handshake(secure, TRUSTING) == before
        files["tls_key"].unlink()
        secure.server.reload()
        assert handshake(secure, TRUSTING) == before


@pytest.fixture
def process(configure: Configure, files: dict[str, Path]) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A server in a process of its own, and its port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    sections = configure(server={"port": port, **files}).model_dump_json(exclude={"model"})
    program = str(Path(__file__).with_name("conftest.py"))
    server = subprocess.Popen([sys.executable, program, sections, "0"], stdout=subprocess.PIPE, text=True)
    with server:
        assert server.stdout is not None
        assert server.stdout.readline() == "ready\n"
        yield server, port
        server.kill()


async def name_is_wrong(port: int, name: str) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=TRUSTING, server_hostname=name)
    except ssl.SSLCertVerificationError:
        return True
    writer.close()
    return False


async def test_sighup_reads_the_files_again(
    process: tuple[subprocess.Popen[str], int], files: dict[str, Path], tmp_path: Path
) -> None:
    server, port = process
    async with websockets.connect(f"wss://127.0.0.1:{port}/ws", ssl=TRUSTING, compression=None) as ws:
        write_pair(tmp_path, "renewed.test")
        os.kill(server.pid, signal.SIGHUP)
        while await name_is_wrong(port, "renewed.test"):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        await ws.send('{"type": "close"}')
        assert '"closed"' in "".join([str(message) async for message in ws])


class TestFiles:
    def test_a_pair(self, files: dict[str, Path]) -> None:
        assert Certificate(files["tls_cert"], files["tls_key"]).context.minimum_version == ssl.TLSVersion.TLSv1_2

    @pytest.mark.parametrize("content", [b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
    def test_no_certificate(self, files: dict[str, Path], content: bytes) -> None:
        files["tls_cert"].write_bytes(content)
        with pytest.raises(ConfigError, match=r"server\.tls_cert: .*chain\.pem"):
            Certificate(files["tls_cert"], files["tls_key"])

    def test_a_key_with_a_password_is_not_asked_for_on_the_terminal(self, files: dict[str, Path]) -> None:
        from cryptography.hazmat.primitives import serialization

        key = serialization.load_pem_private_key(files["tls_key"].read_bytes(), None)
        cipher = serialization.BestAvailableEncryption(b"secret")
        files["tls_key"].write_bytes(
            key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, cipher)
        )
        with pytest.raises(ConfigError):
            Certificate(files["tls_cert"], files["tls_key"])

    def test_the_start_ends_before_the_model_is_loaded(
        self, configure: Configure, accounting: type[AccountingEngine], files: dict[str, Path]
    ) -> None:
        files["tls_key"].write_bytes(b"")
        engine = accounting()
        with pytest.raises(ConfigError):
            serve(configure(server={"port": 1, **files}))
        assert not engine.is_running

    def test_keys_in_the_clear_are_warned_of(self, configure: Configure, caplog: pytest.LogCaptureFixture) -> None:
        doors = {"host": "0.0.0.0", "api_keys": ("k" * 16,)}
        assert open_certificate(configure(server=doors).server) is None
        assert "for everyone to read" in caplog.text
        caplog.clear()
        open_certificate(configure(server={**doors, "trusted_proxies": ("10.0.0.1",)}).server)
        assert not caplog.text
