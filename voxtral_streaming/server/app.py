"""Puts the server together: endpoints, page, keys and errors around one transcriber."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path

from fastapi import APIRouter, FastAPI, WebSocket
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from fastapi_offline import FastAPIOffline

from voxtral_streaming.config import Config
from voxtral_streaming.server import (
    audio_api,
    chat_api,
    deepgram_api,
    files,
    live,
    minting,
    mistral_api,
    operations,
    problems,
    realtime_api,
    resuming,
)
from voxtral_streaming.server.auth import PUBLIC_FOLDER, Guard
from voxtral_streaming.server.dialects.native import Native
from voxtral_streaming.server.service import Service
from voxtral_streaming.server.tokens import Tokens
from voxtral_streaming.transcriber import Transcriber

PAGE = Path(__file__).parent / "page"
PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; object-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

doors = APIRouter(include_in_schema=False)


def create_app(config: Config, transcriber: Transcriber) -> FastAPI:
    """The ASGI application; its lifespan initializes the transcriber and closes it."""
    app = FastAPIOffline(
        title="voxtral-streaming",
        version=version("voxtral-streaming"),
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
        swagger_ui_parameters={"validatorUrl": None},
    )
    app.state.service = Service.of(config, transcriber)
    app.state.tokens = Tokens()
    for room in (audio_api, chat_api, deepgram_api, files, minting, mistral_api, operations, realtime_api):
        app.include_router(room.router)
    app.include_router(doors)
    app.mount(PUBLIC_FOLDER, StaticFiles(directory=PAGE))
    app.add_middleware(Guard, config=config.server, tokens=app.state.tokens)
    problems.install(app)
    return app


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Load the model before the first request, and let go of it after the last."""
    service: Service = app.state.service
    async with service.transcriber:
        await service.open()
        try:
            yield
        finally:
            await service.close()


@doors.get("/")
async def page() -> FileResponse:
    """The page that speaks the native protocol."""
    return FileResponse(PAGE / "index.html", headers=PAGE_HEADERS)


@doors.websocket("/ws")
async def native(socket: WebSocket) -> None:
    """A live session in the native protocol."""
    await live.serve(socket, socket.app.state.service, Native)


@doors.websocket("/ws/resume")
async def resume(socket: WebSocket) -> None:
    """The way back to such a session."""
    await resuming.serve(socket, socket.app.state.service)
