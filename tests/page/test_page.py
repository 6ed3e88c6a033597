"""The page does what it says, in a real browser, with a real server and a real model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.keys import Keys

from bench.words import compare, normalise
from voxtral_streaming.server.app import PAGE

Page = Any
Running = Any

FIRST = (
    "And Mr. John Dashwood had then leisure to consider how much there might be prudently in his power to do for them."
)
SECOND = (
    "He was not an ill-disposed young man, unless to be rather cold-hearted and rather selfish is to be ill-disposed."
)
MAX_ERROR = 0.1  # of the words


def error_rate(page: Page, reference: str) -> float:
    return compare(normalise(reference, "en"), normalise(" ".join(page.lines), "en")).rate


def test_tells_what_serves(page: Page) -> None:
    assert page["server"].text == "whisper-base · whisper engine"
    assert page["server"].get_attribute("data-state") == "ready"
    languages = page["language"].text.split("\n")
    assert languages[0] == "Detect"
    assert {"English", "French", "Japanese"} < set(languages)
    assert not [name for name in languages if name.islower()]  # a code, for want of a name


def test_turns_to_no_other_host(page: Page, server: Running) -> None:
    assert page.hosts() == {f"localhost:{server.port}"}


def test_microphone_is_heard_live_and_to_the_end(page: Page) -> None:
    page["microphone"].send_keys(Keys.ENTER)
    page.until(lambda: "Dashwood" in page.find(".open").text)
    assert page.state == "live"
    assert page["microphone"].accessible_name == "Stop"
    assert page.find(".open .stable").text or page.find(".open .tentative").text
    page.until(lambda: page["clock"].text == "0:07")  # all is said, and no endpoint was found yet
    assert page.lines == []
    page["microphone"].send_keys(Keys.ENTER)
    page.until_idle()
    assert error_rate(page, FIRST) <= MAX_ERROR
    assert page.find(".take .facts").text.endswith("· English")


def test_sample_is_heard_as_it_is_played(page: Page) -> None:
    page["sample"].click()
    page.until(lambda: page.lines)
    assert page.state == "live"
    page.until_idle()
    assert page["clock"].get_attribute("textContent") == "0:15"
    assert len(page.lines) == 2
    assert error_rate(page, f"{FIRST} {SECOND}") <= MAX_ERROR


def test_dropped_file_becomes_a_transcript(page: Page, tmp_path: Path) -> None:
    page.driver.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    drop(page, "speech.wav")
    page.until(lambda: page.lines)
    assert error_rate(page, f"{FIRST} {SECOND}") <= MAX_ERROR
    assert save(page, tmp_path / "speech.txt") == "".join(f"{line}\n" for line in page.lines)
    srt, vtt = save(page, tmp_path / "speech.srt"), save(page, tmp_path / "speech.vtt")
    assert vtt.startswith("WEBVTT\n\n00:00:00.")
    for cues in (srt.split("\n\n"), vtt.split("\n\n")[1:]):
        captions = [cue.strip().split(" --> ")[1].split("\n")[1:] for cue in cues]
        assert all(len(lines) <= 2 and all(len(line) <= 42 for line in lines) for lines in captions)
        assert [word for lines in captions for line in lines for word in line.split()] == " ".join(page.lines).split()


def save(page: Page, path: Path) -> str:
    page.find(f'[data-action="{path.suffix[1:]}"]').click()
    page.until(lambda: path.exists() and path.stat().st_size)  # Chromium reserves the name before it writes
    return path.read_text()


def drop(page: Page, name: str) -> None:
    page.driver.execute_async_script(
        """
        const [name, done] = arguments;
        fetch("page/sample.wav").then((response) => response.blob()).then((recording) => {
          const dataTransfer = new DataTransfer();
          dataTransfer.items.add(new File([recording], name));
          document.body.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
          done();
        });
        """,
        name,
    )


def test_copies(page: Page) -> None:
    page.allow("clipboardReadWrite", "clipboardSanitizedWrite")
    page["file"].send_keys(str(PAGE / "sample.wav"))
    page.until(lambda: page.lines)
    page.find('[data-action="copy"]').click()
    page.until(lambda: page.find('[data-action="copy"]').text == "Copied")
    copied = page.driver.execute_async_script("navigator.clipboard.readText().then(arguments[0])")
    assert copied == "".join(f"{line}\n" for line in page.lines)


def test_shows_what_the_server_says_of_a_file_that_is_no_recording(page: Page, tmp_path: Path) -> None:
    page.may_fail = ("415",)
    (tmp_path / "notes.txt").write_text("hello")
    page["file"].send_keys(str(tmp_path / "notes.txt"))
    page.until(lambda: page.note)
    assert page.note.startswith("Not WAV, FLAC, MP3")
    page.until_idle()


def test_says_what_to_do_where_urls_are_not_fetched(page: Page) -> None:
    page.may_fail = ("403",)
    page["paste"].click()
    page["url"].send_keys("https://example.org/talk.mp3", Keys.ENTER)
    page.until(lambda: page.note)
    assert page.note.startswith("URLs are not fetched here.\n")
    assert "audio.allow_urls" in page.note


def test_says_that_the_microphone_was_denied(page: Page) -> None:
    page.allow()
    page["microphone"].click()
    page.until(lambda: page["notice"].is_displayed())
    assert "not allowed to use the microphone" in page["notice"].text
    page.until_idle()


def test_asks_for_the_key_and_explains_the_missing_microphone(browser: Page, launch: Callable[..., Running]) -> None:
    browser.may_fail = ("401",)
    server = launch(server={"api_keys": ("correct-horse-battery",)})
    browser.open(f"http://voxtral.test:{server.port}/")  # neither localhost nor HTTPS
    assert browser["server"].text == "This server asks for a key."
    browser["secret"].send_keys("a-wrong-key-of-length", Keys.ENTER)
    browser.until(lambda: browser["server"].text == "That is not the key.")
    browser["secret"].clear()
    browser["secret"].send_keys("correct-horse-battery", Keys.ENTER)
    browser.until(lambda: browser["server"].text == "whisper-tiny.en · whisper engine")
    assert not browser["key"].is_displayed()
    assert browser["language"].text == "English"
    browser["microphone"].click()
    browser.until(lambda: browser["notice"].is_displayed())
    assert "localhost or over HTTPS" in browser["notice"].text
    browser["sample"].click()
    browser.until(lambda: "Dashwood" in browser.find(".open").text)
    browser["microphone"].click()
    browser.until_idle()
    assert browser.lines


def test_keeps_the_text_and_comes_back_when_the_server_goes(browser: Page, launch: Callable[..., Running]) -> None:
    browser.may_fail = ("ERR_CONNECTION", "503")
    server = launch()
    browser.open(server.url)
    browser["sample"].click()
    browser.until(lambda: "leisure" in browser.find(".open").text)
    server.drain()
    browser.until_idle()
    assert "leisure" in browser.lines[0]
    assert browser.note == "The server is stopping."
    browser.until(lambda: browser["server"].text == "The server does not answer.")
    browser["sample"].click()
    browser.until(lambda: browser["notice"].text.startswith("The server does not answer."))
    launch(port=server.port)
    browser.until(lambda: browser["server"].get_attribute("data-state") == "ready")


def test_goes_on_when_its_connection_is_cut(page: Page, server: Running) -> None:
    page.may_fail = ("WebSocket connection",)
    page["sample"].click()
    page.until(lambda: "leisure" in page.find(".open").text)
    page.driver.execute_script(
        """
        const hint = document.getElementById("hint");
        window.hints = [];
        new MutationObserver(() => hints.push(hint.textContent)).observe(hint, { childList: true });
        """
    )
    server.cut()
    page.until(lambda: "Reconnecting…" in page.driver.execute_script("return hints"))
    page.until(lambda: page["hint"].text != "Reconnecting…")
    page.until(lambda: page.lines)
    assert page.state == "live"
    server.cut()
    page.until_idle()
    assert page["notice"].is_displayed() is False
    assert page.find(".take:last-child .note").is_displayed() is False
    assert len(page.lines) == 2
    assert error_rate(page, f"{FIRST} {SECOND}") <= MAX_ERROR


def test_says_what_was_lost_with_the_server(browser: Page, launch: Callable[..., Running]) -> None:
    browser.may_fail = ("ERR_CONNECTION", "WebSocket connection", "503")
    server = launch(server={"resume_s": 0.5})
    browser.open(server.url)
    browser["sample"].click()
    browser.until(lambda: "leisure" in browser.find(".open").text)
    server.stop()
    browser.until_idle()
    assert "leisure" in browser.lines[0]
    assert browser.note.startswith("The connection to the server was lost, and the last ")


@pytest.mark.parametrize("width", [320, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_fits_the_screen(page: Page, width: int, scheme: str) -> None:
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    screen = {"width": width, "height": 640, "deviceScaleFactor": 1, "mobile": False}
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    assert page.driver.execute_script("return document.documentElement.scrollWidth") == width
    assert page["microphone"].is_displayed()
    page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
