from __future__ import annotations

import subprocess
import sys


def test_the_process_loads_little() -> None:
    """What it loads is what every decoder holds, and what its start takes."""
    heavy = {"asyncio", "httpcore", "pydantic", "ssl", "torch", "ctranslate2", "onnxruntime", "scipy"}
    code = f"import sys, voxtral_streaming.audio.decoder.process; print(*{heavy} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == ""
