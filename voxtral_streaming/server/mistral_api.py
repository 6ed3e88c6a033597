"""Mistral's realtime transcription, where their clients look for it."""

from __future__ import annotations

from fastapi import APIRouter, WebSocket

from voxtral_streaming.server import live
from voxtral_streaming.server.dialects.mistral.realtime import MistralRealtime

router = APIRouter()


@router.websocket("/v1/audio/transcriptions/realtime")
async def transcribe(socket: WebSocket) -> None:
    """A live session. The query names a `model`; there is but one here, which the session tells."""
    await live.serve(socket, socket.app.state.service, MistralRealtime)
