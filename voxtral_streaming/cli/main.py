"""`voxtral`: the commands and their options. What a command needs is imported when it runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from voxtral_streaming.cli.failures import interrupted_at_once, told_in_a_line
from voxtral_streaming.cli.settings import configured
from voxtral_streaming.formats import Format

ConfigFile = Annotated[
    Path | None, typer.Option("--config", help="Configuration file; left out: ./config.yaml, or built-in defaults.")
]
Model = Annotated[str | None, typer.Option(help="Model, instead of the configured one.")]
Language = Annotated[str | None, typer.Option(help="Language of the speech (en, fr, …); left out: it is detected.")]
Prompt = Annotated[str | None, typer.Option(help="Names and words to expect, where the engine takes them.")]


class Commands(TyperGroup):
    """The commands; however one fails, it is told in the same way."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was chosen."""
        with told_in_a_line(debug=ctx.params["debug"]):
            return super().invoke(ctx)


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Live speech to text on your own machine.",
)


def _print_version(is_asked: bool) -> None:
    if is_asked:
        from importlib.metadata import version

        typer.echo(f"voxtral {version('voxtral-streaming')}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", envvar="VOXTRAL_DEBUG", help="Show where an error came from.")
    ] = False,
) -> None:
    """Live speech to text on your own machine."""


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
    model: Model = None,
    config: ConfigFile = None,
) -> None:
    """Serve the page, the WebSocket and the HTTP interface."""
    settings = configured(config, host=host, port=port, model=model)
    with interrupted_at_once():
        from voxtral_streaming.cli import serving

    serving.run(settings)


@app.command()
def transcribe(
    sources: Annotated[list[str], typer.Argument(help="Files, folders, URLs, or - for standard input.")],
    form: Annotated[Format, typer.Option("--format", help="What to write.")] = "text",
    language: Language = None,
    prompt: Prompt = None,
    output: Annotated[
        str | None, typer.Option(help="File to write, or folder for a file each; left out: standard output.")
    ] = None,
    model: Model = None,
    config: ConfigFile = None,
) -> None:
    """Transcribe recordings."""
    settings = configured(config, model=model)
    with interrupted_at_once():
        from voxtral_streaming.cli import transcribing
        from voxtral_streaming.engines.base import StreamOptions

    options = StreamOptions(language=language, prompt=prompt)
    sys.exit(transcribing.run(settings, sources, form, options, output))


@app.command()
def listen(
    source: Annotated[
        str | None, typer.Argument(help="- for raw 16-bit PCM from standard input; left out: the microphone.")
    ] = None,
    rate: Annotated[int, typer.Option(help="Samples per second of standard input.", min=4000, max=768_000)] = 16_000,
    channels: Annotated[int, typer.Option(help="Channels of standard input.", min=1, max=8)] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print every event as a line of JSON.")] = False,
    language: Language = None,
    prompt: Prompt = None,
    model: Model = None,
    config: ConfigFile = None,
) -> None:
    """Caption live speech in the terminal."""
    if source not in (None, "-"):
        raise typer.BadParameter("only - can be listened to; recordings are for `voxtral transcribe`")
    settings = configured(config, model=model)
    with interrupted_at_once():
        from voxtral_streaming.cli import listening
        from voxtral_streaming.engines.base import StreamOptions

    options = StreamOptions(language=language, prompt=prompt)
    listening.run(settings, options, (rate, channels) if source else None, as_json=as_json)


@app.command()
def check(
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
    model: Model = None,
    config: ConfigFile = None,
) -> None:
    """Tell what is installed, which engine would run and why, and what is missing."""
    settings = configured(config, model=model)
    with interrupted_at_once():
        from voxtral_streaming.cli import checking

        sys.exit(checking.run(settings, as_json=as_json))


@app.command()
def verify(
    model: Annotated[str, typer.Argument(help="Folder or hub name of a Voxtral model.")],
    clip: Annotated[str | None, typer.Argument(help="Recording of speech to compare on; left out: a hum.")] = None,
    config: ConfigFile = None,
) -> None:
    """Prove the Voxtral engine against transformers on this machine, with your weights."""
    settings = configured(config, model=model)
    with interrupted_at_once():
        from voxtral_streaming.cli import verifying

    sys.exit(verifying.run(settings, clip))


@app.command()
def ask(
    source: Annotated[str, typer.Argument(help="File or URL of a recording.")],
    question: Annotated[str, typer.Argument(help="What to answer about it: a summary, a translation, …")],
    max_tokens: Annotated[int | None, typer.Option(help="Longest answer.", min=1)] = None,
    model: Model = None,
    config: ConfigFile = None,
) -> None:
    """Ask about a recording; for Voxtral Mini 3B and Small 24B."""
    settings = configured(config, model=model)
    with interrupted_at_once():
        from voxtral_streaming.cli import asking

    sys.exit(asking.run(settings, source, question, max_tokens))


@app.command()
def download(
    model: Annotated[str, typer.Argument(help="Hub name of a model.")],
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit; left out: main.")] = None,
    layout: Annotated[
        Literal["hugging_face", "mistral"] | None,
        typer.Option(help="Which of the two layouts; left out: Hugging Face's, where there is one."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Download a model into the local hub cache; it says how large it is, and asks."""
    with interrupted_at_once():
        from voxtral_streaming.cli import downloading

    sys.exit(downloading.run(model, revision, layout, is_agreed=yes))


@app.command(name="config")
def config_(
    config: ConfigFile = None,
    check: Annotated[bool, typer.Option("--check", help="Only say whether it is valid.")] = False,
) -> None:
    """Print the effective configuration, secrets masked."""
    settings = configured(config)
    from voxtral_streaming.config import dump

    typer.echo("the configuration is valid" if check else dump(settings).rstrip())


if __name__ == "__main__":
    app()
