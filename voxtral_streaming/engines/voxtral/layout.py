"""Which tensors of a checkpoint make up which parameters of the model, in both layouts.

Parameters that are used together are one product here (queries, keys and values; gate and up), so a parameter may be
several tensors, one below the other. Mistral's files turn neighbouring pairs of a head by the rotary angle, Hugging
Face's (and this model) its halves: the rows of a query or key projection are in another order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Literal, TypeAlias

from voxtral_streaming.engines.voxtral.facts import CONDITION_DIM, CONV_KERNEL, N_MELS, ModelFacts, StackFacts

Layout: TypeAlias = Literal["mistral", "hugging_face"]

STREAMS = "mm_streams_embeddings.embedding_module"
WHISPER = f"{STREAMS}.whisper_encoder"
EMBEDDING: dict[Layout, str] = {
    "mistral": f"{STREAMS}.tok_embeddings.weight",
    "hugging_face": "language_model.embed_tokens.weight",
}
HEAD: dict[Layout, str] = {
    "mistral": "output.weight",
    "hugging_face": "lm_head.weight",
}  # optional: it is the embedding again
IGNORED_ENDINGS = ("rotary_emb.inv_freq", "time_embedding.inv_freq")  # tables that older writers stored


@dataclass(frozen=True, slots=True)
class Piece:
    """A tensor of a checkpoint. `heads`: how many heads of rotary rows it has; 0: none."""

    mistral: str | None  # None: not stored, zeros
    hugging_face: str | None
    shape: tuple[int, ...]
    heads: int = 0
    is_wide: bool = False  # kept in float32, whatever the model computes in

    def name(self, layout: Layout) -> str | None:
        """Its name in a layout."""
        return self.mistral if layout == "mistral" else self.hugging_face


def canonical(name: str, layout: Layout) -> str:
    """A file's name for a tensor as `Piece` knows it: Hugging Face prefixes come in two generations."""
    if layout == "mistral":
        return EMBEDDING[layout] if name == "tok_embeddings.weight" else name
    name = name.removeprefix("model.")
    if name == "language_model.lm_head.weight":
        return HEAD["hugging_face"]
    return name.replace("language_model.model.", "language_model.", 1)


def parameters(facts: ModelFacts) -> dict[str, tuple[Piece, ...]]:
    """The pieces of every parameter of the model, by its name."""
    return dict(chain(_encoder(facts), _projector(facts), _decoder(facts)))


NamedPieces: TypeAlias = Iterator[tuple[str, tuple[Piece, ...]]]


def _encoder(facts: ModelFacts) -> NamedPieces:
    dim = facts.encoder.dim
    for index, width in enumerate((N_MELS, dim)):
        for kind, shape in (("weight", (dim, width, CONV_KERNEL)), ("bias", (dim,))):
            mistral = f"{WHISPER}.conv_layers.{index}.conv.{kind}"
            yield (
                f"encoder.conv{index + 1}.{kind}",
                (Piece(mistral, f"audio_tower.embedder.conv{index + 1}.{kind}", shape),),
            )
    for index in range(facts.encoder.n_layers):
        mistral, hugging_face = f"{WHISPER}.transformer.layers.{index}", f"audio_tower.layers.{index}"
        names = Names(mistral, hugging_face, "self_attn_layer_norm", "final_layer_norm")
        yield from layer_pieces(f"encoder.layers.{index}", names, facts.encoder)
        yield from _biases(f"encoder.layers.{index}", names, facts.encoder)
    yield "encoder.norm.weight", (Piece(f"{WHISPER}.transformer.norm.weight", "audio_tower.norm.weight", (dim,)),)


def _projector(facts: ModelFacts) -> NamedPieces:
    dim = facts.decoder.dim
    for ours, mistral, hugging_face, width in (("into", 0, 1, facts.projector_in), ("out", 2, 2, dim)):
        names = f"{STREAMS}.audio_language_projection.{mistral}", f"multi_modal_projector.linear_{hugging_face}"
        yield f"projector.{ours}.weight", (Piece(f"{names[0]}.weight", f"{names[1]}.weight", (dim, width)),)


def _decoder(facts: ModelFacts) -> NamedPieces:
    dim, model = facts.decoder.dim, "language_model"
    embedding = Piece(EMBEDDING["mistral"], EMBEDDING["hugging_face"], (facts.vocab_size, dim))
    yield "decoder.embedding.weight", (embedding,)
    for index in range(facts.decoder.n_layers):
        mistral, hugging_face = f"layers.{index}", f"{model}.layers.{index}"
        names = Names(mistral, hugging_face, "input_layernorm", "post_attention_layernorm")
        yield from layer_pieces(f"decoder.layers.{index}", names, facts.decoder)
        yield from _condition(f"decoder.conditions.{index}", names, dim)
    yield "decoder.norm.weight", (Piece("norm.weight", f"{model}.norm.weight", (dim,)),)


@dataclass(frozen=True, slots=True)
class Names:
    """The prefixes of a layer, and what Hugging Face calls its norms."""

    mistral: str
    hugging_face: str
    attention_norm: str
    ffn_norm: str

    def piece(self, mistral: str, hugging_face: str, shape: tuple[int, ...], heads: int = 0) -> Piece:
        """A tensor of the layer."""
        return Piece(f"{self.mistral}.{mistral}", f"{self.hugging_face}.{hugging_face}", shape, heads)

    def projection(self, letter: str, kind: str, shape: tuple[int, ...], heads: int = 0) -> Piece:
        """One of the projections q, k, v and o."""
        return self.piece(f"attention.w{letter}.{kind}", f"self_attn.{letter}_proj.{kind}", shape, heads)


def layer_pieces(ours: str, names: Names, stack: StackFacts) -> NamedPieces:
    """A layer with SwiGLU and RMS norms, without its biases."""
    dim, ffn, n_q, n_kv = stack.dim, stack.ffn_dim, stack.n_heads, stack.n_kv_heads
    q_rows, kv_rows = n_q * stack.head_dim, n_kv * stack.head_dim
    yield (
        f"{ours}.attention_norm.weight",
        (names.piece("attention_norm.weight", f"{names.attention_norm}.weight", (dim,)),),
    )
    yield (
        f"{ours}.attention.qkv.weight",
        (
            names.projection("q", "weight", (q_rows, dim), n_q),
            names.projection("k", "weight", (kv_rows, dim), n_kv),
            names.projection("v", "weight", (kv_rows, dim)),
        ),
    )
    yield f"{ours}.attention.out.weight", (names.projection("o", "weight", (dim, q_rows)),)
    yield f"{ours}.ffn_norm.weight", (names.piece("ffn_norm.weight", f"{names.ffn_norm}.weight", (dim,)),)
    yield (
        f"{ours}.ffn.gate_up.weight",
        (
            names.piece("feed_forward.w1.weight", "mlp.gate_proj.weight", (ffn, dim)),
            names.piece("feed_forward.w3.weight", "mlp.up_proj.weight", (ffn, dim)),
        ),
    )
    yield f"{ours}.ffn.down.weight", (names.piece("feed_forward.w2.weight", "mlp.down_proj.weight", (dim, ffn)),)


def _biases(ours: str, names: Names, stack: StackFacts) -> NamedPieces:
    """Of the encoder; its keys have none, as in Whisper."""
    rows = stack.n_heads * stack.head_dim
    yield (
        f"{ours}.attention.qkv.bias",
        (
            names.projection("q", "bias", (rows,), stack.n_heads),
            Piece(None, None, (rows,)),
            names.projection("v", "bias", (rows,)),
        ),
    )
    yield f"{ours}.attention.out.bias", (names.projection("o", "bias", (stack.dim,)),)
    yield f"{ours}.ffn.down.bias", (names.piece("feed_forward.w2.bias", "mlp.down_proj.bias", (stack.dim,)),)


def _condition(ours: str, names: Names, dim: int) -> NamedPieces:
    for part, mistral, hugging_face, shape in (
        ("into", 0, 1, (CONDITION_DIM, dim)),
        ("out", 2, 2, (dim, CONDITION_DIM)),
    ):
        theirs = f"ada_rms_norm_t_cond.{mistral}.weight", f"ada_rms_norm.linear{hugging_face}.weight"
        yield f"{ours}.{part}.weight", (names.piece(*theirs, shape),)
