"""Deepgram's `/v1/listen`, live and for recordings: see docs/dialects.md for what is taken of it."""
