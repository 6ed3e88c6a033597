"""A client of live sessions: audio goes out, events come in, over the server's WebSocket (docs/protocol.md).

async with connect("ws://127.0.0.1:8000/ws", language="en") as session:
    sending = asyncio.create_task(send_audio(session))  # session.send(...) as it is spoken, then session.finish()
    async for event in session:
        if isinstance(event, Final):
            print(event.text)
    await sending
"""

from voxtral_streaming.client.connecting import connect
from voxtral_streaming.client.messages import (
    Acked,
    Closed,
    Limits,
    Message,
    Opened,
    Resume,
    SessionError,
    Started,
    Warned,
    decode,
)
from voxtral_streaming.client.pcm import encode
from voxtral_streaming.client.session import FRAME_BYTES, Session

__all__ = [
    "FRAME_BYTES",
    "Acked",
    "Closed",
    "Limits",
    "Message",
    "Opened",
    "Resume",
    "Session",
    "SessionError",
    "Started",
    "Warned",
    "connect",
    "decode",
    "encode",
]
