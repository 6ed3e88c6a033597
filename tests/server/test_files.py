"""Recordings over HTTP, as clients send them and as they should not."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from voxtral_streaming.server import bodies

if TYPE_CHECKING:
    from tests.server.conftest import AccountingEngine, Connect, Eventually, Launch, Running, Sound

URL = "/v1/transcriptions"


@pytest.fixture(scope="session")
def wav(sound: Sound, as_wav: Callable[[bytes], bytes]) -> bytes:
    """A recording of two utterances."""
    return as_wav(sound.utterances(0.8, 1.2))


def ask(server: Any, **options: Any) -> httpx.Response:
    return httpx.post(verify=False, url=f"http://{server.host}{URL}", timeout=10, **options)


def error_of(response: httpx.Response) -> dict[str, Any]:
    """The error in the one shape."""
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    assert body.keys() == {"error"}
    assert body["error"].keys() - {"retry_after_s"} == {"code", "message", "param"}
    error: dict[str, Any] = body["error"]
    return error


class TestFormats:
    def test_json(self, server: Running, wav: bytes) -> None:
        response = ask(server, files={"file": ("a.wav", wav)})
        assert response.status_code == 200
        assert response.headers["content-type"] == "application/json"
        body = response.json()
        assert body.keys() == {"text", "language", "duration"}
        assert body["duration"] == 5.0
        assert body["language"] == "en"

    def test_verbose_json(self, server: Running, wav: bytes) -> None:
        body = ask(server, files={"file": ("a.wav", wav)}, data={"format": "verbose_json", "language": "fr"}).json()
        assert [segment["id"] for segment in body["segments"]] == [0, 1]
        assert body["segments"][0]["words"][0].keys() == {"text", "start", "end", "probability"}
        assert body["language"] == "fr"

    @pytest.mark.parametrize(
        ("format_", "media_type"),
        [
            ("text", "text/plain; charset=utf-8"),
            ("srt", "application/x-subrip"),
            ("vtt", "text/vtt; charset=utf-8"),
        ],
    )
    def test_texts(self, server: Running, wav: bytes, format_: str, media_type: str) -> None:
        response = ask(server, files={"file": ("a.wav", wav)}, data={"format": format_})
        assert response.status_code == 200
        assert response.headers["content-type"] == media_type
        assert response.text

    async def test_a_file_says_what_a_live_session_says(
        self, server: Running, connect: Connect, sound: Sound, wav: bytes
    ) -> None:
        body = ask(server, files={"file": wav}, data={"format": "verbose_json"}).json()
        async with connect(server) as client:
            await client.send(sound.utterances(0.8, 1.2), 3200)
            await client.say("close")
            await client.hear_out()
        assert [segment["text"] for segment in body["segments"]] == client.finals

    def test_options_reach_the_engine(self, launch: Launch, accounting: type[AccountingEngine], wav: bytes) -> None:
        server = launch(accounting())
        ask(server, files={"file": wav}, data={"language": "fr", "prompt": "Ada", "words": "false"})
        options = server.engine.options[0]
        assert (options.language, options.prompt, options.words, options.partials) == ("fr", "Ada", False, False)


class TestSources:
    def test_base64(self, server: Running, wav: bytes) -> None:
        text = base64.b64encode(wav).decode()
        whole = ask(server, files={"file": wav}).json()
        assert ask(server, json={"audio": text}).json() == whole
        assert ask(server, json={"audio": f"data:audio/wav;base64,{text}"}).json() == whole

    def test_json_may_be_labelled_with_a_charset(self, server: Running, wav: bytes) -> None:
        body = json.dumps({"audio": base64.b64encode(wav).decode()})
        response = ask(server, content=body, headers={"content-type": "Application/JSON; charset=utf-8"})
        assert response.status_code == 200

    @pytest.mark.parametrize(
        "url", ["https://example.org/a.wav", "file:///etc/passwd", "http://127.0.0.1/", "nonsense"]
    )
    def test_urls_are_not_fetched_unless_allowed(self, server: Running, url: str) -> None:
        response = ask(server, json={"url": url})
        assert (response.status_code, error_of(response)["code"]) == (403, "source_forbidden")

    @pytest.mark.parametrize("path", ["/etc/passwd", "/no/such/file", "relative", "../..", "\0"])
    def test_paths_are_not_read_unless_allowed(self, server: Running, path: str) -> None:
        response = ask(server, json={"path": path})
        assert (response.status_code, error_of(response)["code"]) == (403, "source_forbidden")

    def test_allowed_folder(self, launch: Launch, wav: bytes, tmp_path: Path) -> None:
        (tmp_path / "a.wav").write_bytes(wav)
        server = launch(audio={"allowed_dirs": (tmp_path,)})
        assert ask(server, json={"path": str(tmp_path / "a.wav")}).status_code == 200
        assert ask(server, json={"path": str(tmp_path / "b.wav")}).status_code == 403

    def test_url_of_this_machine_is_not_fetched_where_urls_are_allowed(self, launch: Launch) -> None:
        server = launch(audio={"allow_urls": True})
        response = ask(server, json={"url": f"http://{server.host}/health/live"})
        assert (response.status_code, error_of(response)["code"]) == (403, "source_forbidden")


class TestRefusals:
    @pytest.mark.parametrize(
        ("body", "status", "code", "param"),
        [
            ({}, 422, "invalid_request", None),
            ({"url": "https://example.org/a", "audio": "AAAA"}, 422, "invalid_request", None),
            ({"audio": None}, 422, "invalid_request", None),
            ({"audio": 5}, 422, "invalid_request", "audio"),
            ({"audio": "AAAA", "format": "docx"}, 422, "invalid_request", "format"),
            ({"audio": "AAAA", "words": "true"}, 422, "invalid_request", "words"),
            ({"audio": "AAAA", "language": "English"}, 422, "invalid_request", "language"),
            ({"audio": "AAAA", "langauge": "en"}, 422, "invalid_request", "langauge"),
            ({"audio": "AAAA", "language": "xx"}, 422, "unsupported_option", "language"),
            ({"audio": "AAA"}, 400, "invalid_base64", "audio"),
            ({"audio": "*"}, 400, "invalid_base64", "audio"),
            ({"audio": ""}, 422, "empty_audio", None),
            ({"audio": "AAAA"}, 415, "unsupported_media", None),
        ],
    )
    def test_fields_of_json(self, server: Running, body: Any, status: int, code: str, param: str | None) -> None:
        response = ask(server, json=body)
        error = error_of(response)
        assert (response.status_code, error["code"]) == (status, code)
        if code not in ("empty_audio", "unsupported_media"):
            assert error["param"] == param

    @pytest.mark.parametrize(
        "body", [b"", b"{", b"[]", b"\xff", b'{"audio": "A", "audio": "B"}', b'{"audio": NaN}', b"[" * 100_000]
    )
    def test_malformed_json(self, server: Running, body: Any) -> None:
        response = ask(server, content=body, headers={"content-type": "application/json"})
        assert (response.status_code, error_of(response)["code"]) == (400, "invalid_json")

    @pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "audio/wav", ""])
    def test_other_media_types(self, server: Running, wav: bytes, media_type: str) -> None:
        response = ask(server, content=wav, headers={"content-type": media_type})
        assert (response.status_code, error_of(response)["param"]) == (415, "content-type")

    @pytest.mark.parametrize(
        ("files_", "data", "status", "param"),
        [
            ({}, {"file": "text"}, 415, "content-type"),  # httpx sends no multipart without files
            ({"sound": b"x"}, {}, 422, "file"),
            ({"file": b"x"}, {"format": "docx"}, 422, "format"),
            ({"file": b"x"}, {"words": "perhaps"}, 422, "words"),
            ({"file": b"x"}, {"url": "https://example.org"}, 422, "url"),
            ({"file": b"x"}, {"language": ["en", "fr"]}, 422, "language"),
            ({"file": b"x"}, {str(n): "x" for n in range(17)}, 400, None),
            ({"file": b"x"}, {"prompt": "x" * 70_000}, 400, None),
        ],
    )
    def test_forms(self, server: Running, files_: dict[str, bytes], data: Any, status: int, param: str | None) -> None:
        response = ask(server, files=files_, data=data)
        assert response.status_code == status
        assert error_of(response)["param"] == param

    @pytest.mark.parametrize(
        "body", [b"", b"nonsense", b"--x\r\n\r\n", b"--x\r\nContent-Disposition: form-data\r\n\r\nv\r\n--x--\r\n"]
    )
    @pytest.mark.parametrize("media_type", ["multipart/form-data", "multipart/form-data; boundary=x"])
    def test_malformed_forms(self, server: Running, body: Any, media_type: str) -> None:
        response = ask(server, content=body, headers={"content-type": media_type})
        assert response.status_code in (400, 422)
        error_of(response)

    def test_two_files(self, server: Running, wav: bytes) -> None:
        response = ask(server, files=[("file", wav), ("file", wav)])
        assert response.status_code == 400
        error_of(response)

    @pytest.mark.parametrize(
        ("data", "status", "code"),
        [
            (b"", 422, "empty_audio"),
            (b"not audio at all", 415, "unsupported_media"),
            (b"RIFF\x24\x00\x00\x00WAVEfmt ", 422, None),
        ],
    )
    def test_what_is_no_audio(self, server: Running, data: Any, status: int, code: str) -> None:
        response = ask(server, files={"file": data})
        assert response.status_code == status
        assert code in (None, error_of(response)["code"])

    def test_what_the_engine_cannot_do(self, launch: Launch, accounting: type[AccountingEngine], wav: bytes) -> None:
        server = launch(accounting(timestamps="none", biasing=False))
        for field in ({"words": "true"}, {"prompt": "Ada"}):
            response = ask(server, files={"file": wav}, data=field)
            assert (response.status_code, error_of(response)["code"]) == (422, "unsupported_option")
            assert error_of(response)["param"] == next(iter(field))
        assert ask(server, files={"file": wav}).status_code == 200

    def test_failure_of_the_engine(self, launch: Launch, accounting: type[AccountingEngine], wav: bytes) -> None:
        from voxtral_streaming.errors import EngineFailed

        response = ask(launch(accounting(ails=EngineFailed("/secret/place"))), files={"file": wav})
        assert response.status_code == 500
        assert error_of(response) == {"code": "engine_failed", "message": "recognition failed", "param": None}

    def test_bug(self, launch: Launch, accounting: type[AccountingEngine], wav: bytes) -> None:
        response = ask(launch(accounting(ails=RuntimeError("/secret/place"))), files={"file": wav})
        assert response.status_code == 500
        assert error_of(response) == {"code": "internal", "message": "the server failed", "param": None}


class TestBounds:
    @pytest.fixture
    def small(self, launch: Launch) -> Any:
        """A server that takes 100 kB, and a megabyte of overhead."""
        return launch(audio={"max_bytes": 100_000})

    def test_length_that_is_told(self, small: Running) -> None:
        """The answer comes before the body."""
        head = f"POST {URL} HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\n"
        with socket.create_connection(small.listener.getsockname(), timeout=10) as connection:
            connection.sendall(f"{head}Content-Type: multipart/form-data; boundary=b\r\n\r\n".encode())
            assert connection.recv(4096).split()[1] == b"413"

    def test_length_that_is_not_told(self, small: Running) -> None:
        def chunks() -> Any:
            yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
            for _ in range(40):
                yield b"x" * 100_000

        headers = {"content-type": "multipart/form-data; boundary=x"}
        response = ask(small, content=chunks(), headers=headers)
        assert (response.status_code, error_of(response)["code"]) == (413, "audio_too_large")

    def test_file_within_the_body_but_beyond_the_limit(self, small: Running, wav: bytes) -> None:
        response = ask(small, files={"file": wav})
        assert len(wav) > 100_000
        assert (response.status_code, error_of(response)["code"]) == (413, "audio_too_large")

    def test_base64(self, small: Running, wav: bytes) -> None:
        response = ask(small, json={"audio": base64.b64encode(wav).decode()})
        assert (response.status_code, error_of(response)["code"]) == (413, "audio_too_large")

    def test_seconds(self, launch: Launch, sound: Sound, as_wav: Callable[[bytes], bytes]) -> None:
        server = launch(audio={"max_seconds": 2.0})
        response = ask(server, files={"file": as_wav(sound.utterances(1.0))})
        assert (response.status_code, error_of(response)["code"]) == (413, "audio_too_long")

    async def test_slow_body(self, server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(bodies, "BODY_GRACE_S", 0.3)
        reader, writer = await asyncio.open_connection(*server.host.split(":"))
        writer.write(b"POST /v1/transcriptions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n")
        writer.write(b"Content-Length: 1000\r\n\r\n{")
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
        assert head.startswith(b"HTTP/1.1 408 ")
        assert b"request_timeout" in await reader.read(1000)
        writer.close()

    async def test_too_many_at_once(
        self, launch: Launch, accounting: type[AccountingEngine], wav: bytes, eventually: Eventually
    ) -> None:
        server = launch(accounting())
        server.call(server.engine.resumed.clear)
        async with httpx.AsyncClient(verify=False, base_url=f"http://{server.host}", timeout=20) as http:
            asked = [asyncio.create_task(http.post(URL, files={"file": wav})) for _ in range(10)]
            await eventually(lambda: len(server.service.uploads) == 10)
            refused = await http.post(URL, files={"file": wav})
            assert (refused.status_code, error_of(refused)["code"]) == (503, "overloaded")
            assert int(refused.headers["retry-after"]) > 0
            server.call(server.engine.resumed.set)
            assert {response.status_code for response in await asyncio.gather(*asked)} == {200}
            assert (await http.post(URL, files={"file": wav})).status_code == 200

    async def test_client_that_leaves_frees_its_place(
        self, launch: Launch, accounting: type[AccountingEngine], wav: bytes, eventually: Eventually
    ) -> None:
        server = launch(accounting())
        server.call(server.engine.resumed.clear)
        async with httpx.AsyncClient(verify=False, base_url=f"http://{server.host}") as http:
            with pytest.raises(httpx.ReadTimeout):
                await http.post(URL, files={"file": wav}, timeout=0.5)
        await eventually(lambda: len(server.service.uploads) == 0)
        server.call(server.engine.resumed.set)

    async def test_client_that_leaves_while_sending(
        self, server: Running, caplog: pytest.LogCaptureFixture, eventually: Eventually
    ) -> None:
        _, writer = await asyncio.open_connection(*server.host.split(":"))
        writer.write(b"POST /v1/transcriptions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n")
        writer.write(b"Content-Length: 1000\r\n\r\n{")
        await eventually(lambda: len(server.service.uploads) == 1)
        writer.transport.abort()
        await eventually(lambda: len(server.service.uploads) == 0)
        assert not caplog.records


class TestCorpus:
    def test_hostile_files_end_as_the_manifest_says(self, launch: Launch, root: Path) -> None:
        corpus = root / "../shared/hostile"
        if not corpus.exists():
            pytest.skip("the corpus is not here")
        server = launch(audio={"max_seconds": 600.0})
        manifest = json.loads((corpus / "manifest.json").read_text())["files"]
        for name in [name for name in manifest if name.startswith(("bomb", "ref", "misc", "cut"))]:
            response = ask(server, files={"file": (corpus / name).read_bytes()})
            assert response.status_code in (200, 413, 415, 422), name
            if response.status_code != 200:
                error_of(response)
            else:
                assert "accept" in manifest[name]["expect"], name
        assert ask(server, files={"file": (corpus / "wav_ok_s16_16k_mono.wav").read_bytes()}).status_code == 200
