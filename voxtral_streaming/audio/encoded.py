"""Base64 text and `data:` URIs, measured before they are decoded."""

from __future__ import annotations

import base64
import binascii
import re

from voxtral_streaming.errors import AudioTooLarge, InvalidBase64

DATA_URI = re.compile(r"data:[\w.+-]*/?[\w.+-]*(?:;[\w.+-]+=[\w.+-]+)*;base64", re.ASCII | re.IGNORECASE)  # RFC 2397
MAX_DATA_URI_HEAD = 256  # characters before the comma
WHITE_SPACE = str.maketrans("", "", "\t\n\r ")


def decode_base64(text: str, max_bytes: int) -> bytes:
    """Decode base64 text (RFC 4648, padded, white space allowed) or a `data:` URI with such text.

    Raises `AudioTooLarge` before anything is decoded, and `InvalidBase64`.
    """
    if len(text) > _encoded_length(max_bytes) + MAX_DATA_URI_HEAD:
        raise AudioTooLarge(f"the audio is larger than {max_bytes} bytes", param="audio")
    try:
        decoded = base64.b64decode(_payload(text).translate(WHITE_SPACE), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidBase64("the audio is not base64", param="audio") from error
    if len(decoded) > max_bytes:
        raise AudioTooLarge(f"the audio is larger than {max_bytes} bytes", param="audio")
    return decoded


def _encoded_length(n_bytes: int) -> int:
    """Characters of base64 for so many bytes, in lines of 76 with two characters to end them (RFC 2045)."""
    n_characters = -(-n_bytes // 3) * 4
    return n_characters + 2 * (n_characters // 76 + 1)


def _payload(text: str) -> str:
    if text[:5].lower() != "data:":
        return text
    comma = text.find(",", 0, MAX_DATA_URI_HEAD)
    if comma < 0 or not DATA_URI.fullmatch(text, 0, comma):
        raise InvalidBase64("a data: URI must read data:TYPE;base64,TEXT", param="audio")
    return text[comma + 1 :]
