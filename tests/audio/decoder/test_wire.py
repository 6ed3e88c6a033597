from __future__ import annotations

import numpy as np
import pytest

from voxtral_streaming.audio.decoder.wire import (
    HEADER,
    MAX_BODY,
    Done,
    Job,
    Kind,
    Message,
    Opened,
    Refused,
    decode,
    encode,
    encode_block,
    header,
)


@pytest.mark.parametrize(
    "message", [Job(600.0, 120, 2**28), Opened(None), Opened(1.5), Done(3, 2), Refused("corrupt_audio", "…")]
)
def test_a_message_comes_back(message: Message) -> None:
    framed = encode(message)
    kind, length = header(framed[: HEADER.size])
    assert length == len(framed) - HEADER.size
    assert decode(kind, framed[HEADER.size :]) == message


def test_a_block_comes_back_writable() -> None:
    samples = np.array([0, 0.5, -1], np.float32)
    framed = encode_block(samples)
    block = decode(header(framed[: HEADER.size])[0], framed[HEADER.size :])
    assert isinstance(block, np.ndarray)
    assert block.flags.writeable
    np.testing.assert_array_equal(block, samples)


@pytest.mark.parametrize("received", [HEADER.pack(Kind.BLOCK, MAX_BODY + 1), HEADER.pack(99, 0)])
def test_nonsense_is_not_believed(received: bytes) -> None:
    with pytest.raises(ValueError, match=r"message|Kind"):
        header(received)
