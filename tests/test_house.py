"""The rules of the house, read off the tree: floors, what may be imported where, what may not stand anywhere."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PACKAGE = "voxtral_streaming"

FLOORS = (  # from the ground up; a room sees its own floor and those below
    (
        "voxtral_streaming.errors",
        "voxtral_streaming.transcript",
        "voxtral_streaming.audio.clock",
        "voxtral_streaming.audio.units",
    ),
    ("voxtral_streaming.config",),
    ("voxtral_streaming.logs", "voxtral_streaming.memory", "voxtral_streaming.packages"),
    ("voxtral_streaming.formats", "voxtral_streaming.captions"),
    ("voxtral_streaming.audio",),
    ("voxtral_streaming.vad",),
    ("voxtral_streaming.engines",),
    (
        "voxtral_streaming.recognise",
        "voxtral_streaming.utterance",
        "voxtral_streaming.pace",
        "voxtral_streaming.silences",
        "voxtral_streaming.asking",
    ),
    ("voxtral_streaming.transcriber", "voxtral_streaming.client"),
    ("voxtral_streaming.server",),
    ("voxtral_streaming.cli",),
    ("voxtral_streaming",),  # the names that the package offers
    ("bench", "scripts", "src"),
)
VOXTRAL = ("voxtral_streaming.engines.voxtral", "voxtral_streaming.engines.voxtral_offline")
HOMES: dict[str, str | tuple[str, ...]] = {  # what may be imported in one place only
    "torch": VOXTRAL,
    "safetensors": VOXTRAL,
    "mistral_common": VOXTRAL,
    "ray": "voxtral_streaming.engines.ray",
    "ctranslate2": "voxtral_streaming.engines.whisper",
    "onnx": "voxtral_streaming.engines.whisper",
    "onnxruntime": ("voxtral_streaming.engines.whisper", "voxtral_streaming.vad"),
    "av": "voxtral_streaming.audio",
    "fastapi": "voxtral_streaming.server",
    "starlette": "voxtral_streaming.server",
    "uvicorn": "voxtral_streaming.server",
    "typer": "voxtral_streaming.cli",
}
WITH_EXTRAS = (*VOXTRAL, "voxtral_streaming.cli.microphone")
OWN = {PACKAGE, "bench", "scripts", "src"}
MAX_FUNCTION_LINES = 60


def module_name(path: Path) -> str:
    """`voxtral_streaming.vad` of `voxtral_streaming/vad/__init__.py`."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


PACKAGE_SOURCES = sources(PACKAGE)
ALL_SOURCES = sources(PACKAGE, "src", "bench", "scripts")
each_source = pytest.mark.parametrize("path", ALL_SOURCES, ids=module_name)


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path: Path, *, at_run_time: bool = False) -> Iterator[str]:
    """The modules that a file imports, also inside functions; `from a import b` gives `a.b` where that is a module."""
    for node in nodes(tree(path), at_run_time=at_run_time):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide where a name comes from"
            assert node.module is not None
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name if is_own_module(name) else node.module


def nodes(node: ast.AST, *, at_run_time: bool) -> Iterator[ast.AST]:
    """The node and all below it; at run time, nothing under `if TYPE_CHECKING`."""
    if at_run_time and isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return
    yield node
    for child in ast.iter_child_nodes(node):
        yield from nodes(child, at_run_time=at_run_time)


def is_own_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def stands_in(module: str, room: str | tuple[str, ...]) -> bool:
    rooms = (room,) if isinstance(room, str) else room
    return any(module == one or module.startswith(f"{one}.") for one in rooms)


def floor(module: str) -> int:
    """The floor of the most specific room that a module stands in."""
    rooms = [(len(room), number) for number, floor in enumerate(FLOORS) for room in floor if stands_in(module, room)]
    assert rooms, f"{module} has no floor: give it one in FLOORS"
    return max(rooms)[1]


@each_source
def test_no_floor_looks_up(path: Path) -> None:
    module = module_name(path)
    own = [name for name in imports(path) if name.split(".")[0] in OWN]
    looking_up = [name for name in own if floor(name) > floor(module)]
    assert looking_up == [], f"{module} looks up"


def test_every_module_of_the_package_has_a_floor_of_its_own() -> None:
    roof = FLOORS.index((PACKAGE,))
    homeless = [module_name(path) for path in PACKAGE_SOURCES if floor(module_name(path)) == roof]
    assert homeless == [PACKAGE]


@pytest.mark.parametrize("path", PACKAGE_SOURCES, ids=module_name)
def test_what_has_a_home_is_imported_only_there(path: Path) -> None:
    module = module_name(path)
    for name in imports(path):
        home = HOMES.get(name.split(".")[0])
        assert home is None or stands_in(module, home), f"{module} imports {name}, whose home is {home}"


def test_no_import_goes_in_a_circle() -> None:
    graph = {module_name(path): set(imports(path, at_run_time=True)) for path in PACKAGE_SOURCES}
    while leaves := [module for module, needs in graph.items() if not needs & graph.keys()]:
        for module in leaves:
            del graph[module]
    assert graph == {}, "these import each other, or one that does"


def distributions(*, extras: bool) -> set[str]:
    """The distributions that the package declares, with those of its extras or without."""
    declared = [Requirement(line) for line in requires("voxtral-streaming") or []]
    return {canonicalize_name(one.name) for one in declared if extras or "extra" not in str(one.marker)}


@cache
def owners() -> Mapping[str, list[str]]:
    """The distributions that each top-level module belongs to."""
    return packages_distributions()


def third_parties(path: Path) -> set[str]:
    """The distributions that a file imports from."""
    modules = {name.split(".")[0] for name in imports(path)} - sys.stdlib_module_names - OWN
    return {canonicalize_name(owners().get(module, [module])[0]) for module in modules}


@each_source
def test_every_import_is_declared(path: Path) -> None:
    """Only what an extra is for may need the extra."""
    module = module_name(path)
    needs_extra = not stands_in(module, PACKAGE) or any(stands_in(module, room) for room in WITH_EXTRAS)
    declared = distributions(extras=needs_extra) | {"pydantic-core"}  # comes with pydantic, in its one right version
    assert third_parties(path) - declared == set()


@each_source
def test_functions_are_small(path: Path) -> None:
    functions = [node for node in ast.walk(tree(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    long = [node.name for node in functions if (node.end_lineno or 0) - node.lineno >= MAX_FUNCTION_LINES]
    assert long == []


@each_source
def test_no_weights_run_code(path: Path) -> None:
    """Pickles run code, and so does what a model's repository brings along."""
    assert not {name.split(".")[0] for name in imports(path)} & {"pickle", "marshal", "shelve", "dill", "joblib"}
    for node in ast.walk(tree(path)):
        assert not (isinstance(node, ast.Attribute) and ast.unparse(node) in {"torch.load", "torch.hub"})
        if isinstance(node, ast.keyword) and node.arg in {"trust_remote_code", "allow_pickle"}:
            assert ast.unparse(node.value) == "False"


def committed_texts() -> Iterator[tuple[str, str]]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    for name in filter(None, listed.stdout.split("\0")):
        try:
            yield name, (ROOT / name).read_text(encoding="utf-8")
        except (UnicodeDecodeError, FileNotFoundError):  # a picture or a sound; a file about to be removed
            continue


def test_no_machine_and_no_registry_is_named() -> None:
    hosts = [r"py" r"pi\.org", r"pythonhosted\.", r"npm" r"js\.", r"deb\." r"debian"]
    folders = [r"(?<![\w.}])/wo" r"rk/", r"(?<![\w.}])/ho" r"me/\w", r"(?<![\w.}])/ro" r"ot/", r"/opt/wh" r"eels"]
    named = re.compile("|".join([*hosts, *folders, r"--(extra-)?index" r"-url[ =]", r"--find" r"-links"]))
    found = [f"{name}: {match[0]}" for name, text in committed_texts() for match in [named.search(text)] if match]
    assert found == []


@pytest.mark.parametrize(
    "program",
    [
        "from src.models.voxtral_model_realtime import voxtral_model",
        "from src.models.audio_processor_realtime import AudioProcessor; AudioProcessor.process_audio_from_url",
        "from voxtral_streaming import Transcriber; Transcriber.transcribe_from_url",
        "from voxtral_streaming.config import Config, load_config",
        "from voxtral_streaming.cli.main import app",
    ],
)
def test_promised_names_are_there_and_load_nothing(program: str) -> None:
    check = f"import sys; {program}; assert not {{'torch', 'ctranslate2'}} & set(sys.modules), 'an engine was loaded'"
    subprocess.run([sys.executable, "-W", "error", "-c", check], cwd=ROOT, check=True)


def test_the_promised_script_is_there() -> None:
    assert (ROOT / "scripts" / "benchmark_latency.py").is_file()
