"""What a client asks of recognition, checked against what the engine can do."""

from __future__ import annotations

from voxtral_streaming.engines.base import Capabilities, StreamOptions
from voxtral_streaming.errors import UnsupportedOption


def check_options(options: StreamOptions, capabilities: Capabilities) -> None:
    """Raise `UnsupportedOption` for what a client asked for and the engine cannot honour."""
    name = capabilities.name
    languages = ", ".join(capabilities.languages)
    if options.language is None and not capabilities.detects_language and len(capabilities.languages) > 1:
        raise UnsupportedOption(f"language: {name} detects none; name one of {languages}", param="language")
    if options.language is not None and options.language not in capabilities.languages:
        raise UnsupportedOption(f"language: {name} has only {languages}", param="language")
    if options.prompt is not None and not capabilities.biasing:
        raise UnsupportedOption(f"prompt: {name} takes none", param="prompt")
    if options.delay_ms is not None and options.delay_ms not in capabilities.delay_ms:
        choices = ", ".join(map(str, capabilities.delay_ms)) or "none"
        raise UnsupportedOption(f"delay_ms: {name} offers {choices}", param="delay_ms")
    if options.conversation and not capabilities.converses_s:
        raise UnsupportedOption(
            f"messages: {name} only transcribes; Voxtral Mini 3B and Small 24B answer", param="messages"
        )
