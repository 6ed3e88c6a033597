"""`voxtral download`."""

from __future__ import annotations

import sys

import typer

from voxtral_streaming.cli.failures import EXIT_FAILED, complain
from voxtral_streaming.engines.download import Download, RemoteFile, fetch, plan_download
from voxtral_streaming.engines.voxtral.layout import Layout


def run(model: str, revision: str | None, layout: Layout | None, *, is_agreed: bool) -> int:
    """Say how much would be fetched, ask, and fetch it; 1 where that was not agreed to."""
    download = plan_download(model, revision, layout)
    typer.echo(_described(download))
    if not (is_agreed or download.n_missing_bytes == 0 or _agrees()):
        complain("nothing was downloaded")
        return EXIT_FAILED
    typer.echo(fetch(download, _announce))
    return 0


def _described(download: Download) -> str:
    here = download.n_bytes - download.n_missing_bytes
    partly = f", {here / 1e9:.1f} GB of them here already" if here else ""
    return (
        f"{download.model} at {download.commit[:12]}: {download.n_bytes / 1e9:.1f} GB in {len(download.files)} files"
        f"{partly}; to {download.folder}"
    )


def _agrees() -> bool:
    """Whether the user says yes; nobody does where nobody can be asked."""
    return sys.stdin.isatty() and typer.confirm("Download it?")


def _announce(file: RemoteFile) -> None:
    typer.echo(f"{file.name}, {file.n_bytes / 1e9:.2f} GB", err=True)
