"""At the real widths: few layers, random weights, small windows, transformers as the oracle of every logit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from voxtral_streaming.engines.voxtral.checkpoint import load_model
from voxtral_streaming.engines.voxtral.facts import WINDOW_PER_TOKEN
from voxtral_streaming.engines.voxtral.files import open_checkpoint
from voxtral_streaming.engines.voxtral.stepper import Sizes, Stepper

N_DELAY, N_TOKENS = 6, 24
AUDIO = {"model_type": "voxtral_realtime_encoder", "num_hidden_layers": 1, "sliding_window": 60}
TEXT = {"model_type": "voxtral_realtime_text", "num_hidden_layers": 1, "sliding_window": 30, "vocab_size": 1024}
ROTARY = {"rope_parameters": {"rope_type": "default", "rope_theta": 1e6}}


@pytest.fixture(scope="module")
def oracle() -> Any:
    """One layer of each stack of the 4B model, bf16; norms that are not all ones."""
    library: Any = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = library.VoxtralRealtimeConfig(
        audio_config=AUDIO | ROTARY, text_config=TEXT | ROTARY | {"pad_token_id": 11}
    )
    model = library.VoxtralRealtimeForConditionalGeneration(config).eval()
    for name, parameter in model.named_parameters():
        if "norm" in name and parameter.dim() == 1:
            torch.nn.init.uniform_(parameter, 0.5, 1.5)
    return model.requires_grad_(False)


def test_logits_are_those_of_transformers(oracle: Any, tiny: Path, tmp_path: Path) -> None:
    config = oracle.config.to_dict()
    assert (config["audio_config"]["hidden_size"], config["text_config"]["hidden_size"]) == (1280, 3072)
    oracle.config.save_pretrained(tmp_path)
    weights = {name: tensor.contiguous() for name, tensor in oracle.state_dict().items() if name != "lm_head.weight"}
    save_file(weights, tmp_path / "model.safetensors")
    (tmp_path / "tekken.json").write_bytes((tiny / "tekken.json").read_bytes())
    found = open_checkpoint(tmp_path)
    stepper = Stepper(load_model(found, torch.float32, torch.device("cpu")), found.tekken, Sizes(1, 30))
    heard: list[torch.Tensor] = []
    stepper.join(0, N_DELAY)
    stepper.model.decoder.register_forward_hook(lambda _module, _inputs, output: heard.append(output[0, 0]))
    windows = torch.randn(N_TOKENS, WINDOW_PER_TOKEN, generator=torch.Generator().manual_seed(1)) / 10
    tokens = [stepper.step(window[None, None], [1])[0].tokens[0] for window in windows]
    ids = [1] + [32] * (32 + N_DELAY) + tokens[N_DELAY + 1 : -1]
    mel = stepper.mel(windows).transpose(0, 1).flatten(1)[None]  # [1, n_mels, 8 n_tokens]
    silence = stepper.mel(torch.zeros(WINDOW_PER_TOKEN)).repeat(1, 31)[None]
    with torch.inference_mode():
        logits = oracle(
            input_ids=torch.tensor([ids]),
            input_features=torch.cat((silence, mel), dim=2),
            num_delay_tokens=N_DELAY,
            use_cache=False,
        ).logits[0, 31:]
    difference = (torch.stack(heard) - logits).abs().max()
    assert difference < 1e-4 * logits.abs().max()
    assert tokens == logits.argmax(-1).tolist()
