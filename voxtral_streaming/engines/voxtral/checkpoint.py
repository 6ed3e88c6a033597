"""Reading a checkpoint's weights: every name and shape is checked, then they are loaded. Safetensors, memory-mapped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from voxtral_streaming.engines.voxtral.facts import ModelFacts
from voxtral_streaming.engines.voxtral.files import Checkpoint
from voxtral_streaming.engines.voxtral.layout import (
    EMBEDDING,
    HEAD,
    IGNORED_ENDINGS,
    Layout,
    Piece,
    canonical,
    parameters,
)
from voxtral_streaming.engines.voxtral.model import RealtimeModel
from voxtral_streaming.errors import WeightsError

SHOWN = 10  # names of a kind that an error lists


def load_model(checkpoint: Checkpoint, dtype: torch.dtype, device: torch.device) -> RealtimeModel:
    """The model with its weights, each converted and moved as it is read. Raises `WeightsError`."""
    with torch.device("meta"):
        model = RealtimeModel(checkpoint.facts)
    with ExitStack() as stack:
        tensors = _index(checkpoint, stack)
        wanted = parameters(checkpoint.facts)
        _check(checkpoint, tensors, [piece for pieces in wanted.values() for piece in pieces])
        state = {name: _assemble(tensors, pieces, checkpoint.layout, dtype, device) for name, pieces in wanted.items()}
    model.load_state_dict(state, assign=True)
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


def _index(checkpoint: Checkpoint, stack: ExitStack) -> dict[str, Any]:
    """A lazy slice of every tensor, by its canonical name."""
    tensors = {}
    for file in checkpoint.files:
        try:
            opened = stack.enter_context(safe_open(file, framework="pt", device="cpu"))
        except (SafetensorError, OSError) as error:
            raise WeightsError(f"{file}: not a whole safetensors file: {error}") from error
        for name in opened.keys():  # noqa: SIM118 - not a mapping
            if not name.endswith(IGNORED_ENDINGS):
                tensors[canonical(name, checkpoint.layout)] = opened.get_slice(name)
    return tensors


def _check(checkpoint: Checkpoint, tensors: Mapping[str, Any], pieces: Iterable[Piece]) -> None:
    """Raise `WeightsError` with the names that are missing, unexpected or of the wrong shape."""
    wanted = {name: piece.shape for piece in pieces if (name := piece.name(checkpoint.layout))}
    head, embedding = HEAD[checkpoint.layout], EMBEDDING[checkpoint.layout]
    if head in tensors:
        wanted[head] = wanted[embedding]
    problems = [
        *_listed("missing", [f"{name} {list(shape)}" for name, shape in wanted.items() if name not in tensors]),
        *_listed("unexpected", [name for name in tensors if name not in wanted]),
        *_listed("of the wrong shape", _misshapen(tensors, wanted)),
    ]
    if problems:
        raise WeightsError("\n".join((f"{checkpoint.folder}: these weights are not this model's", *problems)))
    if head in tensors and not torch.equal(tensors[head][:], tensors[embedding][:]):
        raise WeightsError(f"{checkpoint.folder}: {head} differs from the embedding; this engine ties them")


def _misshapen(tensors: Mapping[str, Any], wanted: Mapping[str, tuple[int, ...]]) -> list[str]:
    found = {name: tuple(tensors[name].get_shape()) for name in wanted if name in tensors}
    return [f"{name} {list(shape)}, not {list(wanted[name])}" for name, shape in found.items() if shape != wanted[name]]


def _listed(kind: str, names: list[str]) -> list[str]:
    more = [f"    and {len(names) - SHOWN} more"] if len(names) > SHOWN else []
    return [f"  {kind}:", *(f"    {name}" for name in names[:SHOWN]), *more] if names else []


def _assemble(
    tensors: Mapping[str, Any], pieces: tuple[Piece, ...], layout: Layout, dtype: torch.dtype, device: torch.device
) -> Tensor:
    """One parameter: its pieces one below the other."""
    parts = [_read(tensors, piece, layout).to(device, dtype) for piece in pieces]
    return torch.cat(parts) if len(parts) > 1 else parts[0].clone()


def _read(tensors: Mapping[str, Any], piece: Piece, layout: Layout) -> Tensor:
    name = piece.name(layout)
    if name is None:
        return torch.zeros(piece.shape)
    tensor: Tensor = tensors[name][:]
    return halves_from_pairs(tensor, piece.heads) if layout == "mistral" and piece.heads else tensor


def halves_from_pairs(rows: Tensor, n_heads: int) -> Tensor:
    """Rows of a projection whose heads rotate pairs (2i, 2i + 1), in the order that rotates halves (i, i + d/2)."""
    pairs = rows.view(n_heads, -1, 2, *rows.shape[1:])  # [n_heads, head_dim / 2, 2, …]
    return pairs.transpose(1, 2).reshape(rows.shape)
