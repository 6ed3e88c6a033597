"""Proof on the owner's machine: this engine and transformers on the same weights and the same recording.

Who has the weights and transformers can see whether the tokens are equal, and if not, how far apart the two were.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from voxtral_streaming.audio.units import Samples
from voxtral_streaming.config import ModelConfig
from voxtral_streaming.engines.voxtral.checkpoint import load_model
from voxtral_streaming.engines.voxtral.device import choose_device
from voxtral_streaming.engines.voxtral.facts import SAMPLES_PER_TOKEN
from voxtral_streaming.engines.voxtral.files import Checkpoint, locate, open_checkpoint
from voxtral_streaming.engines.voxtral.framer import Framer
from voxtral_streaming.engines.voxtral.stepper import Sizes, Stepper
from voxtral_streaming.engines.voxtral.tekken import Detokenizer, Vocabulary, delay_tokens
from voxtral_streaming.errors import EngineUnavailable

Tokens = list[int]
Logits = list[Tensor]  # [vocab] in float32, on the CPU, one per token


@dataclass(frozen=True, slots=True)
class Verification:
    """What both heard. `first_difference`: index of the first token that differs; None: all are equal."""

    text: str
    oracle_text: str
    n_tokens: int
    first_difference: int | None
    logit_difference: float  # the largest, at the first difference or else anywhere

    def __str__(self) -> str:
        if self.first_difference is None:
            return (
                f"equal: all {self.n_tokens} tokens; logits differ by at most {self.logit_difference:.2g}\n"
                f"text: {self.text}"
            )
        return (
            f"different from token {self.first_difference} of {self.n_tokens} on, where logits differ by up to "
            f"{self.logit_difference:.2g}\nvoxtral-streaming: {self.text}\ntransformers: {self.oracle_text}"
        )


def verify_model(model: ModelConfig, samples: Samples) -> Verification:
    """`verify` for a model as it is configured: its name, revision, device and arithmetic."""
    folder = locate(model.name, model.revision)
    return verify(folder, samples, dtype=getattr(torch, model.torch_dtype), device=choose_device(model.device))


def verify(folder: Path, samples: Samples, *, dtype: torch.dtype, device: torch.device) -> Verification:
    """Transcribe `samples` with both, one model in memory at a time.

    Needs a folder in Hugging Face layout. Raises `WeightsError`, or `EngineUnavailable` without transformers.
    """
    checkpoint = open_checkpoint(folder)
    if checkpoint.layout != "hugging_face":
        raise EngineUnavailable(f"{folder}: transformers reads config.json and model.safetensors, which are not here")
    n_delay = delay_tokens(checkpoint.tekken.delay_ms)
    theirs = _transformers(checkpoint, samples, n_delay, dtype, device)
    ours = _ours(checkpoint, samples, n_delay, dtype, device)
    return compare(ours, theirs, checkpoint.tekken)


def compare(ours: tuple[Tokens, Logits], theirs: tuple[Tokens, Logits], vocabulary: Vocabulary) -> Verification:
    """What two models said, side by side; one that said less differs where it ended."""
    pairs = zip_longest(ours[0], theirs[0])
    first = next((index for index, (one, other) in enumerate(pairs) if one != other), None)
    compared = range(len(ours[0])) if first is None else range(first, min(first + 1, len(ours[1]), len(theirs[1])))
    differences = [(ours[1][i] - theirs[1][i]).abs().max().item() for i in compared]
    return Verification(
        text=_text(vocabulary, ours[0]),
        oracle_text=_text(vocabulary, theirs[0]),
        n_tokens=len(theirs[0]),
        first_difference=first,
        logit_difference=max(differences, default=0.0),
    )


def _text(vocabulary: Vocabulary, tokens: Tokens) -> str:
    detokenizer = Detokenizer(vocabulary)
    return (detokenizer.feed(tokens) + detokenizer.finish()).strip()


def _ours(
    checkpoint: Checkpoint, samples: Samples, n_delay: int, dtype: torch.dtype, device: torch.device
) -> tuple[Tokens, Logits]:
    model, tekken = load_model(checkpoint, dtype, device), checkpoint.tekken
    stepper = Stepper(model, tekken, Sizes(1, checkpoint.facts.decoder.window))
    stepper.join(0, n_delay)
    logits: Logits = []
    model.decoder.register_forward_hook(lambda _module, _inputs, output: logits.append(output[0, 0].float().cpu()))
    framer, tokens = Framer(), Tokens()
    framer.feed(samples)
    for window in framer.padded(framer.n_padded(tekken.n_right_pad(n_delay))):
        tokens += stepper.step(torch.from_numpy(window.copy())[None, None], [1])[0].tokens
    return tokens[n_delay + 1 :], logits[n_delay + 1 :]


def _transformers(
    checkpoint: Checkpoint, samples: Samples, n_delay: int, dtype: torch.dtype, device: torch.device
) -> tuple[Tokens, Logits]:
    library = transformers_library()
    tekken = checkpoint.tekken
    right = -len(samples) % SAMPLES_PER_TOKEN + tekken.n_right_pad(n_delay) * SAMPLES_PER_TOKEN
    audio = np.pad(samples, (tekken.n_left_pad * SAMPLES_PER_TOKEN, right))
    features = library.VoxtralRealtimeFeatureExtractor()(audio, sampling_rate=16_000, return_tensors="pt")
    prompt = torch.tensor([[tekken.bos] + [tekken.streaming_pad] * (tekken.prompt_length(n_delay) - 1)])
    load: Callable[..., Any] = library.VoxtralRealtimeForConditionalGeneration.from_pretrained
    with without_progress(library.utils.logging):
        model = load(checkpoint.folder, dtype=dtype).to(device)
    answer = model.generate(
        input_ids=prompt.to(device),
        input_features=features.input_features.to(device, dtype),
        num_delay_tokens=n_delay,
        max_new_tokens=len(audio) // SAMPLES_PER_TOKEN - prompt.shape[1],
        do_sample=False,
        eos_token_id=None,
        return_dict_in_generate=True,
        output_logits=True,
    )
    return answer.sequences[0, prompt.shape[1] :].tolist(), [step[0].float().cpu() for step in answer.logits]


@contextmanager
def without_progress(its_logging: Any) -> Iterator[None]:
    """While it loads weights it draws a bar on standard error, whoever reads that."""
    was_enabled = its_logging.is_progress_bar_enabled()
    its_logging.disable_progress_bar()
    try:
        yield
    finally:
        if was_enabled:
            its_logging.enable_progress_bar()


def transformers_library() -> Any:
    """The package, whose classes have no types. Raises `EngineUnavailable` where it is not installed."""
    try:
        import transformers
    except ImportError as error:
        raise EngineUnavailable("verifying needs transformers: pip install transformers") from error
    return transformers
