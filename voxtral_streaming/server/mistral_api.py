"""Mistral's realtime transcription, where their clients look for it."""

from __future__ import annotations

from functools import partial

from fastapi import APIRouter, WebSocket

from voxtral_streaming.server import live
from voxtral_streaming.server.dialects.actions import SessionFacts
from voxtral_streaming.server.dialects.families import check_model
from voxtral_streaming.server.dialects.mistral.realtime import MistralRealtime

router = APIRouter()


@router.websocket("/v1/audio/transcriptions/realtime")
async def transcribe(socket: WebSocket) -> None:
    """A live session. Which model answers the session tells, whatever name for it stands in the query."""
    await live.serve(socket, socket.app.state.service, partial(_speak, socket.query_params.get("model")))


def _speak(model: str | None, facts: SessionFacts) -> MistralRealtime:
    """Raises `ModelNotFound`."""
    check_model(model, facts.capabilities.model)
    return MistralRealtime(facts)
