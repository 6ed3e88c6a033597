"""Voxtral Realtime: our own batched streaming engine in PyTorch. Nothing outside this folder imports torch.

A stream's path: samples → `framer` (windows of one token) → `mel` → `model` (causal encoder, projector, decoder), which
`stepper` advances for all streams in one step → `tekken` (text). `worker` decides who takes part in a step, `engine`
speaks the package's engine protocol.
"""
