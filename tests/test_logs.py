"""The log never stops the server, and no secret and no second line gets into it."""

from __future__ import annotations

import logging
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from voxtral_streaming.config import LoggingConfig
from voxtral_streaming.logs import LineFormatter, LogFile, set_up_logging

OURS = "voxtral_streaming.server"


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """What the tests set up on the root logger is taken away again."""
    root_logger = logging.getLogger()
    handlers, level = root_logger.handlers[:], root_logger.level
    root_logger.handlers.clear()
    for name in ("uvicorn.error", "uvicorn.access", "uvicorn.asgi"):  # a server of another test may have set them
        logging.getLogger(name).setLevel(logging.NOTSET)
    yield
    for handler in root_logger.handlers:
        handler.close()
    root_logger.handlers[:] = handlers
    root_logger.setLevel(level)
    for name in ("voxtral_streaming", "uvicorn"):
        logging.getLogger(name).setLevel(logging.NOTSET)


def line(message: str, *args: object, name: str = OURS) -> str:
    return LineFormatter().format(logging.LogRecord(name, logging.INFO, __file__, 1, message, args, None))


def test_a_record_goes_to_the_file_and_to_standard_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "made" / "on" / "demand" / "log"
    set_up_logging(LoggingConfig(file=path))
    logging.getLogger(OURS).info("ready in %d ms", 12)
    text = path.read_text()
    assert text.endswith("INFO voxtral_streaming.server: ready in 12 ms\n")
    assert capsys.readouterr().err == text


def test_without_a_file_only_standard_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    set_up_logging(LoggingConfig(file=None))
    logging.getLogger(OURS).info("ready")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("level", "name", "lowest"),
    [
        ("debug", OURS, logging.DEBUG),
        ("info", OURS, logging.INFO),
        ("error", OURS, logging.ERROR),
        ("debug", "uvicorn.error", logging.INFO),  # below, it writes headers and messages
        ("warning", "uvicorn.access", logging.WARNING),
        ("debug", "httpx", logging.WARNING),  # at info, it writes URLs with their queries
        ("debug", "websockets.server", logging.WARNING),
    ],
)
def test_levels(level: str, name: str, lowest: int) -> None:
    set_up_logging(LoggingConfig.model_validate({"level": level, "file": None}))
    assert logging.getLogger(name).getEffectiveLevel() == lowest


def test_setting_up_twice_writes_once(tmp_path: Path) -> None:
    for _ in range(2):
        set_up_logging(LoggingConfig(file=tmp_path / "log"))
    logging.getLogger(OURS).warning("once")
    assert (tmp_path / "log").read_text().count("once") == 1


def test_the_file_rotates_within_its_bounds(tmp_path: Path) -> None:
    set_up_logging(LoggingConfig(file=tmp_path / "log", max_bytes=65_536, backups=2))
    for number in range(4000):
        logging.getLogger(OURS).info("line %d %s", number, "x" * 60)
    sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert sizes.keys() == {"log", "log.1", "log.2"}
    assert max(sizes.values()) <= 65_536


@pytest.mark.parametrize(
    ("message", "args"),
    [
        ('%s - "%s %s HTTP/%s" %d', ("127.0.0.1:1", "GET", "/ws?token=quartz", "1.1", 200)),  # as uvicorn.access
        ('%s - "WebSocket %s" [accepted]', ("127.0.0.1:1", "/ws?api_key=quartz&x=1")),  # as uvicorn.error
        ("cannot fetch %s", ("https://host.example/a.wav?signature=quartz",)),
        ("cannot fetch %s", ("https://user:quartz@host.example:8443/a.wav",)),
        ("cannot fetch %s", ("https://[::1]?quartz",)),
        ("> authorization: Bearer quartz-quartz", ()),
        ("headers: %s", ([(b"Authorization", b"Bearer quartz")],)),
        ("headers: %s", ({"Proxy-Authorization": "Basic quartz"},)),
        ("Cookie: session=quartz", ()),
        ("sec-websocket-protocol: openai-insecure-api-key.quartz", ()),
        ("refused bearer quartz-quartz-quartz", ()),
    ],
)
def test_what_looks_secret_is_cut_out(message: str, args: tuple[object, ...]) -> None:
    assert "quartz" not in line(message, *args, name="uvicorn.error")


@pytest.mark.parametrize(
    "message",
    [
        "server.prt: unknown: did you mean `server.port`?",
        'GET /v1/models HTTP/1.1" 200',
        "engine whisper-base on cpu: why? auto",
        "authorization failed from 127.0.0.1",
        "the bearer token is missing",
        "listening on http://127.0.0.1:8000",
    ],
)
def test_other_messages_stay_as_they_are(message: str) -> None:
    assert line(message).endswith(message)


def test_a_secret_in_a_traceback_is_cut_out(tmp_path: Path) -> None:
    set_up_logging(LoggingConfig(file=tmp_path / "log"))
    try:
        raise ValueError("https://host.example/?token=quartz failed")
    except ValueError:
        logging.getLogger(OURS).exception("fetching")
    text = (tmp_path / "log").read_text()
    assert "ValueError: https://host.example/?*** failed" in text


def test_nobody_forges_a_line(tmp_path: Path) -> None:
    set_up_logging(LoggingConfig(file=tmp_path / "log"))
    forged = "a\n2026-01-01T00:00:00+0000 INFO root: all is well\r\x1b[2J\x85"
    logging.getLogger(OURS).warning("name: %s", forged)
    try:
        raise ValueError(forged)
    except ValueError:
        logging.getLogger(OURS).exception("failed")
    lines = (tmp_path / "log").read_text().splitlines()
    starts = [text for text in lines if not text.startswith("  ")]
    assert [text.split(" ", 2)[1] for text in starts] == ["WARNING", "ERROR"]
    assert "\x1b" not in "".join(lines)


def logged(path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Standard error after a hundred records to a file at `path`."""
    handler = LogFile(path, max_bytes=65_536, backups=1)
    for _ in range(100):
        handler.handle(logging.LogRecord(OURS, logging.INFO, __file__, 1, "x" * 1000, (), None))
    handler.close()
    return capsys.readouterr().err


def test_a_full_disk_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    assert logged(Path("/dev/full"), capsys) == (
        "warning: the log file cannot be written: [Errno 28] No space left on device\n"
    )


def test_a_read_only_folder_is_told_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> None:
    tmp_path.chmod(0o555)
    request.getfixturevalue("unprivileged")
    shown = logged(tmp_path / "logs" / "log", capsys)
    assert shown.startswith("warning: the log file cannot be written: [Errno 13] Permission denied")
    assert shown.count("\n") == 1


def test_a_file_in_the_place_of_the_folder_is_told_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "logs").write_text("")
    assert logged(tmp_path / "logs" / "log", capsys).count("\n") == 1


def test_lost_records_are_not_kept(capsys: pytest.CaptureFixture[str]) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    logged(Path("/dev/full"), capsys)
    tracemalloc.start()
    logged(Path("/dev/full"), capsys)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 50_000  # of 100 kB that were lost


def test_writing_goes_on_when_it_can(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "logs").write_text("")
    handler = LogFile(tmp_path / "logs" / "log", max_bytes=65_536, backups=1)
    handler.handle(logging.LogRecord(OURS, logging.INFO, __file__, 1, "lost", (), None))
    (tmp_path / "logs").unlink()
    handler.handle(logging.LogRecord(OURS, logging.INFO, __file__, 1, "kept", (), None))
    handler.close()
    assert (tmp_path / "logs" / "log").read_text() == "kept\n"


def test_a_process_with_a_full_disk_ends_well() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    program = """
import logging
from pathlib import Path
from voxtral_streaming.config import LoggingConfig
from voxtral_streaming.logs import set_up_logging
set_up_logging(LoggingConfig(file=Path("/dev/full")))
logging.getLogger("voxtral_streaming").info("ready")
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert [text.split(" ", 1)[1] for text in ended.stderr.splitlines()] == [
        "INFO voxtral_streaming: ready",
        "the log file cannot be written: [Errno 28] No space left on device",
    ]
