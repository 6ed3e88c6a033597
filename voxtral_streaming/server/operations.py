"""For whoever runs the server: is it alive, is it ready, how is it doing."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from voxtral_streaming.errors import EngineUnavailable
from voxtral_streaming.server.errors import Stopping
from voxtral_streaming.server.problems import responses
from voxtral_streaming.server.service import Service

router = APIRouter()


@router.get("/health/live", summary="Whether the process runs")
async def live() -> dict[str, str]:
    """Needs no key."""
    return {"status": "live"}


@router.get("/health/ready", summary="Whether sessions are admitted", responses=responses(401, 403, 429, 503))
async def ready(request: Request) -> dict[str, str | int]:
    """The engine is there, and the server is not about to stop."""
    service: Service = request.app.state.service
    if service.is_stopping:
        raise Stopping("the server is stopping")
    if not service.has_engine:
        raise EngineUnavailable("the engine is being started again")
    return {"status": "ready", "sessions": len(service.sessions), "max_sessions": service.sessions.limit}


@router.get(
    "/metrics",
    summary="Counters, as Prometheus reads them",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **responses(401, 403, 429)},
)
async def metrics(request: Request) -> Response:
    """See `voxtral_*`; none of them names a session or a client."""
    return Response(generate_latest(request.app.state.service.metrics.registry), media_type=CONTENT_TYPE_LATEST)
