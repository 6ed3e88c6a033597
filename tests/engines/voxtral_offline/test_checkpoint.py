from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from voxtral_streaming.audio.units import Samples
from voxtral_streaming.engines.voxtral.facts import StackFacts
from voxtral_streaming.engines.voxtral.layout import Layout
from voxtral_streaming.engines.voxtral_offline.checkpoint import load_model, open_checkpoint
from voxtral_streaming.engines.voxtral_offline.facts import OfflineFacts, WhisperFacts
from voxtral_streaming.engines.voxtral_offline.layout import parameters
from voxtral_streaming.engines.voxtral_offline.model import VoxtralModel
from voxtral_streaming.errors import WeightsError

CPU = torch.device("cpu")
WHISPER = WhisperFacts(dim=1280, n_layers=32, n_heads=20, ffn_dim=5120, n_positions=1500)
MINI = OfflineFacts(WHISPER, StackFacts(3072, 30, 32, 8, 128, 8192, 1e8, 32768, 1e-5), 131072)
SMALL = OfflineFacts(WHISPER, StackFacts(5120, 40, 32, 8, 128, 32768, 1e8, 32768, 1e-5), 131072)

Weights = dict[str, torch.Tensor]


def pairs(rows: torch.Tensor, n_heads: int) -> torch.Tensor:
    """Rows that rotate halves, in the order that rotates neighbours."""
    return rows.view(n_heads, 2, -1, *rows.shape[1:]).transpose(1, 2).reshape(rows.shape)


def mistral_name(name: str) -> str:
    """Mistral's name for a tensor of the tiny checkpoint."""
    whisper = "mm_whisper_embeddings.whisper_encoder"
    changes = [
        ("language_model.model.embed_tokens", "mm_whisper_embeddings.tok_embeddings"),
        ("language_model.lm_head", "output"),
        ("language_model.model.", ""),
        ("audio_tower.conv1", f"{whisper}.conv_layers.0"),
        ("audio_tower.conv2", f"{whisper}.conv_layers.1"),
        ("audio_tower.layer_norm", f"{whisper}.transformer.norm"),
        ("audio_tower.", f"{whisper}.transformer."),
        ("multi_modal_projector.linear_1", "mm_whisper_embeddings.audio_language_projection.0"),
        ("multi_modal_projector.linear_2", "mm_whisper_embeddings.audio_language_projection.2"),
        ("self_attn_layer_norm", "attention_norm"),
        ("input_layernorm", "attention_norm"),
        ("final_layer_norm", "ffn_norm"),
        ("post_attention_layernorm", "ffn_norm"),
        ("self_attn.", "attention."),
        ("out_proj", "wo"),
        *((f"{letter}_proj", f"w{letter}") for letter in "qkvo"),
        *((f"mlp.{part}_proj", f"feed_forward.w{n}") for part, n in (("gate", 1), ("down", 2), ("up", 3))),
        ("fc1", "feed_forward.w1"),
        ("fc2", "feed_forward.w2"),
    ]
    for theirs, ours in changes:
        name = name.replace(theirs, ours)
    return name


def write_mistral(source: Path, folder: Path) -> None:
    """The tiny checkpoint in Mistral's layout: no position table, the decoder's rotary rows in pairs."""
    config = json.loads((source / "config.json").read_text())
    weights = {}
    for name, tensor in load_file(source / "model.safetensors").items():
        if name == "audio_tower.embed_positions.weight":
            continue
        if name.startswith("language_model") and ("q_proj" in name or "k_proj" in name):
            tensor = pairs(
                tensor, config["text_config"][f"num_{'attention' if 'q_proj' in name else 'key_value'}_heads"]
            )
        weights[mistral_name(name)] = tensor.contiguous()
    save_file(weights, folder / "consolidated.safetensors")
    audio, text = config["audio_config"], config["text_config"]
    encoder = {
        "dim": audio["hidden_size"],
        "n_layers": audio["num_hidden_layers"],
        "hidden_dim": audio["intermediate_size"],
    }
    encoder |= {"n_heads": audio["num_attention_heads"], "max_source_positions": audio["max_source_positions"]}
    params = {"dim": text["hidden_size"], "n_layers": text["num_hidden_layers"], "n_heads": text["num_attention_heads"]}
    params |= {"n_kv_heads": text["num_key_value_heads"], "head_dim": text["head_dim"]}
    params |= {"hidden_dim": text["intermediate_size"], "norm_eps": text["rms_norm_eps"]}
    params |= {"rope_theta": text["rope_parameters"]["rope_theta"], "vocab_size": text["vocab_size"]}
    params |= {"max_position_embeddings": text["max_position_embeddings"]}
    whisper = {"encoder_args": encoder, "downsample_args": {"downsample_factor": 4}}
    (folder / "params.json").write_text(json.dumps(params | {"multimodal": {"whisper_model_args": whisper}}))


def write_new_names(source: Path, folder: Path) -> None:
    """As transformers 5 names its modules."""
    weights = {}
    for name, tensor in load_file(source / "model.safetensors").items():
        new = name.replace("language_model.model.", "model.language_model.").replace(
            "language_model.lm_head", "lm_head"
        )
        weights[f"model.{name}" if name == new else new] = tensor
    save_file(weights, folder / "model.safetensors")
    shutil.copy(source / "config.json", folder)


def write_shards(source: Path, folder: Path) -> None:
    """Two files."""
    weights = load_file(source / "model.safetensors")
    for n in range(2):
        shard = {name: weights[name] for name in sorted(weights)[n::2]}
        save_file(shard, folder / f"model-0000{n + 1}-of-00002.safetensors")
    shutil.copy(source / "config.json", folder)


@pytest.mark.parametrize("write", [write_mistral, write_new_names, write_shards])
def test_every_layout_gives_the_same_weights(
    write: Callable[[Path, Path], None], tiny: Path, tmp_path: Path, loaded: Any
) -> None:
    write(tiny, tmp_path)
    shutil.copy(tiny / "tekken.json", tmp_path)
    found, expected = open_checkpoint(tmp_path), loaded(tiny)
    ours = load_model(found, torch.float32, CPU)
    assert found.facts == expected.facts
    for (name, theirs), (_, parameter) in zip(expected.named_parameters(), ours.named_parameters(), strict=True):
        torch.testing.assert_close(parameter, theirs, rtol=0, atol=2e-5 if name == "encoder.positions" else 0, msg=name)


def test_mistral_layout_gives_the_same_tokens(
    tiny: Path, tmp_path: Path, clip: Samples, transcribe: Any, oracle: Any
) -> None:
    write_mistral(tiny, tmp_path)
    shutil.copy(tiny / "tekken.json", tmp_path)
    assert transcribe(tmp_path, clip, "en") == oracle(tiny, clip, "en")


def test_the_table_of_positions_keeps_its_precision(official: Path, loaded: Any, oracle_model: Any) -> None:
    ours = loaded(official, torch.bfloat16).encoder.positions
    assert ours.dtype == torch.float32
    assert torch.equal(ours, oracle_model(official, torch.bfloat16).model.audio_tower.embed_positions.weight)


@pytest.mark.parametrize(("facts", "billions"), [(MINI, 4.676), (SMALL, 24.262)])
def test_the_published_models_have_these_shapes(facts: OfflineFacts, billions: float) -> None:
    """Against the sizes of transformers' model of the same configuration, which is where the figures are from."""
    with torch.device("meta"):
        model = VoxtralModel(facts)
    pieces = parameters(facts)
    shapes = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    assert pieces.keys() == shapes.keys()
    for name, parts in pieces.items():
        assert shapes[name] == (sum(part.shape[0] for part in parts), *parts[0].shape[1:]), name
    assert sum(parameter.numel() for parameter in model.parameters()) / 1e9 == pytest.approx(billions, abs=0.002)


@pytest.mark.parametrize("facts", [MINI, SMALL], ids=["3B", "24B"])
def test_names_and_shapes_of_the_published_models_are_transformers(facts: OfflineFacts) -> None:
    transformers: Any = pytest.importorskip("transformers")
    text = {"model_type": "llama", "hidden_size": facts.decoder.dim, "intermediate_size": facts.decoder.ffn_dim}
    text |= {"num_hidden_layers": facts.decoder.n_layers, "num_attention_heads": 32, "num_key_value_heads": 8}
    text |= {"head_dim": 128, "vocab_size": facts.vocab_size, "tie_word_embeddings": False}
    config = transformers.VoxtralConfig(
        text_config=text, audio_config={"model_type": "voxtral_encoder"}, audio_token_id=24
    )
    with torch.device("meta"):
        theirs = transformers.VoxtralForConditionalGeneration(config)
    expected = {name.removeprefix("model."): tuple(parameter.shape) for name, parameter in theirs.named_parameters()}
    layout: Layout = "hugging_face"
    ours = {piece.name(layout): piece.shape for parts in parameters(facts).values() for piece in parts}
    ours.pop(None, None)
    assert ours == expected


@pytest.fixture
def broken(tiny: Path, tmp_path: Path) -> Callable[..., Path]:
    """The tiny checkpoint with its weights or its description changed."""

    def change(weights: Callable[[Weights], object] = dict, config: Callable[[Any], object] = dict) -> Path:
        shutil.copy(tiny / "tekken.json", tmp_path)
        tensors, described = load_file(tiny / "model.safetensors"), json.loads((tiny / "config.json").read_text())
        weights(tensors)
        config(described)
        save_file(tensors, tmp_path / "model.safetensors")
        (tmp_path / "config.json").write_text(json.dumps(described))
        return tmp_path

    return change


def test_an_error_lists_what_is_missing_unexpected_and_misshapen(broken: Any) -> None:
    def spoil(weights: Weights) -> None:
        weights["audio_tower.layers.7.fc1.bias"] = weights.pop("audio_tower.layers.0.fc1.bias")
        weights["language_model.lm_head.weight"] = torch.zeros(511, 96)

    with pytest.raises(WeightsError) as error:
        load_model(open_checkpoint(broken(spoil)), torch.float32, CPU)
    assert str(error.value).splitlines()[1:] == [
        "  missing:",
        "    audio_tower.layers.0.fc1.bias [384]",
        "  unexpected:",
        "    audio_tower.layers.7.fc1.bias",
        "  of the wrong shape:",
        "    lm_head.weight [511, 96], not [512, 96]",
    ]


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("text_config", "rope_parameters", {"rope_type": "yarn", "rope_theta": 1e6}),
        ("text_config", "tie_word_embeddings", True),
        ("text_config", "num_key_value_heads", None),
        ("audio_config", "num_mel_bins", 80),
    ],
)
def test_a_fact_that_is_missing_or_wrong_is_named(broken: Any, section: str, key: str, value: Any) -> None:
    folder = broken(config=lambda described: described[section].update({key: value}))
    with pytest.raises(WeightsError, match=rf"config\.json.*{section}\.{key}"):
        open_checkpoint(folder)


def test_windows_must_agree(broken: Any) -> None:
    folder = broken(config=lambda described: described["audio_config"].update({"max_source_positions": 1500}))
    with pytest.raises(WeightsError, match="chunk_length_s"):
        open_checkpoint(folder)
