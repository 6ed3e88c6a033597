"""The built-in engine: Whisper through CTranslate2, for any CPU, offline."""
