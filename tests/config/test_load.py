"""The bar for a wrong configuration: one error, every problem, and never a secret in it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from voxtral_streaming.config import Config, ServerConfig, VadConfig, dump, load_config
from voxtral_streaming.errors import ConfigError, ConfigProblem

REQUIRED: dict[str, dict[str, Any]] = {
    "model": {"name": "whisper-base", "device": "cpu"},
    "audio": {"sample_rate": 16000},
    "vad": {"threshold": 0.01},
}
KEY = "a-key-of-sixteen"


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def write(content: str | bytes | Mapping[str, Any]) -> Path:
        path = tmp_path / "config.yaml"
        if isinstance(content, Mapping):
            content = yaml.safe_dump(content)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def with_setting(key: str, value: Any) -> dict[str, Any]:
    section, name = key.split(".")
    return {**REQUIRED, section: {**REQUIRED.get(section, {}), name: value}}


def problems(path: Path | None, environ: Mapping[str, str] | None = None) -> tuple[ConfigProblem, ...]:
    with pytest.raises(ConfigError) as caught:
        load_config(path, environ or {})
    return caught.value.problems


def test_without_a_file_the_packaged_defaults_run() -> None:
    config = load_config(None, {})
    assert (config.model.name, config.audio.sample_rate, config.vad.threshold) == ("whisper-base", 16000, 0.01)


def test_the_example_in_the_repository_is_valid(root: Path) -> None:
    config = load_config(root / "config.yaml", {})
    assert config.spectrogram.n_mels == 32


def test_required_keys_must_stand_in_a_users_file(write: Any) -> None:
    found = problems(write("server: {port: 9000}\n"))
    assert [(problem.key, problem.value) for problem in found] == [
        ("model.name", "missing"),
        ("model.device", "missing"),
        ("audio.sample_rate", "missing"),
        ("vad.threshold", "missing"),
    ]


def test_an_empty_section_is_its_defaults(write: Any) -> None:
    config = load_config(write("server:\nmodel: {name: whisper-base, device: cpu}\naudio: {sample_rate: 16000}\n"
                               "vad: {threshold: 0}\n"), {})  # fmt: skip
    assert config.server == ServerConfig()


FILES = {
    "empty": (b"", "file", "empty"),
    "only comments": (b"# nothing\n", "file", "empty"),
    "not YAML": (b"\t: [", "line 1, column 1", "tab"),
    "a list": (b"- a\n- b\n", "file", '["a", "b"]'),
    "a scalar": (b"hello", "file", '"hello"'),
    "a python object": (b"model: !!python/object/apply:os.system ['touch pwned']", "line 1, column 8", "tags"),
    "aliases": (b"a: &a [x, x]\nb: &b [*a, *a]\n", "line 1, column 4", "aliases"),
    "UTF-16": ("model: {}".encode("utf-16"), "file", "byte order mark"),
    "a byte order mark": (b"\xef\xbb\xbfmodel: {}", "file", "byte order mark"),
    "not UTF-8": (b"model: {name: \xff}", "file", "not UTF-8"),
    "a NUL": (b"model: \x00", "file", "a character that YAML does not allow"),
    "duplicate keys": (b"server: {port: 1, port: 2}", "line 1, column 19", "`port` stands twice"),
    "duplicate sections": (b"vad:\nvad:\n", "line 2, column 1", "`vad` stands twice"),
    "two documents": (b"vad: {}\n---\nvad: {}\n", "line 2, column 1", "another document"),
    "a key that is no text": (b"1: {}\n", "line 1, column 1", "a key must be a text"),
    "nested deeply": (b"vad: " + b"[" * 10_000, "line 1, column 13", "nested too deeply"),
    "very long": (b"vad: [" + b"1," * 20_000, "line 1", "too long"),
    "half a surrogate": (b'model: {name: "\\ud800"}', "line 1, column 15", "surrogate"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_cannot_be_read_is_answered(name: str, write: Any) -> None:
    content, place, words = FILES[name]
    started = time.monotonic()
    (problem,) = problems(write(content))
    assert problem.key.startswith(place)
    assert words in f"{problem.value} {problem.expected}".replace("'\\t'", "tab")
    assert time.monotonic() - started < 10


def test_no_object_is_made(write: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    problems(write("model: !!python/object/apply:os.system ['touch pwned']"))
    assert not (tmp_path / "pwned").exists()


def test_a_missing_file(tmp_path: Path) -> None:
    assert problems(tmp_path / "none.yaml")[0].value == "No such file or directory"


def test_a_directory_and_a_device_are_no_files(tmp_path: Path) -> None:
    assert problems(tmp_path)[0].value == "not a file"
    assert problems(Path("/dev/zero"))[0].value == "not a file"


def test_an_unreadable_file(write: Any, request: pytest.FixtureRequest) -> None:
    path = write(REQUIRED)
    path.chmod(0)
    request.getfixturevalue("unprivileged")
    assert problems(path)[0].value == "Permission denied"


def test_a_sparse_gigabyte_is_refused_without_reading_it(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    with path.open("wb") as file:
        file.truncate(2**30)
    assert problems(path)[0].value == "too large"


BAD_VALUES: dict[str, list[Any]] = {
    "server.port": [-1, 0, 65536, "abc", 80.5, "None", True, "8000"],
    "audio.sample_rate": [0, -16000, 1, 7999, 10**9, "16k", float("inf")],
    "vad.threshold": [-0.1, 1.1, "high", float("nan")],
    "vad.min_silence_duration_ms": [-1, 10**9, "1s"],
    "server.max_sessions": [0, -1, 10**9, "many", 1.5, True, ["auto"]],
    "audio.max_bytes": [0, -5, 10**12],
    "model.engine": ["", "gpt", "None", ["whisper"]],
    "model.name": ["", "/nonexistent", "/etc", "/dev/null", "../../x", "gpt", "a/b/c",
                   "x" * 5000 + "/y", "/" + "x" * 5000],
    "model.device": ["cuda:-1", "tpu", "CUDA", ""],
    "server.allowed_origins": ["*", ["*"], ["http//x"], [""], 5, ["https://x/"], ["https://x:443"], ["https://X.org"]],
    "server.api_keys": [[""], ["short"], ["env:MISSING"], ["env:MISSING_AND_RATHER_LONG"], "None", [1234567890123456]],
    "server.host": ["", "a b", "http://x", 5],
    "server.trusted_proxies": [["proxy.example"], ["10.0.0.0/33"], [5]],
    "server.max_wrong_keys_per_minute": [0, -1, "many"],
    "server.tls_key": ["/nonexistent/key.pem", "/etc"],
    "logging.level": ["LOUD", 5],
    "logging.file": ["", "/", 5],
    "model.workers": [0, -1, 10**6],
    "model.encoder_threads": [0, 65, "all", 1.5],
    "server.idle_timeout_s": [-1, 0, "10m"],
    "model.revision": ["main", "0" * 39],
    "model.max_memory_per_gpu": [16, "16", "0GB", "-1GB"],
    "audio.allowed_dirs": [["relative"], ["/nonexistent"], "/etc"],
    "audio.allowed_hosts": [["*"], ["http://x"], ["a b"]],
}  # fmt: skip


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in BAD_VALUES.items() for value in values])
def test_a_bad_value_is_named_with_what_would_be_right(key: str, value: Any, write: Any) -> None:
    (problem,) = problems(write(with_setting(key, value)))
    assert problem.key.startswith(key)
    assert problem.value
    assert problem.expected


@pytest.mark.parametrize("key", BAD_VALUES)
def test_the_environment_is_held_to_the_same(key: str, write: Any) -> None:
    variable = f"VOXTRAL_{key.replace('.', '__').upper()}"
    for value in BAD_VALUES[key]:
        text = yaml.safe_dump(value, default_flow_style=True).removesuffix("\n...\n")
        (problem,) = problems(write(REQUIRED), {variable: text})
        assert problem.key.startswith(f"{key} ({variable})")


def test_the_environment_wins_over_the_file(write: Any) -> None:
    environ = {
        "VOXTRAL_SERVER__PORT": "9000",
        "VOXTRAL_MODEL__LANGUAGE": "no",
        "VOXTRAL_LOGGING__FILE": "null",
        "VOXTRAL_SERVER__ALLOWED_ORIGINS": '["https://a.example", "https://b.example"]',
        "VOXTRAL_PORT": "tcp://10.0.0.1:80",  # as orchestrators set them for a service called voxtral
        "UNRELATED__KEY": "1",
    }
    config = load_config(write(with_setting("server.port", 1)), environ)
    assert config.server.port == 9000
    assert config.model.language == "no"
    assert config.logging.file is None
    assert config.server.allowed_origins == ("https://a.example", "https://b.example")


def test_a_variable_can_mend_the_file(write: Any) -> None:
    assert (
        load_config(write(with_setting("model.device", "tpu")), {"VOXTRAL_MODEL__DEVICE": "cpu"}).model.device == "cpu"
    )


@pytest.mark.parametrize(
    ("content", "place", "hint"),
    [
        ({"prt": 1}, "prt", "did you mean `server.port`?"),
        ({"threshold": 1}, "threshold", "did you mean `vad.threshold`?"),
        ({"servers": {"port": 1}}, "servers", "did you mean `server`?"),
        ({"vad": {"threshold": 0.01, "min_silence_ms": 3}}, "vad.min_silence_ms", "`vad.min_silence_duration_ms`?"),
        ({"unknown_key": 1}, "unknown_key", "one of `server`, `model`, "),
        ({"server": {"zzz": 1}}, "server.zzz", "one of `host`, `port`, "),
    ],
)
def test_an_unknown_key_gets_a_suggestion(content: dict[str, Any], place: str, hint: str, write: Any) -> None:
    (problem,) = problems(write({**REQUIRED, **content}))
    assert (problem.key, problem.value) == (place, "unknown")
    assert hint in problem.expected


@pytest.mark.parametrize(
    ("variable", "hint"),
    [
        ("VOXTRAL_SERVER__PROT", "did you mean `server.port`?"),
        ("VOXTRAL_SERVR__PORT", "did you mean `server.port`?"),
        ("VOXTRAL_VAD__MIN__SILENCE", "did you mean `vad."),
        ("VOXTRAL_SERVER__", "one of `host`, "),
    ],
)
def test_an_unknown_variable_gets_a_suggestion(variable: str, hint: str, write: Any) -> None:
    (problem,) = problems(write(REQUIRED), {variable: "1"})
    assert variable in problem.key
    assert hint in problem.expected


def test_every_problem_is_in_one_error(write: Any) -> None:
    content = {
        "server": {"port": 0, "host": "0.0.0.0", "alowed_origins": []},
        "model": {"name": "whisper-base"},
        "audio": {"sample_rate": 8000},
        "vad": {"threshold": 2, "min_silence_duration_ms": 900},
        "spectrogram": {"win_length": 512},
        "streaming": 5,
    }
    with pytest.raises(ConfigError) as caught:
        load_config(write(content), {"VOXTRAL_LOGGING__LEVEL": "[", "VOXTRAL_MODEL__ENGINE": "gpt"})
    named = {problem.key for problem in caught.value.problems}
    assert named == {
        "server.port",
        "server.alowed_origins",
        "model.device",
        "model.engine (VOXTRAL_MODEL__ENGINE)",
        "audio.sample_rate",
        "vad.threshold",
        "spectrogram.win_length",
        "streaming",
        "VOXTRAL_LOGGING__LEVEL",
    }
    assert all(problem.expected in str(caught.value) for problem in caught.value.problems)
    assert str(write(content)) in str(caught.value)


def test_values_that_are_wrong_beside_others(write: Any) -> None:
    (window,) = problems(write({**REQUIRED, "spectrogram": {"n_fft": 128}}))
    assert (window.key, window.value, window.expected) == (
        "spectrogram.win_length", "256", "at most `n_fft`, which is 128",
    )  # fmt: skip
    (certificate,) = problems(write(with_setting("server.tls_key", __file__)))
    assert (certificate.key, certificate.value) == ("server.tls_cert", "null")
    (endpoint,) = problems(write(with_setting("vad.min_silence_duration_ms", 501)))
    assert (endpoint.key, endpoint.value) == ("streaming.endpoint_silence_ms", "500")
    found = problems(write({**with_setting("vad.min_silence_duration_ms", 501), "server": {"port": 0}}))
    assert [problem.key for problem in found] == ["server.port", "streaming.endpoint_silence_ms"]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org"])
def test_beyond_loopback_needs_keys_or_a_word(host: str, write: Any) -> None:
    (problem,) = problems(write({**REQUIRED, "server": {"host": host}}))
    assert (problem.key, problem.value) == ("server.host", f'"{host}"')
    assert load_config(write({**REQUIRED, "server": {"host": host, "insecure": True}}), {}).server.host == host
    assert load_config(write({**REQUIRED, "server": {"host": host, "api_keys": [KEY]}}), {}).server.host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost", "LOCALHOST"])
def test_loopback_needs_nothing(host: str, write: Any) -> None:
    assert load_config(write({**REQUIRED, "server": {"host": host}}), {}).server.host == host


def test_a_key_may_stand_in_a_variable(write: Any) -> None:
    path = write(with_setting("server.api_keys", ["env:FIRST", KEY]))
    keys = load_config(path, {"FIRST": "another-long-key"}).server.api_keys
    assert [key.get_secret_value() for key in keys] == ["another-long-key", KEY]


def test_a_missing_variable_is_named(write: Any) -> None:
    (problem,) = problems(write(with_setting("server.api_keys", ["env:MISSING_KEY_OF_LENGTH"])))
    assert (problem.key, problem.value) == ("server.api_keys[0]", '"env:MISSING_KEY_OF_LENGTH"')


SECRET = "hush quartz"  # invalid, for its space and its length


@pytest.mark.parametrize(
    "content",
    [
        with_setting("server.api_keys", [SECRET]),
        with_setting("server.api_keys", SECRET),
        with_setting("server.api_keys", {"key": SECRET}),
        with_setting("server.api_keys", ["env:HELD"]),
        with_setting("server.api_kyes", [SECRET]),
        {**REQUIRED, "servr": {"api_keys": [SECRET]}},
        f'server:\n  api_keys: ["{SECRET}"\nmodel: x\n',
        f"server:\n  api_keys: '{SECRET}\n",
        f"server: {{api_keys: *{SECRET}}}\n",
        f"server:\n  api_keys: [!{SECRET}]\n",
    ],
)
def test_no_message_holds_a_secret(content: Any, write: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(write(content), {"HELD": SECRET})
    assert "hush" not in str(caught.value)
    assert "quartz" not in str(caught.value)


def test_nothing_that_is_shown_holds_a_secret(write: Any) -> None:
    config = load_config(write(with_setting("server.api_keys", [KEY])), {})
    for shown in (dump(config), repr(config), str(config), config.model_dump_json(), f"{config.server.api_keys}"):
        assert KEY not in shown
    assert "api_keys:\n  - '***'" in dump(config)


def test_the_dump_can_be_read_again(write: Any) -> None:
    config = load_config(None, {"VOXTRAL_VAD__THRESHOLD": "0.5", "VOXTRAL_MODEL__LANGUAGE": "no"})
    assert load_config(write(dump(config)), {}) == config


def test_sections_can_be_made_in_code() -> None:
    config = Config.model_validate({**REQUIRED, "vad": VadConfig(threshold=0.5, pre_roll_ms=0)})
    assert config.vad.pre_roll_ms == 0
    with pytest.raises(ValueError, match=r"at least `vad\.min_silence_duration_ms`"):
        Config.model_validate(with_setting("vad.min_silence_duration_ms", 501))
    with pytest.raises(ValueError, match="a key of 16 to 512 printable characters"):
        ServerConfig.model_validate({"api_keys": ["short"]})


def test_reading_the_configuration_loads_no_engine(root: Path) -> None:
    program = (
        "import sys, voxtral_streaming.config; print(sorted({'torch', 'ctranslate2', 'numpy'} & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=root)
    assert shown.stdout.strip() == "[]"
