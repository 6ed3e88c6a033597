"""`voxtral download`, against a hub of the test's own."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from voxtral_streaming.cli import downloading
from voxtral_streaming.engines import download as module
from voxtral_streaming.engines.download import Download, fetch, plan_download
from voxtral_streaming.engines.voxtral.files import find_files, locate
from voxtral_streaming.errors import EngineUnavailable, WeightsError

COMMIT = "0123456789abcdef0123456789abcdef01234567"
MODEL = "someone/voxtral"
BIG = bytes(range(256)) * 8192  # 2 MiB
FILES = {
    "config.json": b'{"model_type": "voxtral"}',
    "params.json": b"{}",
    "tekken.json": b'{"vocab": []}',
    "README.md": b"hello\n",
    "logo.png": b"no weights",
    "model-00001-of-00002.safetensors": BIG,
    "model-00002-of-00002.safetensors": BIG[::-1],
    "model.safetensors.index.json": b"{}",
    "consolidated.safetensors": BIG + BIG,
}


@dataclass
class Hub:
    """A hub that answers what huggingface_hub asks; it can drop connections and send something else."""

    files: dict[str, bytes] = field(default_factory=lambda: dict(FILES))
    ranges: list[tuple[str, str | None]] = field(default_factory=list)
    drop_after: dict[str, int] = field(default_factory=dict)  # bytes, once
    altered: set[str] = field(default_factory=set)
    endpoint: str = ""

    def info(self) -> dict[str, Any]:
        siblings = []
        for name, content in self.files.items():
            git = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
            one: dict[str, Any] = {"rfilename": name, "size": len(content), "blobId": git}
            if name.endswith(".safetensors"):
                one["lfs"] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}
            siblings.append(one)
        return {"id": MODEL, "sha": COMMIT, "siblings": siblings}


def handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

        def do_GET(self) -> None:
            path = unquote(urlsplit(self.path).path)
            if re.fullmatch(rf"/api/models/{MODEL}(/revision/[\w.]+)?", path):
                self.answer(200, json.dumps(hub.info()).encode())
            elif path.startswith(f"/{MODEL}/resolve/{COMMIT}/"):
                self.send_file(path.rpartition("/")[2])
            else:
                self.answer(404, b"{}", ("X-Error-Code", "RepoNotFound"))

        def send_file(self, name: str) -> None:
            asked = self.headers.get("Range")
            hub.ranges.append((name, asked))
            content = hub.files[name] if name not in hub.altered else hub.files[name][::-1]
            start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
            status = 206 if asked else 200
            self.answer(status, content[start:], ("ETag", '"x"'), cut=hub.drop_after.pop(name, None))

        def answer(self, status: int, body: bytes, *headers: tuple[str, str], cut: int | None = None) -> None:
            self.send_response(status)
            for name, value in (("Content-Length", str(len(body))), ("Content-Type", "application/json"), *headers):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body[:cut])
            self.close_connection = cut is not None

    return Handler


@pytest.fixture
def hub() -> Iterator[Hub]:
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(hub))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    hub.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    yield hub
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def plan(hub: Hub, tmp_path: Path) -> Callable[..., Download]:
    def make(model: str = MODEL, **options: Any) -> Download:
        environ = {"HF_HUB_CACHE": str(tmp_path)}
        return plan_download(model, endpoint=hub.endpoint, environ=environ, **options)

    return make


def names(download: Download) -> set[str]:
    return {file.name for file in download.files}


def test_one_layout_is_enough(plan: Any) -> None:
    besides = {"tekken.json", "README.md"}
    shards = {name for name in FILES if name.startswith("model")}
    assert names(plan()) == {"config.json", *shards, *besides}
    assert names(plan(layout="mistral")) == {"consolidated.safetensors", "params.json", *besides}


def test_what_comes_is_found_by_the_engine(plan: Any, tmp_path: Path) -> None:
    download = plan()
    assert download.n_missing_bytes == download.n_bytes > 2 * len(BIG)
    folder = fetch(download)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        name: FILES[name] for name in names(download)
    }
    assert locate(MODEL, None, {"HF_HUB_CACHE": str(tmp_path)}) == folder
    assert len(find_files(folder).files) == 2
    assert plan().n_missing_bytes == 0


def test_what_is_here_is_not_fetched_again(plan: Any, hub: Hub) -> None:
    fetch(plan())
    hub.ranges.clear()
    fetch(plan())
    assert hub.ranges == []


def test_a_download_goes_on_where_it_ended(plan: Any, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a dropped connection by itself, and after the end of the program when it is asked again."""
    monkeypatch.setattr("time.sleep", lambda _: None)
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 65_536)
    name = "model-00001-of-00002.safetensors"
    hub.drop_after[name] = 700_000
    first = plan()
    part = first.part(next(file for file in first.files if file.name == name))
    part.parent.mkdir(parents=True)
    part.write_bytes(BIG[:100_000])
    assert plan().n_missing_bytes == first.n_bytes - 100_000
    folder = fetch(first)
    assert (folder / name).read_bytes() == BIG
    asked = [range_ for one, range_ in hub.ranges if one == name]
    assert asked[0] == "bytes=100000-"
    assert len(asked) == 2
    assert asked[1] is not None
    assert int(asked[1][6:-1]) > 100_000
    assert not part.exists()


@pytest.mark.parametrize("name", ["model-00002-of-00002.safetensors", "tekken.json"])
def test_what_is_not_what_the_hub_says_is_removed(plan: Any, hub: Hub, name: str) -> None:
    hub.altered.add(name)
    with pytest.raises(WeightsError, match=f"{name}: what came is not"):
        fetch(plan())
    hub.altered.clear()
    assert (fetch(plan()) / name).read_bytes() == FILES[name]


def test_a_disk_that_is_too_small_is_told_before_anything_comes(
    plan: Any, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SPARE_BYTES", 10**18)
    with pytest.raises(EngineUnavailable, match="GB are needed"):
        fetch(plan())
    assert hub.ranges == []


def test_a_model_that_is_not_there_and_a_hub_that_is_not_there(plan: Any, hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="nobody/nothing"):
        plan("nobody/nothing")
    with pytest.raises(WeightsError, match="a b c"):
        plan("a b c")
    hub.files = {"config.json": b"{}"}
    with pytest.raises(WeightsError, match="no safetensors"):
        plan()
    with pytest.raises(EngineUnavailable, match="cannot be reached"):
        plan_download(MODEL, endpoint="http://127.0.0.1:9", environ={"HF_HUB_CACHE": str(tmp_path)})


def test_the_command_says_how_much_and_does_nothing_unasked(
    plan: Any, hub: Hub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(downloading, "plan_download", lambda model, *_: plan(model))
    assert downloading.run(MODEL, None, None, is_agreed=False) == 1
    told, complaint = capsys.readouterr()
    assert told.startswith(f"{MODEL} at 0123456789ab: 0.0 GB in 6 files; to ")
    assert complaint == "voxtral: nothing was downloaded\n"
    assert hub.ranges == []
    assert downloading.run(MODEL, None, None, is_agreed=True) == 0
    assert capsys.readouterr().out.endswith(f"snapshots/{COMMIT}\n")
