"""OpenAI's Realtime API, transcription sessions."""
