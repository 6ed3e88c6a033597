"""Measuring tools: speed, latency, cost and accuracy on real speech. Run from the root: `python -m bench.load`."""
