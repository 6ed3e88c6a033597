"""Base64 text and `data:` URIs, measured before they are decoded."""

from __future__ import annotations

import base64
import re

from voxtral_streaming.errors import AudioTooLarge, InvalidBase64

DATA_URI = re.compile(r"data:[\w.+-]*/?[\w.+-]*(?:;[\w.+-]+=[\w.+-]+)*;base64", re.ASCII | re.IGNORECASE)  # RFC 2397
MAX_DATA_URI_HEAD = 256  # characters before the comma
WHITE_SPACE = "\t\n\r "


def decode_base64(text: str, max_bytes: int) -> bytes:
    """Decode base64 text (RFC 4648, padded, white space allowed) or a `data:` URI with such text.

    Raises `AudioTooLarge` before anything is decoded or copied, and `InvalidBase64`.
    """
    n_characters = len(text) - sum(map(text.count, WHITE_SPACE))
    if n_characters > -(-max_bytes // 3) * 4 + MAX_DATA_URI_HEAD:
        raise AudioTooLarge(f"the audio is larger than {max_bytes} bytes", param="audio")
    try:
        decoded = base64.b64decode(_without_white_space(_payload(text)), validate=True)
    except ValueError as error:
        raise InvalidBase64("the audio is not base64", param="audio") from error
    if len(decoded) > max_bytes:
        raise AudioTooLarge(f"the audio is larger than {max_bytes} bytes", param="audio")
    return decoded


def _without_white_space(text: str) -> str:
    for character in WHITE_SPACE:
        text = text.replace(character, "")
    return text


def _payload(text: str) -> str:
    if text[:5].lower() != "data:":
        return text
    comma = text.find(",", 0, MAX_DATA_URI_HEAD)
    if comma < 0 or not DATA_URI.fullmatch(text, 0, comma):
        raise InvalidBase64("a data: URI must read data:TYPE;base64,TEXT", param="audio")
    return text[comma + 1 :]
