"""`python -m bench.report RECORD.json… [-o PAGE.html]`: the page, or without `-o` the tables in Markdown."""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.output import a_file
from bench.record import Record
from bench.report import markdown, page


def main() -> None:
    """Show records; several are compared."""
    parser = argparse.ArgumentParser(prog="bench.report", description="A page, or tables in Markdown, from records.")
    parser.add_argument("records", nargs="+", type=Path, help="records that bench.load wrote; the first one leads")
    parser.add_argument("-o", "--output", type=a_file, help="write the page here")
    arguments = parser.parse_args()
    records = [Record.read(path) for path in arguments.records]
    if arguments.output:
        arguments.output.write_text(page.render(records), encoding="utf-8")
    else:
        print(markdown.results_table(records))


if __name__ == "__main__":
    main()
