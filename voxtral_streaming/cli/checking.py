"""`voxtral check`."""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from rich.console import Console
from rich.table import Table
from rich.text import Text

from voxtral_streaming.config import Config
from voxtral_streaming.engines import explain
from voxtral_streaming.engines.whisper.weights import builtin_models, read_model
from voxtral_streaming.errors import WeightsError

PACKAGES = ("ctranslate2", "faster-whisper", "onnxruntime", "av", "soxr")
MARKS = {"ok": "✓", "missing": "·", "wrong": "✗"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `state` is ok, missing (an optional part) or wrong."""

    what: str
    state: str
    detail: str
    remedy: str = ""


def run(config: Config, *, as_json: bool) -> int:
    """Print what was found; 1 when something that is needed is wrong."""
    findings = list(_findings(config))
    if as_json:
        sys.stdout.write(json.dumps([asdict(finding) for finding in findings], ensure_ascii=False, indent=2) + "\n")
    else:
        _print(findings)
    return 1 if any(finding.state == "wrong" for finding in findings) else 0


def _findings(config: Config) -> Iterator[Finding]:
    python = f"Python {platform.python_version()} on {platform.machine()}"
    yield Finding("voxtral-streaming", "ok", f"{version('voxtral-streaming')}, {python}")
    yield Finding("engine", "ok", explain(config))
    yield _model(config)
    for name, model in builtin_models().items():
        if name != config.model.name:
            problems = model.verify()
            yield Finding(name, "missing" if problems else "ok", "; ".join(problems) or "weights and hashes are right")
    for package in PACKAGES:
        yield _package(package)
    yield _microphone()


def _model(config: Config) -> Finding:
    name = config.model.name
    try:
        files = read_model(name, config.model.revision)
    except WeightsError as error:
        return Finding(name, "wrong", error.message, "make install, or name another model")
    size = sum(map(len, files.values())) / 1e6
    checked = "hashes are right" if name in builtin_models() else "not a built-in model: no hashes to check"
    return Finding(name, "ok", f"{size:.0f} MB of weights, {checked}")


def _package(name: str) -> Finding:
    try:
        return Finding(name, "ok", version(name))
    except PackageNotFoundError:
        return Finding(name, "wrong", "not installed", "make install")


def _microphone() -> Finding:
    if find_spec("sounddevice") is None:
        remedy = "pip install 'voxtral-streaming[microphone]'"
        return Finding("microphone", "missing", "only standard input can be listened to", remedy)
    return Finding("microphone", "ok", f"sounddevice {version('sounddevice')}")


def _print(findings: list[Finding]) -> None:
    table = Table(box=None, show_header=False, pad_edge=False)
    for finding in findings:
        remedy = f"\n→ {finding.remedy}" if finding.remedy else ""
        table.add_row(MARKS[finding.state], Text(finding.what), Text(finding.detail + remedy))
    Console().print(table)
