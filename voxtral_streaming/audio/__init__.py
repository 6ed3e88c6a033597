"""Audio: everything between a source of bytes and `Samples`."""
