"""`python -m bench.report RECORD.json… -o PAGE.html`."""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.record import Record
from bench.report.page import render


def main() -> None:
    """Draw records as a page; several are compared."""
    parser = argparse.ArgumentParser(prog="bench.report", description=main.__doc__)
    parser.add_argument("records", nargs="+", type=Path, help="records that bench.load wrote; the first one leads")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the page")
    arguments = parser.parse_args()
    page = render([Record.read(path) for path in arguments.records])
    arguments.output.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
