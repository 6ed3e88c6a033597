"""The rest of the HTTP interface: errors in one shape, health, metrics, the page, and a description that is true."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

if TYPE_CHECKING:
    from tests.server.conftest import AccountingEngine, Configure, Connect, Launch, Running, Sound

STRANGE_URLS = re.compile(r"""(?:src|href|url\()\s*=?\s*["']?(https?:)?//""")


def get(server: Any, path: str, **options: Any) -> httpx.Response:
    return httpx.request(options.pop("method", "GET"), f"http://{server.host}{path}", verify=False, **options)


class TestErrors:
    @pytest.mark.parametrize(
        "path", ["/nowhere", "/v1", "/page/nothing.js", "/page/..%2fapp.py", "/ws", "/v1/transcriptions/"]
    )
    def test_not_found(self, server: Running, path: str) -> None:
        response = get(server, path)
        assert response.status_code == 404
        assert response.json() == {"error": {"code": "not_found", "message": "Not Found", "param": None}}

    @pytest.mark.parametrize(
        ("method", "path", "allowed"),
        [
            ("GET", "/v1/transcriptions", "POST"),
            ("DELETE", "/v1/transcriptions", "POST"),
            ("POST", "/health/live", "GET"),
            ("PUT", "/metrics", "GET"),
        ],
    )
    def test_method_not_allowed(self, server: Running, method: str, path: str, allowed: str) -> None:
        response = get(server, path, method=method)
        assert response.status_code == 405
        assert response.headers["allow"] == allowed
        assert response.json()["error"]["code"] == "method_not_allowed"

    def test_error_of_validation_has_the_shape_too(
        self, configure: Configure, accounting: type[AccountingEngine]
    ) -> None:
        from fastapi.testclient import TestClient

        from voxtral_streaming.server.app import create_app
        from voxtral_streaming.transcriber import Transcriber

        config = configure()
        app = create_app(config, Transcriber(config, engine=accounting()))

        @app.get("/typed")
        def typed(number: int) -> int:
            return number

        with TestClient(app) as client:
            response = client.get("/typed", params={"number": "x"})
        assert response.status_code == 422
        assert response.json()["error"]["code"] == "invalid_request"
        assert response.json()["error"]["param"] == "query.number"

    def test_server_does_not_name_itself(self, server: Running) -> None:
        assert "server" not in get(server, "/health/live").headers


class TestHealth:
    def test_live_and_ready(self, server: Running) -> None:
        assert get(server, "/health/live").json() == {"status": "live"}
        assert get(server, "/health/ready").json() == {"status": "ready", "sessions": 0, "max_sessions": 16}


class TestMetrics:
    async def test_what_a_session_leaves(self, launch: Launch, connect: Connect, sound: Sound) -> None:
        server = launch()
        async with connect(server) as client:
            await client.hear("session")
            assert "voxtral_open_sessions 1.0" in get(server, "/metrics").text
            await client.send(sound.utterances(0.8, 1.2), 3200)
            await client.say("close")
            await client.hear_out()
        async with connect(server) as client:
            await client.socket.send("nonsense")
            await client.hear_out()
        response = get(server, "/metrics")
        assert response.headers["content-type"].startswith("text/plain")
        counts = dict(line.rsplit(" ", 1) for line in response.text.splitlines() if line.startswith("voxtral"))
        for name, count in (
            ("voxtral_sessions_total", 2),
            ('voxtral_audio_seconds_total{door="live"}', 5),
            ("voxtral_finals_total", 2),
            ('voxtral_errors_total{code="invalid_json"}', 1),
            ("voxtral_final_seconds_count", 2),
            ("voxtral_first_partial_seconds_count", 2),
            ("voxtral_open_uploads", 0),
        ):
            assert float(counts[name]) == pytest.approx(count), name
        assert client.messages[0]["id"] not in response.text

    def test_applications_count_apart(self, launch: Launch) -> None:
        first, second = launch(), launch()
        get(first, "/nowhere")
        assert 'code="not_found"' in get(first, "/metrics").text
        assert 'code="not_found"' not in get(second, "/metrics").text


class TestPage:
    def test_page_and_its_files(self, server: Running) -> None:
        page = get(server, "/")
        assert page.status_code == 200
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert page.headers["content-security-policy"].startswith("default-src 'self'")
        assert get(server, "/page/index.html").status_code == 200

    def test_page_needs_nothing_that_its_policy_forbids(self, server: Running) -> None:
        page = get(server, "/").text
        assert not STRANGE_URLS.search(page)
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*\ssrc=)", page)


class TestDescription:
    def test_page_about_it_needs_no_other_server(self, server: Running) -> None:
        page = get(server, "/docs").text
        assert not STRANGE_URLS.search(page)
        urls = re.findall(r"""(?:src|href)="([^"]+)"|url: '([^']+)'""", page)
        for url in (url or other for url, other in urls):
            assert get(server, url).status_code == 200
        assert "validatorUrl" in page

    def test_describes_every_http_door(self, server: Running) -> None:
        description = get(server, "/openapi.json").json()
        operations = {"/health/live", "/health/ready", "/metrics"}
        tokens = {"/v1/client/sessions", "/v1/realtime/client_secrets"}
        assert description["paths"].keys() == {"/v1/transcriptions"} | operations | tokens
        body = description["paths"]["/v1/transcriptions"]["post"]["requestBody"]["content"]
        assert body.keys() == {"multipart/form-data", "application/json"}
        assert body["multipart/form-data"]["schema"]["required"] == ["file"]

    def test_is_true(self, server: Running, tmp_path: Path) -> None:
        """Whatever the description allows or forbids, the server answers as it says."""
        if importlib.util.find_spec("schemathesis") is None:
            pytest.skip("schemathesis is not installed")
        program = "from schemathesis.cli import schemathesis; schemathesis()"
        command = [
            "run",
            f"http://{server.host}/openapi.json",
            "--checks",
            "all",
            "--exclude-checks",
            "positive_data_acceptance",  # no schema can say what is audio
            "--max-examples",
            "10",
            "--seed",
            "1",
        ]
        done = subprocess.run(
            [sys.executable, "-c", program, *command], cwd=tmp_path, capture_output=True, text=True, timeout=180
        )
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
