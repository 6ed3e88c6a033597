from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from voxtral_streaming.engines.voxtral.files import is_realtime

PROGRAM = """
import sys
from pathlib import Path
from voxtral_streaming.config import ModelConfig, StreamingConfig
from voxtral_streaming.engines.voxtral.files import is_realtime, open_checkpoint
from voxtral_streaming.engines.voxtral.opening import open_realtime
from voxtral_streaming.errors import EngineUnavailable

folder = Path(sys.argv[1])
assert is_realtime(folder) and open_checkpoint(folder).facts.vocab_size == 512
assert "torch" not in sys.modules
sys.modules["torch"] = None  # as if it were not installed
try:
    open_realtime(ModelConfig(name=str(folder), device="cpu"), StreamingConfig())
except EngineUnavailable as error:
    print(error)
"""


def test_without_torch_the_error_says_what_to_install(tiny: Path) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(tiny)], capture_output=True, text=True, check=True)
    assert "needs torch" in done.stdout
    assert "voxtral-streaming[voxtral]" in done.stdout


@pytest.mark.parametrize(
    ("file", "content", "expected"),
    [
        ("config.json", {"model_type": "voxtral_realtime"}, True),
        ("config.json", {"model_type": "voxtral"}, False),
        ("params.json", {"ada_rms_norm_t_cond": True}, True),
        ("params.json", {"dim": 3072}, False),
        ("readme.json", {}, False),
    ],
)
def test_models_are_told_apart_by_their_files(
    tmp_path: Path, file: str, content: dict[str, object], expected: bool
) -> None:
    (tmp_path / file).write_text(json.dumps(content))
    assert is_realtime(tmp_path) is expected
