"""Voice activity: from samples to utterances."""

from voxtral_streaming.vad.endpointer import open_endpointer

__all__ = ["open_endpointer"]
