"""CTranslate2, where there is a GPU: it decodes many windows at a time, and has no use for drafts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import ctranslate2
import numpy as np

from voxtral_streaming.config import ModelConfig
from voxtral_streaming.engines.whisper.alignment import spans
from voxtral_streaming.engines.whisper.checkpoint import Tensor
from voxtral_streaming.engines.whisper.texts import Breath, Text, no_breath
from voxtral_streaming.engines.whisper.windows import memory_for
from voxtral_streaming.errors import EngineUnavailable


def load_native(folder: Path, config: ModelConfig) -> ctranslate2.models.Whisper:
    """Load from a folder, which is not needed afterwards. Raises `EngineUnavailable`."""
    device, _, index = config.device.partition(":")
    try:
        return ctranslate2.models.Whisper(
            str(folder),
            device=device,
            device_index=int(index or 0),
            compute_type=config.compute_type,
            inter_threads=config.workers,
        )
    except (RuntimeError, ValueError) as error:
        raise EngineUnavailable(f"{config.name} on {config.device}: {error}", param="model.device") from error


class NativeEncoder:
    """Encodes windows of any length. May be called from several threads at once."""

    def __init__(self, model: ctranslate2.models.Whisper) -> None:
        self._model = model

    def encode(self, mel: Tensor) -> Tensor:
        """A spectrogram [n_mels, n_frames] → [1, n_frames / 2, width]."""
        window = ctranslate2.StorageView.from_array(np.ascontiguousarray(mel[None]))
        return np.asarray(self._model.encode(window, to_cpu=True))


class NativeDecoder:
    """Implements `TextDecoder`. May be called from several threads at once."""

    def __init__(self, model: ctranslate2.models.Whisper, silence: Callable[[int], Tensor]) -> None:
        """Take the model, and what its encoder makes of a silent window of so many frames."""
        self._model = model
        self._silence = silence

    def decode(self, features: Sequence[Tensor], texts: Sequence[Text], breathe: Breath = no_breath) -> None:
        """Decode greedily; windows whose memories have one length go together."""
        memories = [memory_for(2 * one.shape[1]) for one in features]
        for memory in sorted(set(memories)):
            members = [n for n, own in enumerate(memories) if own == memory]
            self._generate([features[n] for n in members], [texts[n] for n in members], memory, beam_size=1)

    def search(self, features: Tensor, text: Text, beam_size: int, breathe: Breath = no_breath) -> Text:
        """Follow so many hypotheses; the best."""
        self._generate([features], [text], 2 * features.shape[1], beam_size)
        return text

    def detect(self, features: Tensor) -> list[tuple[str, float]]:
        """Languages and their probabilities, the likeliest first."""
        ranked = self._model.detect_language(ctranslate2.StorageView.from_array(features))[0]
        return [(token[2:-2], probability) for token, probability in ranked]

    def spans(
        self, features: Tensor, prompt: Sequence[int], tokens: Sequence[int], n_tokens: Sequence[int], n_frames: int
    ) -> list[tuple[float, float, float]]:
        """Start and end in seconds, and probability, of words of so many of the tokens each, in so many frames."""
        window = ctranslate2.StorageView.from_array(features)
        [aligned] = self._model.align(window, prompt, [list(tokens)], n_frames)
        return spans(aligned.alignments, aligned.text_token_probs, n_tokens)

    def _generate(self, features: Sequence[Tensor], texts: Sequence[Text], memory: int, beam_size: int) -> None:
        rows = np.concatenate([self._filled(one, memory // 2) for one in features])
        results = self._model.generate(
            ctranslate2.StorageView.from_array(rows),
            [list(text.prompt) for text in texts],
            beam_size=beam_size,
            max_length=2 * max(text.n_most for text in texts),  # CTranslate2 generates at most half of it
            return_scores=True,
            return_no_speech_prob=True,
        )
        for text, result in zip(texts, results, strict=True):
            text.given(result.sequences_ids[0], result.scores[0], result.no_speech_prob)

    def _filled(self, row: Tensor, n_frames: int) -> Tensor:
        """A window with silence behind it: [1, n_frames, width]."""
        own = row.shape[1]
        return row if own == n_frames else np.concatenate([row, self._silence(2 * n_frames)[:, own:]], axis=1)
