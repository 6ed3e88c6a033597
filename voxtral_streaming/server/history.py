"""What a session has said and its client may not have."""

from __future__ import annotations

from collections import deque

from voxtral_streaming.server.dialects.actions import Frame
from voxtral_streaming.server.limits import HISTORY_BYTES, HISTORY_FRAMES


class History:
    """The newest frames of a session, each with a number, from 0 on."""

    def __init__(self) -> None:
        self._frames: deque[Frame] = deque()
        self._n_bytes = 0
        self.n_forgotten = 0

    @property
    def n_frames(self) -> int:
        """How many there ever were: the number of the next one."""
        return self.n_forgotten + len(self._frames)

    @property
    def is_full(self) -> bool:
        """Whether something should be forgotten before the next frame is added."""
        return len(self._frames) >= HISTORY_FRAMES or self._n_bytes >= HISTORY_BYTES

    def append(self, frame: Frame) -> int:
        """Add a frame; its number comes back."""
        self._frames.append(frame)
        self._n_bytes += len(frame)
        return self.n_frames - 1

    def __getitem__(self, number: int) -> Frame:
        return self._frames[number - self.n_forgotten]

    def forget(self, before: int) -> None:
        """Forget all frames whose number is less."""
        while self._frames and self.n_forgotten < before:
            self._n_bytes -= len(self._frames.popleft())
            self.n_forgotten += 1
