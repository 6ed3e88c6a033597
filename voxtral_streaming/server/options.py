"""What a client asks of recognition, checked against what the engine can do."""

from voxtral_streaming.engines.options import check_options

__all__ = ["check_options"]
