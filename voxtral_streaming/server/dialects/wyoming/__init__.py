"""Wyoming over TCP, as Home Assistant speaks it: see docs/dialects.md."""
