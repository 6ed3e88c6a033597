"""Proof on the owner's machine: this engine and transformers on the same weights and the same recording."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from voxtral_streaming.audio.units import Samples
from voxtral_streaming.config import ModelConfig
from voxtral_streaming.engines.voxtral.device import choose_device
from voxtral_streaming.engines.voxtral.files import locate
from voxtral_streaming.engines.voxtral.verify import (
    Logits,
    Tokens,
    Verification,
    compare,
    transformers_library,
    without_progress,
)
from voxtral_streaming.engines.voxtral_offline.batch import Batch, Sizes
from voxtral_streaming.engines.voxtral_offline.checkpoint import Checkpoint, load_model, open_checkpoint
from voxtral_streaming.engines.voxtral_offline.mel import log_mel
from voxtral_streaming.engines.voxtral_offline.plan import most_tokens
from voxtral_streaming.engines.voxtral_offline.worker import Kind, Request, Worker
from voxtral_streaming.errors import EngineUnavailable


def verify_model(model: ModelConfig, samples: Samples) -> Verification:
    """`verify` for a model as it is configured: its name, revision, language, device and arithmetic."""
    folder, dtype = locate(model.name, model.revision), getattr(torch, model.torch_dtype)
    return verify(folder, samples, language=model.language, dtype=dtype, device=choose_device(model.device))


def verify(
    folder: Path, samples: Samples, *, language: str | None, dtype: torch.dtype, device: torch.device
) -> Verification:
    """Transcribe `samples` with both, one model in memory at a time.

    Needs a folder in Hugging Face layout. Raises `WeightsError`, or `EngineUnavailable` without transformers.
    """
    checkpoint = open_checkpoint(folder)
    if checkpoint.files.layout != "hugging_face":
        raise EngineUnavailable(f"{folder}: transformers reads config.json and model.safetensors, which are not here")
    n_audio = checkpoint.facts.n_audio_tokens(len(samples))
    prompt = checkpoint.tokenizer.transcription(n_audio, language)
    mel, most = log_mel(samples, checkpoint.facts), most_tokens(len(samples))
    request = Request(Kind.FINISH, prompt, mel, most)
    theirs = _transformers(checkpoint, request, dtype, device)
    return compare(_ours(checkpoint, request, dtype, device), theirs, checkpoint.tokenizer.vocabulary)


def _ours(checkpoint: Checkpoint, request: Request, dtype: torch.dtype, device: torch.device) -> tuple[Tokens, Logits]:
    model, special = load_model(checkpoint, dtype, device), checkpoint.tokenizer.special
    batch = Batch(model, Sizes(1, len(request.prompt) + request.most), special.audio)
    logits: Logits = []
    model.decoder.head.register_forward_hook(lambda _module, _inputs, output: logits.append(output[-1].float().cpu()))
    worker = Worker(batch, special.eos, "auto")
    worker.waiting.append(request)
    while not worker.is_idle:
        worker.advance()
    return list(request.said), logits


def _transformers(
    checkpoint: Checkpoint, request: Request, dtype: torch.dtype, device: torch.device
) -> tuple[Tokens, Logits]:
    library, eos = transformers_library(), checkpoint.tokenizer.special.eos
    load: Callable[..., Any] = library.VoxtralForConditionalGeneration.from_pretrained
    with without_progress(library.utils.logging):
        model = load(checkpoint.files.folder, dtype=dtype).to(device)
    answer = model.generate(
        input_ids=torch.tensor([request.prompt], device=device),
        input_features=request.mel.to(device, dtype),
        max_new_tokens=request.most,
        do_sample=False,
        eos_token_id=eos,
        return_dict_in_generate=True,
        output_logits=True,
    )
    said: Tokens = answer.sequences[0, len(request.prompt) :].tolist()
    return [token for token in said if token != eos], [step[0].float().cpu() for step in answer.logits]
