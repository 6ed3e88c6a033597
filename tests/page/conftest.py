"""A real browser, real servers with the embedded models, and a fake microphone that says real words."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import threading
import wave
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from voxtral_streaming.config import Config
from voxtral_streaming.server.app import PAGE, create_app, lifespan
from voxtral_streaming.server.run import Server
from voxtral_streaming.transcriber import Transcriber

FIRST_SENTENCE_S = 7.1  # of the sample
PATIENCE_S = 30
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP voxtral.test 127.0.0.1",
    "--use-fake-device-for-media-stream",
)


class Running:
    """A server in a thread of its own."""

    def __init__(self, port: int = 0, model: str = "whisper-base", **sections: dict[str, Any]) -> None:
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port: int = self._listener.getsockname()[1]
        required = {
            "model": {"name": model, "device": "cpu"},
            "audio": {"sample_rate": 16000},
            "vad": {"threshold": 0.01},
        }
        config = Config.model_validate(required | sections)
        self._app = create_app(config, Transcriber(config))
        self._server = Server(self._app, config.server)
        self._is_ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self._thread.start()
        assert self._is_ready.wait(PATIENCE_S)

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}/"

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        async with lifespan(self._app):
            self._is_ready.set()
            await self._server.serve([self._listener])

    def cut(self) -> None:
        """Lose all connections that there are."""
        for connection in tuple(self._server.server_state.connections):
            self._loop.call_soon_threadsafe(connection.transport.abort)

    def drain(self) -> None:
        """Stop as an operator stops it: whoever speaks gets his finals."""
        self._loop.call_soon_threadsafe(self._server.stop)
        self.join()

    def stop(self) -> None:
        self._server.should_exit = True
        self.join()

    def join(self) -> None:
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()


class Page:
    """The page in a browser, as a person sees it."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver
        self.may_fail: tuple[str, ...] = ()  # what the console may say

    def allow(self, *permissions: str) -> None:
        """Grant these to every page, and nothing else."""
        self.driver.execute_cdp_cmd("Browser.grantPermissions", {"permissions": permissions})

    def open(self, url: str) -> None:
        self.driver.get(url)
        self.until(lambda: self["server"].get_attribute("data-state") != "connecting")

    def __getitem__(self, id_: str) -> WebElement:
        return self.driver.find_element(By.ID, id_)

    def find(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    @property
    def state(self) -> str:
        """What the page is doing: idle, opening, live, finishing or transcribing."""
        return self.find("body").get_attribute("data-state") or ""

    @property
    def lines(self) -> list[str]:
        """The paragraphs of the last transcript."""
        return [
            line.text for line in self.driver.find_elements(By.CSS_SELECTOR, ".take:last-child .lines .line > span")
        ]

    @property
    def note(self) -> str:
        """What is said below the last transcript."""
        return self.find(".take:last-child .note").text

    def until(self, condition: Callable[[], Any]) -> None:
        WebDriverWait(self.driver, PATIENCE_S, 0.05).until(lambda _: condition())

    def until_idle(self) -> None:
        self.until(lambda: self.state == "idle")

    def console(self) -> list[str]:
        """What the browser complained about since the last call."""
        entries = self.driver.get_log("browser")  # type: ignore[no-untyped-call]
        return [entry["message"] for entry in entries if entry["level"] in ("WARNING", "SEVERE")]

    def hosts(self) -> set[str]:
        """The hosts that the browser turned to since the last call."""
        hosts = set()
        for entry in self.driver.get_log("performance"):  # type: ignore[no-untyped-call]
            event = json.loads(entry["message"])["message"]
            if event["method"] == "Network.requestWillBeSent":
                hosts.add(urlsplit(event["params"]["request"]["url"]).netloc)
            elif event["method"] == "Network.webSocketCreated":
                hosts.add(urlsplit(event["params"]["url"]).netloc)
        return hosts


@pytest.fixture(scope="session")
def own_page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A page of a developer's own, on another origin; its address."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "index.html").write_text("<!doctype html><link rel='icon' href='data:,'><button>Speak</button>")
    handler = partial(QuietHandler, directory=folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://localhost:{server.server_port}"
        server.shutdown()
        thread.join()


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves files without telling."""

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="session")
def server(own_page: str) -> Iterator[Running]:
    """The server that most tests share."""
    running = Running(server={"allowed_origins": (own_page,)})
    yield running
    running.stop()


@pytest.fixture
def launch() -> Iterator[Callable[..., Running]]:
    """Start a server of the test's own: `launch(server={...})`."""
    with ExitStack() as stack:

        def launch(**sections: Any) -> Running:
            running = Running(model="whisper-tiny.en", **sections)
            stack.callback(running.stop)
            return running

        yield launch


@pytest.fixture(scope="session")
def microphone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the fake microphone says: the first sentence of the sample, as WAV."""
    path = tmp_path_factory.mktemp("microphone") / "sentence.wav"
    with wave.open(str(PAGE / "sample.wav")) as sample, wave.open(str(path), "wb") as file:
        file.setparams(sample.getparams())
        file.writeframes(sample.readframes(round(FIRST_SENTENCE_S * sample.getframerate())))
    return path


@pytest.fixture(scope="session")
def driver(microphone: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """Chromium without a window, and with a fake microphone."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    chromedriver = shutil.which("chromedriver")
    if chromium is None or chromedriver is None:
        pytest.skip("needs Chromium and its chromedriver")
    options = Options()
    options.binary_location = chromium
    for flag in FLAGS:
        options.add_argument(flag)
    options.add_argument(f"--use-file-for-fake-audio-capture={microphone}%noloop")
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('profile')}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    with webdriver.Chrome(options=options, service=Service(chromedriver)) as driver:
        yield driver


@pytest.fixture
def browser(driver: webdriver.Chrome) -> Iterator[Page]:
    """A fresh page; it fails a test that made the console complain of what the test did not expect."""
    page = Page(driver)
    page.allow("audioCapture")
    yield page
    complaints = [line for line in page.console() if not any(expected in line for expected in page.may_fail)]
    driver.get("about:blank")
    driver.execute_cdp_cmd("Browser.resetPermissions", {})
    assert complaints == []


@pytest.fixture
def page(browser: Page, server: Running) -> Page:
    """The page of the shared server, ready."""
    browser.hosts()
    browser.open(server.url)
    return browser
