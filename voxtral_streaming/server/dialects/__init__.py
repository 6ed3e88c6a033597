"""The languages that clients speak over a WebSocket: pure translations, without I/O."""
