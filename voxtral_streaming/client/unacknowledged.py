"""What a client has said and the server may not have received."""

from __future__ import annotations

from collections import deque

Item = bytes | str
"""Audio, or a message."""


class Unacknowledged:
    """Audio and messages in the order in which they were said after `start`, until the server has them."""

    def __init__(self) -> None:
        self._items: deque[Item] = deque()
        self._n_sent = 0  # of the items
        self._acknowledged = (0, 1)  # bytes of audio, and messages: `start` was answered
        self.n_bytes = 0  # of audio

    def __len__(self) -> int:
        return len(self._items)

    @property
    def n_unsent(self) -> int:
        """Items that were not sent over the connection of now."""
        return len(self._items) - self._n_sent

    def add(self, item: Item) -> None:
        """Say something more."""
        self._items.append(item)
        self.n_bytes += len(item) if isinstance(item, bytes) else 0

    def next(self) -> Item:
        """The next item to be sent."""
        self._n_sent += 1
        return self._items[self._n_sent - 1]

    def send_again(self) -> None:
        """There is a new connection: nothing was sent over it yet."""
        self._n_sent = 0

    def forget_sent(self) -> None:
        """Keep nothing that was sent: nobody will ask for it."""
        while self._n_sent:
            self._forget()

    def acknowledge(self, n_bytes: int, n_messages: int) -> None:
        """The server has received so much since the session began.

        Over a new connection it says again what was not heard over the last one, and that may be older than what
        it said first.
        """
        n_bytes, n_messages = max(n_bytes, self._acknowledged[0]), max(n_messages, self._acknowledged[1])
        more_bytes, more_messages = n_bytes - self._acknowledged[0], n_messages - self._acknowledged[1]
        self._acknowledged = (n_bytes, n_messages)
        while self._items:
            item = self._items[0]
            if isinstance(item, str):
                if not more_messages:
                    return
                more_messages -= 1
            elif len(item) > more_bytes:
                self._items[0] = item[more_bytes:]
                self.n_bytes -= more_bytes
                return
            else:
                more_bytes -= len(item)
            self._forget()

    def _forget(self) -> None:
        item = self._items.popleft()
        self.n_bytes -= len(item) if isinstance(item, bytes) else 0
        self._n_sent = max(0, self._n_sent - 1)
