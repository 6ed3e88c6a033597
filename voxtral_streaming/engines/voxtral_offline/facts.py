"""What a Voxtral model for recordings fixes: facts that its files state, and facts that never vary."""

from __future__ import annotations

from dataclasses import dataclass

from voxtral_streaming.audio.units import SAMPLE_RATE, exact_div
from voxtral_streaming.engines.voxtral.facts import ENCODER_FRAMES_PER_TOKEN, HOP, N_MELS, Section, StackFacts
from voxtral_streaming.errors import WeightsError

CONTEXT = 32_768  # tokens that the models were made for, whatever their rotary positions could count
N_POSITIONS = 1500  # encoder frames of a window, 30 s, where a file does not say it: Whisper's
LAYER_NORM_EPS = 1e-5


@dataclass(frozen=True, slots=True)
class WhisperFacts:
    """Whisper's encoder: it hears a window at a time, all of it at once."""

    dim: int
    n_layers: int
    n_heads: int
    ffn_dim: int
    n_positions: int  # frames of a window

    @property
    def head_dim(self) -> int:
        """Width of an attention head."""
        return exact_div(self.dim, self.n_heads)

    @property
    def n_mel_frames(self) -> int:
        """Mel frames of a window; the second convolution has stride 2."""
        return 2 * self.n_positions

    @property
    def n_samples(self) -> int:
        """Samples of a window."""
        return HOP * self.n_mel_frames

    @property
    def n_tokens(self) -> int:
        """Tokens that a window becomes, each of 80 ms."""
        return exact_div(self.n_positions, ENCODER_FRAMES_PER_TOKEN)


@dataclass(frozen=True, slots=True)
class OfflineFacts:
    """The shapes of a Voxtral model for recordings. The decoder's window is the longest conversation, in tokens."""

    encoder: WhisperFacts
    decoder: StackFacts
    vocab_size: int

    @property
    def projector_in(self) -> int:
        """Width of the encoder frames of one token, side by side."""
        return self.encoder.dim * ENCODER_FRAMES_PER_TOKEN

    def n_windows(self, n_samples: int) -> int:
        """Windows that hold so many samples; at least one."""
        return max(1, -(-n_samples // self.encoder.n_samples))

    def n_audio_tokens(self, n_samples: int) -> int:
        """Tokens that so many samples become: those of whole windows."""
        return self.n_windows(n_samples) * self.encoder.n_tokens

    def most_samples(self, n_tokens: int) -> int:
        """The longest audio that becomes at most so many tokens."""
        return n_tokens // self.encoder.n_tokens * self.encoder.n_samples


def from_params(root: Section) -> OfflineFacts:
    """Facts of a `params.json`: the decoder at the top, the encoder under `multimodal`."""
    whisper = root.section("multimodal").section("whisper_model_args")
    whisper.section("downsample_args").require("downsample_factor", ENCODER_FRAMES_PER_TOKEN)
    encoder = whisper.section("encoder_args")
    encoder.require("norm_eps", LAYER_NORM_EPS)
    stated = [int(root.data[key]) for key in ("max_position_embeddings", "max_seq_len") if root.data.get(key)]
    decoder = StackFacts(
        dim=root.int("dim"),
        n_layers=root.int("n_layers"),
        n_heads=root.int("n_heads"),
        n_kv_heads=root.int("n_kv_heads"),
        head_dim=root.int("head_dim"),
        ffn_dim=root.int("hidden_dim"),
        rope_theta=root.float("rope_theta"),
        window=min([CONTEXT, *stated]),
        norm_eps=root.float("norm_eps"),
    )
    n_positions = encoder.int("max_source_positions") if "max_source_positions" in encoder.data else N_POSITIONS
    return OfflineFacts(_whisper(encoder, _MISTRAL, n_positions), decoder, root.int("vocab_size"))


def from_config(root: Section) -> OfflineFacts:
    """Facts of a `config.json`."""
    root.require("model_type", "voxtral")
    root.require("projector_hidden_act", "gelu")
    encoder, text = root.section("audio_config"), root.section("text_config")
    for part, key, fact in (
        (encoder, "num_mel_bins", N_MELS),
        (encoder, "activation_function", "gelu"),
        (encoder, "scale_embedding", False),
        (text, "hidden_act", "silu"),
        (text, "attention_bias", False),
        (text, "mlp_bias", False),
        (text, "tie_word_embeddings", False),
    ):
        part.require(key, fact)
    whisper = _whisper(encoder, _HUGGING_FACE, encoder.int("max_source_positions"))
    return OfflineFacts(whisper, _llama(text), text.int("vocab_size"))


_MISTRAL = ("dim", "n_layers", "n_heads", "hidden_dim")
_HUGGING_FACE = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")


def _whisper(part: Section, keys: tuple[str, str, str, str], n_positions: int) -> WhisperFacts:
    dim, n_layers, n_heads, ffn_dim = (part.int(key) for key in keys)
    if dim % n_heads or n_positions % ENCODER_FRAMES_PER_TOKEN:
        raise WeightsError(
            f"{part.file}: {dim} numbers in {n_heads} heads, {n_positions} positions: not a Voxtral model"
        )
    return WhisperFacts(dim, n_layers, n_heads, ffn_dim, n_positions)


def _llama(part: Section) -> StackFacts:
    rotary = part.section("rope_parameters") if "rope_parameters" in part.data else part
    rotary.require("rope_type", "default")
    return StackFacts(
        dim=part.int("hidden_size"),
        n_layers=part.int("num_hidden_layers"),
        n_heads=part.int("num_attention_heads"),
        n_kv_heads=part.int("num_key_value_heads"),
        head_dim=part.int("head_dim"),
        ffn_dim=part.int("intermediate_size"),
        rope_theta=rotary.float("rope_theta"),
        window=min(CONTEXT, part.int("max_position_embeddings")),
        norm_eps=part.float("rms_norm_eps"),
    )


def check_window(facts: OfflineFacts, audio: Section) -> None:
    """Raise unless the tokenizer's file cuts audio as the encoder hears it."""
    if round(audio.float("chunk_length_s") * SAMPLE_RATE) != facts.encoder.n_samples:
        raise WeightsError(
            f"{audio.file}: `audio.chunk_length_s` is {audio.data['chunk_length_s']}; the encoder hears "
            f"{facts.encoder.n_samples / SAMPLE_RATE:g} s at a time"
        )
