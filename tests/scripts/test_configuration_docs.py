from __future__ import annotations

import runpy
from pathlib import Path

from voxtral_streaming.config.settings import KEYS


def test_the_page_is_what_the_code_says(root: Path) -> None:
    page = runpy.run_path(str(root / "scripts" / "configuration_docs.py"))["page"]()
    assert (root / "docs" / "configuration.md").read_text(encoding="utf-8") == page, "run `make docs`"


def test_every_setting_is_described(root: Path) -> None:
    script = runpy.run_path(str(root / "scripts" / "configuration_docs.py"))
    rows = [row for row in script["page"]().splitlines() if row.startswith("| `")]
    assert len(rows) == len(KEYS)
    assert all(cell.strip() for row in rows for cell in row.strip("|").split(" | "))
