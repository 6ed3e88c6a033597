"""Doors for programs of the first layout: the project is the package `voxtral_streaming`."""
