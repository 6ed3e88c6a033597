"""Mistral's audio transcription: live, and of recordings."""
