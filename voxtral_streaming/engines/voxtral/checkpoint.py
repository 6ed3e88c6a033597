"""A Voxtral Realtime model with the weights of a checkpoint, or with random ones."""

from __future__ import annotations

import torch

from voxtral_streaming.engines.voxtral.facts import ModelFacts
from voxtral_streaming.engines.voxtral.files import Checkpoint
from voxtral_streaming.engines.voxtral.layout import EMBEDDING, HEAD, canonical, parameters
from voxtral_streaming.engines.voxtral.model import RealtimeModel
from voxtral_streaming.engines.voxtral.weights import read_weights


def load_model(checkpoint: Checkpoint, dtype: torch.dtype, device: torch.device) -> RealtimeModel:
    """The model with its weights, each converted and moved as it is read. Raises `WeightsError`."""
    with torch.device("meta"):
        model = RealtimeModel(checkpoint.facts)
    tied = HEAD[checkpoint.layout], EMBEDDING[checkpoint.layout]
    model.load_state_dict(
        read_weights(checkpoint, parameters(checkpoint.facts), canonical, dtype, device, tied), assign=True
    )
    _fill_buffers(model, checkpoint.facts, device)
    return model.requires_grad_(False).eval()


def random_model(facts: ModelFacts, dtype: torch.dtype, device: torch.device, seed: int = 0) -> RealtimeModel:
    """A model with small random weights: as fast as a real one, and as heavy."""
    torch.manual_seed(seed)
    with torch.device("meta"):
        model = RealtimeModel(facts)
    model.to(dtype).to_empty(device=device)
    for name, parameter in model.named_parameters():
        if name.endswith("norm.weight"):
            torch.nn.init.ones_(parameter)
        else:
            torch.nn.init.normal_(parameter, std=0.02)
    _fill_buffers(model, facts, device)
    return model.requires_grad_(False).eval()


def _fill_buffers(model: RealtimeModel, facts: ModelFacts, device: torch.device) -> None:
    """Rotary frequencies are computed, not read; they stay in float32."""
    for part, stack in ((model.encoder, facts.encoder), (model.decoder, facts.decoder)):
        part.rotary = type(part.rotary)(stack.head_dim, stack.rope_theta).to(device)
