"""Text for clients that only append: what they are sent cannot be taken back."""

from __future__ import annotations

import re

from voxtral_streaming.engines.agreement import covered

PIECE = re.compile(
    r"\s*(?:[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|[^\s\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+)"
)
"""A word with the space before it, or a character of a script that puts no spaces between words."""


class Deltas:
    """What to append for the text of one utterance, from its first partial to its final.

    The joined deltas are the final text, unless words that were stable differ in the final: they stay as they
    were sent, what follows them in the final comes behind them, and only the final has them right.
    """

    def __init__(self, lead: str = "") -> None:
        """`lead` goes before the first delta, to part it from what the client has."""
        self._lead = lead
        self._told = ""

    def tell(self, text: str) -> str:
        """What is missing of the stable text of a partial, or of the final text; may be empty."""
        text = text.strip()
        if text.startswith(self._told):
            return self._say(text[len(self._told) :])
        pieces = PIECE.findall(text)
        return self._say("".join(pieces[covered(PIECE.findall(self._told), pieces) :]))

    def _say(self, text: str) -> str:
        lead = self._lead if text and not self._told else ""
        self._told += text
        return lead + text


class RunningText:
    """The deltas of utterances that follow each other in one text, parted by spaces."""

    def __init__(self) -> None:
        self._utterance = Deltas()
        self._has_text = False

    def grow(self, stable: str) -> str:
        """What is new in the stable text of a partial; may be empty."""
        return self._noted(self._utterance.tell(stable))

    def settle(self, text: str) -> str:
        """What is missing of an utterance's final text, which ends it; may be empty."""
        rest = self._noted(self._utterance.tell(text))
        self._utterance = Deltas(" " if self._has_text else "")
        return rest

    def _noted(self, delta: str) -> str:
        self._has_text = self._has_text or bool(delta)
        return delta
