"""The page of a run, or of several side by side: `python -m bench.report RECORD.json… -o PAGE.html`."""
