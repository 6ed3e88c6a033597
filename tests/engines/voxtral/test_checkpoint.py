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
from voxtral_streaming.engines.voxtral.checkpoint import load_model
from voxtral_streaming.engines.voxtral.facts import ModelFacts, StackFacts
from voxtral_streaming.engines.voxtral.files import locate, open_checkpoint
from voxtral_streaming.engines.voxtral.layout import parameters
from voxtral_streaming.engines.voxtral.model import RealtimeModel
from voxtral_streaming.engines.voxtral.stepper import Sizes, Stepper
from voxtral_streaming.errors import WeightsError

CPU = torch.device("cpu")
FULL = ModelFacts(
    encoder=StackFacts(1280, 32, 32, 32, 64, 5120, 1e6, 750, 1e-5),
    decoder=StackFacts(3072, 26, 32, 8, 128, 9216, 1e6, 8192, 1e-5),
    vocab_size=131072,
)

Weights = dict[str, torch.Tensor]


def pairs(rows: torch.Tensor, n_heads: int) -> torch.Tensor:
    """Rows that rotate halves, in the order that rotates neighbours: row j of the first half goes to 2 j."""
    half = rows.shape[0] // n_heads // 2
    order = [head * 2 * half + j + part * half for head in range(n_heads) for j in range(half) for part in (0, 1)]
    return rows[order]


def mistral_name(name: str) -> str:
    """Mistral's name for a tensor of the tiny checkpoint."""
    streams = "mm_streams_embeddings.embedding_module"
    changes = [
        ("language_model.model.embed_tokens", f"{streams}.tok_embeddings"),
        ("language_model.model.", ""),
        ("audio_tower.embedder.conv1.", f"{streams}.whisper_encoder.conv_layers.0.conv."),
        ("audio_tower.embedder.conv2.", f"{streams}.whisper_encoder.conv_layers.1.conv."),
        ("audio_tower.", f"{streams}.whisper_encoder.transformer."),
        ("multi_modal_projector.linear_1", f"{streams}.audio_language_projection.0"),
        ("multi_modal_projector.linear_2", f"{streams}.audio_language_projection.2"),
        ("self_attn_layer_norm", "attention_norm"),
        ("input_layernorm", "attention_norm"),
        ("final_layer_norm", "ffn_norm"),
        ("post_attention_layernorm", "ffn_norm"),
        ("self_attn.", "attention."),
        ("ada_rms_norm.linear1", "ada_rms_norm_t_cond.0"),
        ("ada_rms_norm.linear2", "ada_rms_norm_t_cond.2"),
        *((f"{letter}_proj", f"w{letter}") for letter in "qkvo"),
        *((f"mlp.{part}_proj", f"feed_forward.w{n}") for part, n in (("gate", 1), ("down", 2), ("up", 3))),
    ]
    for theirs, ours in changes:
        name = name.replace(theirs, ours)
    return name


def write_mistral(source: Path, folder: Path) -> None:
    """The tiny checkpoint in Mistral's layout."""
    config = json.loads((source / "config.json").read_text())
    weights = {}
    for name, tensor in load_file(source / "model.safetensors").items():
        part = config["audio_config" if name.startswith("audio_tower") else "text_config"]
        if "q_proj" in name:
            tensor = pairs(tensor, part["num_attention_heads"])
        if "k_proj" in name:
            tensor = pairs(tensor, part.get("num_key_value_heads", part["num_attention_heads"]))
        weights[mistral_name(name)] = tensor
    save_file(weights, folder / "consolidated.safetensors")
    encoder = _params(config["audio_config"]) | {"audio_encoding_args": {"num_mel_bins": 128, "hop_length": 160}}
    whisper = {"encoder_args": encoder, "downsample_args": {"downsample_factor": 4}}
    params = _params(config["text_config"]) | {"multimodal": {"whisper_model_args": whisper}}
    (folder / "params.json").write_text(json.dumps(params | {"sliding_window": str(params["sliding_window"])}))


def _params(part: dict[str, Any]) -> dict[str, Any]:
    return {
        "dim": part["hidden_size"],
        "n_layers": part["num_hidden_layers"],
        "n_heads": part["num_attention_heads"],
        "n_kv_heads": part.get("num_key_value_heads", part["num_attention_heads"]),
        "head_dim": part["head_dim"],
        "hidden_dim": part["intermediate_size"],
        "norm_eps": part["rms_norm_eps"],
        "rope_theta": part["rope_parameters"]["rope_theta"],
        "sliding_window": part["sliding_window"],
        "vocab_size": part["vocab_size"],
    }


def write_mistral_shards(source: Path, folder: Path) -> None:
    """The same in two files."""
    write_mistral(source, folder)
    weights = load_file(folder / "consolidated.safetensors")
    (folder / "consolidated.safetensors").unlink()
    for n in range(2):
        shard = {name: weights[name] for name in sorted(weights)[n::2]}
        save_file(shard, folder / f"consolidated-0000{n + 1}-of-00002.safetensors")


def write_new_names(source: Path, folder: Path) -> None:
    """As transformers 5 names its modules, with the head written out."""
    weights = {}
    for name, tensor in load_file(source / "model.safetensors").items():
        weights["model." + name.replace("language_model.model.", "language_model.")] = tensor
    weights["lm_head.weight"] = weights["model.language_model.embed_tokens.weight"].clone()
    save_file(weights, folder / "model.safetensors")
    shutil.copy(source / "config.json", folder)


def write_shards(source: Path, folder: Path) -> None:
    """Three files; the old tables of rotary frequencies are among them."""
    weights = load_file(source / "model.safetensors")
    names = sorted(weights)
    for n in range(3):
        shard = {name: weights[name] for name in names[n::3]}
        shard[f"audio_tower.layers.{n}.rotary_emb.inv_freq"] = torch.zeros(8)
        save_file(shard, folder / f"model-0000{n + 1}-of-00003.safetensors")
    shutil.copy(source / "config.json", folder)


@pytest.mark.parametrize("write", [write_mistral, write_mistral_shards, write_new_names, write_shards])
def test_every_layout_gives_the_same_weights(
    write: Callable[[Path, Path], None], tiny: Path, tmp_path: Path, model: RealtimeModel
) -> None:
    write(tiny, tmp_path)
    shutil.copy(tiny / "tekken.json", tmp_path)
    found = open_checkpoint(tmp_path)
    loaded = load_model(found, torch.float32, CPU)
    for (name, ours), (_, theirs) in zip(model.named_parameters(), loaded.named_parameters(), strict=True):
        assert torch.equal(ours, theirs), name
    assert found.facts == open_checkpoint(tiny).facts


def test_mistral_layout_gives_the_same_tokens(
    tiny: Path, tmp_path: Path, clip: Samples, transcribe_alone: Any, oracle: Any
) -> None:
    write_mistral(tiny, tmp_path)
    shutil.copy(tiny / "tekken.json", tmp_path)
    found = open_checkpoint(tmp_path)
    stepper = Stepper(load_model(found, torch.float32, CPU), found.tekken, Sizes(1, 80))
    assert transcribe_alone(stepper, clip) == oracle(clip)


def test_the_full_model_has_the_names_and_shapes_of_the_published_files() -> None:
    pieces = [piece for pieces in parameters(FULL).values() for piece in pieces if piece.mistral]
    shapes = {piece.mistral: piece.shape for piece in pieces}
    streams = "mm_streams_embeddings.embedding_module"
    layer = f"{streams}.whisper_encoder.transformer.layers.31"
    assert len(shapes) == len(pieces) == 711
    assert shapes[f"{streams}.tok_embeddings.weight"] == (131072, 3072)
    assert shapes[f"{streams}.whisper_encoder.conv_layers.0.conv.weight"] == (1280, 128, 3)
    assert shapes[f"{streams}.whisper_encoder.conv_layers.1.conv.weight"] == (1280, 1280, 3)
    assert shapes[f"{streams}.audio_language_projection.0.weight"] == (3072, 5120)
    assert shapes[f"{layer}.attention.wq.weight"] == (2048, 1280)
    assert shapes[f"{layer}.attention.wo.bias"] == (1280,)
    assert f"{layer}.attention.wk.bias" not in shapes
    assert shapes[f"{layer}.feed_forward.w2.bias"] == (1280,)
    assert shapes["layers.25.attention.wk.weight"] == (1024, 3072)
    assert shapes["layers.25.ada_rms_norm_t_cond.0.weight"] == (32, 3072)
    assert shapes["layers.25.feed_forward.w2.weight"] == (3072, 9216)


def test_the_full_model_on_no_device_has_those_parameters() -> None:
    with torch.device("meta"):
        model = RealtimeModel(FULL)
    wanted = {
        name: (sum(piece.shape[0] for piece in pieces), *pieces[0].shape[1:])
        for name, pieces in parameters(FULL).items()
    }
    assert {name: tuple(parameter.shape) for name, parameter in model.named_parameters()} == wanted
    assert round(sum(parameter.numel() for parameter in model.parameters()) / 1e9, 2) == 4.43


@pytest.fixture
def broken(tiny: Path, tmp_path: Path) -> Callable[[Callable[[Weights], None]], Path]:
    """A copy of the tiny checkpoint with its weights changed."""

    def write(change: Callable[[Weights], None]) -> Path:
        weights = load_file(tiny / "model.safetensors")
        change(weights)
        save_file(weights, tmp_path / "model.safetensors")
        for name in ("config.json", "tekken.json"):
            shutil.copy(tiny / name, tmp_path)
        return tmp_path

    return write


def spoil(weights: Weights) -> None:
    del weights["audio_tower.layers.1.mlp.down_proj.bias"]
    weights["audio_tower.layers.2.mlp.down_proj.bias"] = torch.zeros(96)
    weights["multi_modal_projector.linear_2.weight"] = torch.zeros(96, 95)


def test_an_error_lists_what_is_missing_unexpected_and_misshapen(broken: Any) -> None:
    with pytest.raises(WeightsError) as error:
        load_model(open_checkpoint(broken(spoil)), torch.float32, CPU)
    assert str(error.value).splitlines()[1:] == [
        "  missing:",
        "    audio_tower.layers.1.mlp.down_proj.bias [96]",
        "  unexpected:",
        "    audio_tower.layers.2.mlp.down_proj.bias",
        "  of the wrong shape:",
        "    multi_modal_projector.linear_2.weight [96, 95], not [96, 96]",
    ]


def test_a_long_list_is_cut(broken: Any) -> None:
    with pytest.raises(WeightsError, match="and 47 more"):
        load_model(open_checkpoint(broken(Weights.clear)), torch.float32, CPU)


def test_a_head_of_its_own_is_refused(broken: Any) -> None:
    def add_head(weights: Weights) -> None:
        weights["lm_head.weight"] = torch.zeros(512, 96)

    with pytest.raises(WeightsError, match="ties them"):
        load_model(open_checkpoint(broken(add_head)), torch.float32, CPU)


def test_a_truncated_file_is_named(broken: Any) -> None:
    folder = broken(lambda weights: None)
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:100_000])
    with pytest.raises(WeightsError, match=r"model\.safetensors: not a whole safetensors file"):
        load_model(open_checkpoint(folder), torch.float32, CPU)


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("text_config", "sliding_window", None),
        ("text_config", "hidden_size", "many"),
        ("audio_config", "rope_parameters", {"rope_type": "default"}),
        ("audio_config", "num_mel_bins", 80),
    ],
)
def test_a_fact_that_is_missing_or_wrong_is_named(
    tiny: Path, tmp_path: Path, section: str, key: str, value: Any
) -> None:
    config = json.loads((tiny / "config.json").read_text())
    config[section][key] = value
    for name in ("model.safetensors", "tekken.json"):
        shutil.copy(tiny / name, tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(WeightsError, match=rf"config\.json.*{section}\.{key}"):
        open_checkpoint(tmp_path)


def test_a_folder_without_a_model_says_what_it_needs(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"config\.json .* params\.json"):
        open_checkpoint(tmp_path)


def test_weights_that_are_not_safetensors_are_never_opened(tiny: Path, tmp_path: Path) -> None:
    for name in ("config.json", "tekken.json"):
        shutil.copy(tiny / name, tmp_path)
    for name in ("pytorch_model.bin", "consolidated.00.pth"):
        (tmp_path / name).write_bytes(b"cos\nsystem\n(S'exit 1'\ntR.")
    with pytest.raises(WeightsError, match=r"needs config\.json with model\.safetensors"):
        open_checkpoint(tmp_path)


def test_models_are_found_in_the_local_hub_cache(tmp_path: Path) -> None:
    repository = tmp_path / "hub" / "models--mistralai--Voxtral"
    for revision in ("0123abcd", "4567ef01"):
        (repository / "snapshots" / revision).mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("4567ef01\n")
    environ = {"HF_HOME": str(tmp_path)}
    assert locate("mistralai/Voxtral", None, environ).name == "4567ef01"
    assert locate("mistralai/Voxtral", "0123abcd", environ).name == "0123abcd"
    assert locate(str(tmp_path), None, environ) == tmp_path
    with pytest.raises(WeightsError, match="no revision 89"):
        locate("mistralai/Voxtral", "89", environ)
