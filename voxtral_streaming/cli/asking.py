"""`voxtral ask`."""

from __future__ import annotations

import asyncio

import typer

from voxtral_streaming.cli.failures import complain
from voxtral_streaming.cli.output import check_standard_output
from voxtral_streaming.config import Config, LoggingConfig
from voxtral_streaming.logs import set_up_logging
from voxtral_streaming.transcriber import Transcriber


def run(config: Config, source: str, question: str, most_tokens: int | None) -> int:
    """Print the answer to a question about a recording, as it comes."""
    check_standard_output()
    set_up_logging(LoggingConfig(level="warning", file=None))
    return asyncio.run(_ask(config, source, question, most_tokens))


async def _ask(config: Config, source: str, question: str, most_tokens: int | None) -> int:
    shown = ""

    def on_progress(said: str) -> None:
        nonlocal shown
        typer.echo(said[len(shown) :], nl=False)
        shown = said

    async with Transcriber(config) as transcriber:
        answer = await transcriber.answer(source, question, most_tokens=most_tokens, on_progress=on_progress)
    typer.echo()
    if answer.is_cut:
        complain("the answer goes on; --max-tokens lets it be longer")
    return 0
