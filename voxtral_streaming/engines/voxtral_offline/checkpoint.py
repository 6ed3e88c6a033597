"""A model with the weights of a checkpoint, or with random ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from voxtral_streaming.engines.voxtral.files import Files, find_files
from voxtral_streaming.engines.voxtral.weights import read_weights
from voxtral_streaming.engines.voxtral_offline.facts import OfflineFacts, check_window, from_config, from_params
from voxtral_streaming.engines.voxtral_offline.layout import canonical, parameters
from voxtral_streaming.engines.voxtral_offline.model import VoxtralModel, sinusoids
from voxtral_streaming.engines.voxtral_offline.tokenizer import Tokenizer


@dataclass(frozen=True)
class Checkpoint:
    """A model whose files were found and described; no weight is read yet."""

    files: Files
    facts: OfflineFacts
    tokenizer: Tokenizer


def open_checkpoint(folder: Path) -> Checkpoint:
    """Find and describe a model. Raises `WeightsError`."""
    files = find_files(folder)
    read = from_config if files.layout == "hugging_face" else from_params
    facts, tokenizer = read(files.description()), Tokenizer(folder / "tekken.json")
    check_window(facts, tokenizer.audio_section)
    return Checkpoint(files, facts, tokenizer)


def load_model(checkpoint: Checkpoint, dtype: torch.dtype, device: torch.device) -> VoxtralModel:
    """The model with its weights, each converted and moved as it is read. Raises `WeightsError`."""
    facts = checkpoint.facts
    with torch.device("meta"):
        model = VoxtralModel(facts)
    state = read_weights(checkpoint.files, parameters(facts), canonical, dtype, device)
    if checkpoint.files.layout == "mistral":
        state["encoder.positions"] = sinusoids(facts.encoder.n_positions, facts.encoder.dim).to(device)
    model.load_state_dict(state, assign=True)
    _fill_buffers(model, device)
    return model.requires_grad_(False).eval()


def random_model(facts: OfflineFacts, dtype: torch.dtype, device: torch.device, seed: int = 0) -> VoxtralModel:
    """A model with small random weights: as fast as a real one, and as heavy."""
    torch.manual_seed(seed)
    with torch.device("meta"):
        model = VoxtralModel(facts)
    model.to(dtype).to_empty(device=device)
    for name, parameter in model.named_parameters():
        if "norm.weight" in name:
            torch.nn.init.ones_(parameter)
        elif name.endswith("bias"):
            torch.nn.init.zeros_(parameter)
        else:
            torch.nn.init.normal_(parameter, std=0.02)
    model.encoder.positions.data = sinusoids(facts.encoder.n_positions, facts.encoder.dim).to(device)
    _fill_buffers(model, device)
    return model.requires_grad_(False).eval()


def _fill_buffers(model: VoxtralModel, device: torch.device) -> None:
    """Rotary frequencies are computed, not read; they stay in float32."""
    stack, rotary = model.facts.decoder, model.decoder.rotary
    model.decoder.rotary = type(rotary)(stack.head_dim, stack.rope_theta).to(device)
