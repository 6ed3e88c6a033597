"""`tekken.json` of a model for recordings: text to tokens and back, and the prompts that the model was trained on.

Prompts are built here from ids, without a round trip of the audio through files; the tests compare them with
mistral-common's. For the tokens of text mistral-common's own tokenizer is asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path

from mistral_common.tokens.tokenizers.tekken import Tekkenizer

from voxtral_streaming.engines.base import Turn
from voxtral_streaming.engines.voxtral.facts import Section, read_json
from voxtral_streaming.engines.voxtral.tekken import (
    Detokenizer,
    Vocabulary,
    read_front_end,
    read_vocabulary,
    special_tokens,
)
from voxtral_streaming.errors import WeightsError


@dataclass(frozen=True)
class Specials:
    """The ids of the tokens that are no text."""

    bos: int
    eos: int
    begin_turn: int
    end_turn: int
    begin_audio: int
    audio: int
    transcribe: int


NAMES = {
    "bos": "<s>",
    "eos": "</s>",
    "begin_turn": "[INST]",
    "end_turn": "[/INST]",
    "begin_audio": "[BEGIN_AUDIO]",
    "audio": "[AUDIO]",
    "transcribe": "[TRANSCRIBE]",
}


class Tokenizer:
    """The tokens of one model."""

    def __init__(self, file: Path) -> None:
        """Raises `WeightsError` where the file is not that of a model for recordings."""
        self._file, root = file, read_json(file)
        self.audio_section: Section = read_front_end(root)
        self.audio_section.require("transcription_format", "instruct")
        self.vocabulary: Vocabulary = read_vocabulary(root)
        special = special_tokens(root)
        self.special = Specials(**{ours: special(theirs) for ours, theirs in NAMES.items()})

    @cached_property
    def _tekkenizer(self) -> Tekkenizer:
        try:
            return Tekkenizer.from_file(self._file)
        except (ValueError, KeyError, AssertionError) as error:
            raise WeightsError(f"{self._file}: mistral-common cannot read it: {error}") from error

    def encode(self, text: str) -> list[int]:
        """Text to tokens; what looks like a special token in it is text."""
        return self._tekkenizer.encode(text, bos=False, eos=False)

    def decode(self, tokens: Sequence[int], *, is_whole: bool = True) -> str:
        """Tokens to text; special ones are nothing. A character that is not complete shows only where all is whole."""
        detokenizer = Detokenizer(self.vocabulary)
        return detokenizer.feed(tokens) + (detokenizer.finish() if is_whole else "")

    def transcription(self, n_audio: int, language: str | None) -> list[int]:
        """The prompt that asks for the transcript of audio of `n_audio` tokens; without a language it is detected."""
        special, told = self.special, self.encode(f"lang:{language}") if language else []
        return [special.bos, special.begin_turn, *self.recording(n_audio), special.end_turn, *told, special.transcribe]

    def conversation(self, turns: Sequence[Turn], n_audio: int) -> list[int]:
        """The prompt that asks for the next turn of a conversation about audio of `n_audio` tokens."""
        special, prompt = self.special, [self.special.bos]
        for turn in turns:
            said = [token for part in _joined(turn.parts) for token in self._part(part, n_audio)]
            prompt += [special.begin_turn, *said, special.end_turn] if turn.role == "user" else [*said, special.eos]
        return prompt

    def _part(self, part: str | None, n_audio: int) -> list[int]:
        return self.recording(n_audio) if part is None else self.encode(part)

    def recording(self, n_audio: int) -> list[int]:
        """A recording within a turn: the places that its embeddings take."""
        return [self.special.begin_audio, *[self.special.audio] * n_audio]


def _joined(parts: Sequence[str | None]) -> Iterator[str | None]:
    """Pieces of text that follow one another as one, with an empty line between them, as mistral-common joins them."""
    for is_text, run in groupby(parts, lambda part: part is not None):
        yield "\n\n".join(part for part in run if part is not None) if is_text else None
