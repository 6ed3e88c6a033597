"""`/v1/realtime`, where the clients of OpenAI and of vLLM look for it."""

from __future__ import annotations

from functools import partial
from time import time

from fastapi import APIRouter, WebSocket

from voxtral_streaming.server import live
from voxtral_streaming.server.dialects.realtime import realtime

router = APIRouter()


@router.websocket("/v1/realtime")
async def transcribe(socket: WebSocket) -> None:
    """A live session. A `model` in the query is not looked at: which one answers, the session tells."""
    asked = getattr(socket.state, "session", {})  # with the token that the client presented, if it did
    speak = partial(realtime, query=socket.query_params, headers=socket.headers, asked=asked, created=int(time()))
    await live.serve(socket, socket.app.state.service, speak)
