"""The settings that say when utterances begin, pause, end and are cut, in samples."""

from __future__ import annotations

from dataclasses import dataclass, replace

from voxtral_streaming.audio.units import samples_from_ms, samples_from_seconds
from voxtral_streaming.config import StreamingConfig, VadConfig

LEAST_LIMIT_S = 1.0  # a shorter utterance leaves no room to look for a gap
SEARCH_S = 4.0  # the end of the longest utterance, at most half of it, that is searched: speech has a gap in so much
HOLD_S = 0.5  # what a search holds back, at most half of it, so that there is a choice


@dataclass(frozen=True, slots=True)
class Timing:
    """Durations in samples. A frame is the finest step: what lasts so long is known at its end."""

    voice: int  # speech that starts an utterance
    pre_roll: int  # audio before the speech that belongs to the utterance
    pause: int  # silence after speech that is emitted; what follows is held back
    stop: int  # silence after which speech has stopped
    endpoint: int  # silence that ends an utterance
    long: int  # length of an utterance
    long_endpoint: int  # silence that ends one so long
    limit: int  # the longest utterance
    search: int  # length of an utterance from which a gap to cut it is looked for
    hold: int  # audio that is held back meanwhile
    silence_ends: bool = True  # whether silence alone ends an utterance

    @classmethod
    def of(cls, vad: VadConfig, streaming: StreamingConfig, max_utterance_s: float) -> Timing:
        """What is set; the longest utterance is the shorter of the engine's and the user's.

        Raises `ValueError` if that is less than `LEAST_LIMIT_S`.
        """
        longest_s = min(streaming.max_utterance_s, max_utterance_s)
        if longest_s < LEAST_LIMIT_S:
            raise ValueError(f"max_utterance_s: {longest_s}: at least {LEAST_LIMIT_S}")
        limit = samples_from_seconds(longest_s)
        window = min(limit // 2, samples_from_seconds(SEARCH_S))
        stop = samples_from_ms(vad.min_silence_duration_ms)
        endpoint = max(samples_from_ms(streaming.endpoint_silence_ms), stop)
        return cls(
            voice=samples_from_ms(vad.min_voice_duration_ms),
            pre_roll=samples_from_ms(vad.pre_roll_ms),
            pause=min(samples_from_ms(streaming.pause_ms), stop),
            stop=stop,
            endpoint=endpoint,
            long=limit,
            long_endpoint=endpoint,
            limit=limit,
            search=limit - window,
            hold=min(window // 2, samples_from_seconds(HOLD_S)),
        )

    def until_flushed(self) -> Timing:
        """The same for utterances that only a flush ends, or their length."""
        return replace(self, silence_ends=False)

    def of_recordings(self, silence: int) -> Timing:
        """The same where nobody waits for a text: what is said is heard together, up to half of the longest utterance.

        Until it is so long, only `silence` ends an utterance, in samples.
        """
        return replace(self, endpoint=max(silence, self.endpoint), long=self.limit // 2)
