"""Which tensors of a checkpoint make up which parameters of the model, in both layouts."""

from __future__ import annotations

from itertools import chain

from voxtral_streaming.engines.voxtral.facts import CONV_KERNEL, N_MELS
from voxtral_streaming.engines.voxtral.layout import Layout, NamedPieces, Names, Piece, layer_pieces
from voxtral_streaming.engines.voxtral.layout import canonical as canonical_in_general
from voxtral_streaming.engines.voxtral_offline.facts import OfflineFacts, WhisperFacts

MULTIMODAL = "mm_whisper_embeddings"
WHISPER = f"{MULTIMODAL}.whisper_encoder"
EMBEDDING = "tok_embeddings.weight"


def canonical(name: str, layout: Layout) -> str:
    """A file's name for a tensor as its `Piece` knows it: Mistral's files may hold the embedding under a prefix."""
    if layout == "mistral":
        return EMBEDDING if name == f"{MULTIMODAL}.{EMBEDDING}" else name
    return canonical_in_general(name, layout)


def parameters(facts: OfflineFacts) -> dict[str, tuple[Piece, ...]]:
    """The pieces of every parameter of the model, by its name."""
    return dict(chain(_encoder(facts.encoder), _projector(facts), _decoder(facts)))


def _encoder(whisper: WhisperFacts) -> NamedPieces:
    dim = whisper.dim
    for index, width in enumerate((N_MELS, dim)):
        for kind, shape in (("weight", (dim, width, CONV_KERNEL)), ("bias", (dim,))):
            names = f"{WHISPER}.conv_layers.{index}.{kind}", f"audio_tower.conv{index + 1}.{kind}"
            yield f"encoder.conv{index + 1}.{kind}", (Piece(*names, shape),)
    table = Piece(None, "audio_tower.embed_positions.weight", (whisper.n_positions, dim), is_wide=True)
    yield "encoder.positions", (table,)
    for index in range(whisper.n_layers):
        names_of_layer = Names(f"{WHISPER}.transformer.layers.{index}", f"audio_tower.layers.{index}", "", "")
        yield from _whisper_layer(f"encoder.layers.{index}", names_of_layer, whisper)
    for kind in ("weight", "bias"):
        yield (
            f"encoder.norm.{kind}",
            (Piece(f"{WHISPER}.transformer.norm.{kind}", f"audio_tower.layer_norm.{kind}", (dim,)),),
        )


def _whisper_layer(ours: str, names: Names, whisper: WhisperFacts) -> NamedPieces:
    """A layer with GELU and layer norms, with its biases; its keys have none."""
    dim, ffn = whisper.dim, whisper.ffn_dim
    for kind, shape in (("weight", (dim, dim)), ("bias", (dim,))):
        no_keys = Piece(None, None, shape)
        keys = names.projection("k", kind, shape) if kind == "weight" else no_keys
        projections = names.projection("q", kind, shape), keys, names.projection("v", kind, shape)
        yield f"{ours}.attention.qkv.{kind}", projections
        yield (
            f"{ours}.attention.out.{kind}",
            (names.piece(f"attention.wo.{kind}", f"self_attn.out_proj.{kind}", shape),),
        )
    for kind in ("weight", "bias"):
        for norm, theirs in (("attention_norm", "self_attn_layer_norm"), ("ffn_norm", "final_layer_norm")):
            yield f"{ours}.{norm}.{kind}", (names.piece(f"{norm}.{kind}", f"{theirs}.{kind}", (dim,)),)
    for part, number, rows, columns in (("up", 1, ffn, dim), ("down", 2, dim, ffn)):
        for kind, shape in (("weight", (rows, columns)), ("bias", (rows,))):
            piece = names.piece(f"feed_forward.w{number}.{kind}", f"fc{number}.{kind}", shape)
            yield f"{ours}.{part}.{kind}", (piece,)


def _projector(facts: OfflineFacts) -> NamedPieces:
    dim = facts.decoder.dim
    for ours, mistral, hugging_face, width in (("into", 0, 1, facts.projector_in), ("out", 2, 2, dim)):
        names = f"{MULTIMODAL}.audio_language_projection.{mistral}", f"multi_modal_projector.linear_{hugging_face}"
        yield f"projector.{ours}.weight", (Piece(f"{names[0]}.weight", f"{names[1]}.weight", (dim, width)),)


def _decoder(facts: OfflineFacts) -> NamedPieces:
    shape, model = (facts.vocab_size, facts.decoder.dim), "language_model"
    yield "decoder.embedding.weight", (Piece(EMBEDDING, f"{model}.embed_tokens.weight", shape),)
    for index in range(facts.decoder.n_layers):
        theirs = f"layers.{index}", f"{model}.layers.{index}"
        names = Names(*theirs, "input_layernorm", "post_attention_layernorm")
        yield from layer_pieces(f"decoder.layers.{index}", names, facts.decoder)
    yield "decoder.norm.weight", (Piece("norm.weight", f"{model}.norm.weight", (facts.decoder.dim,)),)
    yield "decoder.head.weight", (Piece("output.weight", "lm_head.weight", shape),)
