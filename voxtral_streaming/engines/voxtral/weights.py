"""Reading the weights of a checkpoint: every name and shape is checked, then they are loaded. Safetensors, mapped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from voxtral_streaming.engines.voxtral.files import Files
from voxtral_streaming.engines.voxtral.layout import IGNORED_ENDINGS, Layout, Piece
from voxtral_streaming.errors import WeightsError

SHOWN = 10  # names of a kind that an error lists


def read_weights(
    files: Files,
    wanted: Mapping[str, tuple[Piece, ...]],
    canonical: Callable[[str, Layout], str],
    dtype: torch.dtype,
    device: torch.device,
    tied: tuple[str, str] | None = None,
) -> dict[str, Tensor]:
    """Every parameter of `wanted`, by its name, converted and moved as it is read. Raises `WeightsError`.

    `canonical` turns a file's name for a tensor into the one that its `Piece` has. `tied`: a tensor that may be stored
    besides, and the one that it must equal.
    """
    with ExitStack() as stack:
        tensors = _index(files, canonical, stack)
        _check(files, tensors, [piece for pieces in wanted.values() for piece in pieces], tied)
        return {name: _assemble(tensors, pieces, files.layout, dtype, device) for name, pieces in wanted.items()}


def _index(files: Files, canonical: Callable[[str, Layout], str], stack: ExitStack) -> dict[str, Any]:
    """A lazy slice of every tensor, by its canonical name."""
    tensors = {}
    for file in files.files:
        try:
            opened = stack.enter_context(safe_open(file, framework="pt", device="cpu"))
        except (SafetensorError, OSError) as error:
            raise WeightsError(f"{file}: not a whole safetensors file: {error}") from error
        for name in opened.keys():  # noqa: SIM118 - not a mapping
            if not name.endswith(IGNORED_ENDINGS):
                tensors[canonical(name, files.layout)] = opened.get_slice(name)
    return tensors


def _check(files: Files, tensors: Mapping[str, Any], pieces: Iterable[Piece], tied: tuple[str, str] | None) -> None:
    """Raise `WeightsError` with the names that are missing, unexpected or of the wrong shape."""
    wanted = {name: piece.shape for piece in pieces if (name := piece.name(files.layout))}
    if tied and tied[0] in tensors:
        wanted[tied[0]] = wanted[tied[1]]
    problems = [
        *_listed("missing", [f"{name} {list(shape)}" for name, shape in wanted.items() if name not in tensors]),
        *_listed("unexpected", [name for name in tensors if name not in wanted]),
        *_listed("of the wrong shape", _misshapen(tensors, wanted)),
    ]
    if problems:
        raise WeightsError("\n".join((f"{files.folder}: these weights are not this model's", *problems)))
    if tied and tied[0] in tensors and not torch.equal(tensors[tied[0]][:], tensors[tied[1]][:]):
        raise WeightsError(f"{files.folder}: {tied[0]} differs from the embedding; this engine ties them")


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
    parts = [_read(tensors, piece, layout).to(device, torch.float32 if piece.is_wide else dtype) for piece in pieces]
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
