from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from voxtral_streaming.engines.voxtral.files import Family, family

PROGRAM = """
import sys
from pathlib import Path
from voxtral_streaming.config import ModelConfig, StreamingConfig
from voxtral_streaming.engines.voxtral.files import family, open_checkpoint
from voxtral_streaming.engines.voxtral.opening import open_realtime
from voxtral_streaming.errors import EngineUnavailable

folder = Path(sys.argv[1])
assert family(folder) == "voxtral_realtime" and open_checkpoint(folder).facts.vocab_size == 512
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
        ("config.json", {"model_type": "voxtral_realtime"}, "voxtral_realtime"),
        ("config.json", {"model_type": "voxtral"}, "voxtral"),
        ("config.json", {"model_type": "llama"}, None),
        ("params.json", {"ada_rms_norm_t_cond": True}, "voxtral_realtime"),
        ("params.json", {"multimodal": {"whisper_model_args": {}}}, "voxtral"),
        ("params.json", {"dim": 3072}, None),
        ("readme.json", {}, None),
    ],
)
def test_models_are_told_apart_by_their_files(
    tmp_path: Path, file: str, content: dict[str, object], expected: Family | None
) -> None:
    (tmp_path / file).write_text(json.dumps(content))
    assert family(tmp_path) == expected
