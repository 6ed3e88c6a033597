"""Live speech to text on your own machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from voxtral_streaming.transcriber import Transcriber as Transcriber

__all__ = ["Transcriber"]


def __getattr__(name: str) -> object:
    """`Transcriber`, imported when it is first asked for: importing the package stays cheap."""
    if name == "Transcriber":
        from voxtral_streaming.transcriber import Transcriber

        return Transcriber
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
