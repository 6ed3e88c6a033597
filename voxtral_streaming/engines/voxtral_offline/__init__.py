"""Voxtral Mini 3B and Small 24B: our own continuously batched engine in PyTorch.

A request's path: samples → `mel` → `model` (Whisper's encoder on windows of 30 s, projector, Llama decoder) behind a
`prompt` → tokens → text. `batch` holds the rows that are decoded together and their caches, `generation` what one
request was told and said so far, `worker` decides who takes part in a step, `engine` speaks the package's protocol.
What it shares with Voxtral Realtime (layers, caches, reading of checkpoints) is in `engines/voxtral/`.
"""
