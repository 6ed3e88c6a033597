"""One request: what it was told, what it said so far, and how a draft of the answer spares it steps. No torch.

A draft is what an earlier request said of less of the same audio. The prompt and the draft are read in one go, which
predicts the token after each token of the draft: where the draft is what the model would have said, it is kept, and at
the first difference the model's own token stands. So the answer is the greedy one, to the token, whatever the draft.
"""

from __future__ import annotations

from collections.abc import Sequence


class Generation:
    """Greedy decoding of one answer."""

    def __init__(self, prompt: Sequence[int], draft: Sequence[int], most: int, eos: int) -> None:
        """`most`: tokens that the answer may have."""
        self.prompt = list(prompt)
        self.draft = list(draft[: max(0, most - 1)])
        self.said: list[int] = []  # without the end
        self.is_over = False
        self.is_cut = False  # there would have been more
        self.n_steps = 0  # tokens that took a step of their own
        self._most = most
        self._eos = eos

    @property
    def read(self) -> list[int]:
        """What is read in one go; the model predicts a token after each of the last `n_predicted`."""
        return self.prompt + self.draft

    @property
    def n_predicted(self) -> int:
        """The end of the prompt, and every token of the draft."""
        return 1 + len(self.draft)

    def verify(self, predicted: Sequence[int]) -> int:
        """Take what was predicted for the draft; the positions of `read` that stand."""
        for drafted, token in zip([*self.draft, None], predicted, strict=True):
            self._say(token)
            if self.is_over or token != drafted:
                break
        return len(self.prompt) + max(0, len(self.said) - (not self.is_over))

    @property
    def next(self) -> int:
        """The token that the next step is given."""
        return self.said[-1]

    def take(self, predicted: int) -> None:
        """A step predicted this token."""
        self.n_steps += 1
        self._say(predicted)

    def _say(self, token: int) -> None:
        if token == self._eos:
            self.is_over = True
            return
        self.said.append(token)
        if len(self.said) >= self._most:
            self.is_over = self.is_cut = True
