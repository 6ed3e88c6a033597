"""Decoding of recordings in a process of its own, since a container may carry anything.

`launch` starts the process and hands it jobs; `process` is what runs there: it forks a confined
child for every job. They speak `wire`. Only `launch` and `wire` are for the rest of the package.
"""
