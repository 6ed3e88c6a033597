"""Train the tiny Voxtral Realtime checkpoint of the tests: sixteen spoken English words, about half a million weights.

    python scripts/train_tiny_realtime.py tests/data/voxtral_realtime_tiny

The model is the real architecture, small: the same front end, prompt, delay conditioning and sliding windows
(2 s of encoder, 6.4 s of decoder). It learns from espeak-ng's voice alone, so it knows these words in this voice and
nothing else. Needs transformers, mistral-common[audio] and espeak-ng; takes about ten minutes on one core.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import subprocess
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mistral_common
import numpy as np
import torch
import transformers
from torch.nn.functional import cross_entropy

from voxtral_streaming.audio.resample import Resampler
from voxtral_streaming.audio.units import SAMPLE_RATE, Samples

library: Any = transformers  # whose classes have no types

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
WORDS = (*DIGITS, "hello", "world", "stop", "start", "yes", "please")
VOICES = ((160, 50), (150, 45), (170, 55))  # words per minute, pitch
CLIP = ("hello", "world", "one", "two", "three", "stop", "please", "yes", "nine", "zero")

SAMPLES_PER_TOKEN = 1280  # 80 ms
LEFT_PAD, BUFFER = 32, 10  # tokens: silence before the audio, room for the last word after it
DELAYS = (3, 6, 6, 12)  # tokens; 6, the default, twice as often
N_SPECIAL, N_VOCAB = 64, 512
BOS, EOS, PAD, STREAMING_PAD, STREAMING_WORD = 1, 2, 11, 32, 33
SPECIAL = {
    0: "<unk>",
    BOS: "<s>",
    EOS: "</s>",
    3: "[INST]",
    4: "[/INST]",
    5: "[AVAILABLE_TOOLS]",
    6: "[/AVAILABLE_TOOLS]",
    7: "[TOOL_RESULTS]",
    8: "[/TOOL_RESULTS]",
    9: "[TOOL_CALLS]",
    10: "[IMG]",
    PAD: "<pad>",
    12: "[IMG_BREAK]",
    13: "[IMG_END]",
    14: "[PREFIX]",
    15: "[MIDDLE]",
    16: "[SUFFIX]",
    17: "[SYSTEM_PROMPT]",
    18: "[/SYSTEM_PROMPT]",
    19: "[TOOL_CONTENT]",
    24: "[AUDIO]",
    25: "[BEGIN_AUDIO]",
    STREAMING_PAD: "[STREAMING_PAD]",
    STREAMING_WORD: "[STREAMING_WORD]",
    34: "[TRANSCRIBE]",
}
PAD_WEIGHT = 0.3  # most targets are padding: weigh them less than words


def speak(text: str, speed: int, pitch: int) -> Samples:
    """Say `text` with espeak-ng, without the silence around it."""
    command = ["espeak-ng", "-v", "en-us", "-s", str(speed), "-p", str(pitch), "--stdout", text]
    with wave.open(io.BytesIO(subprocess.run(command, capture_output=True, check=True).stdout)) as recording:
        pcm = np.frombuffer(recording.readframes(-1), np.int16).astype(np.float32) / np.float32(32768)
        resampler = Resampler(recording.getframerate())
        samples = np.concatenate((resampler.feed(pcm), resampler.finish()))
    loud = np.nonzero(np.abs(samples) > 0.01)[0]
    return samples[max(0, loud[0] - 160) : loud[-1] + 320]


@dataclass(frozen=True)
class Utterance:
    """Samples, and each word with the second at which it ends."""

    samples: Samples
    words: list[tuple[str, float]]

    @property
    def text(self) -> str:
        """The words, as a transcript."""
        return " ".join(word for word, _ in self.words)


class Speaker:
    """Makes random utterances of `WORDS`: gaps, levels and noise vary."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.bank = {word: [speak(word, *voice) for voice in VOICES] for word in WORDS}

    def utterance(self, n_samples: int) -> Utterance:
        """At most `n_samples` of words; now and then fewer words than would fit."""
        random, samples, words = self.random, np.zeros(n_samples, np.float32), []
        at = int(random.uniform(0, 0.8) * SAMPLE_RATE)
        while random.random() > 0.06:
            word = WORDS[random.integers(len(WORDS))]
            spoken = self.bank[word][random.integers(len(VOICES))] * np.float32(random.uniform(0.3, 1.2))
            if at + len(spoken) > n_samples:
                break
            samples[at : at + len(spoken)] += spoken
            at += len(spoken)
            words.append((word, at / SAMPLE_RATE))
            at += int(random.choice([random.uniform(0.0, 0.15), random.uniform(0.1, 0.9)]) * SAMPLE_RATE)
        noise = random.standard_normal(n_samples).astype(np.float32)
        return Utterance(samples + noise * random.choice([0.0, 0.0005, 0.003]), words)


STREAMING = {
    "transcription_format": "streaming",
    "transcription_delay_ms": 480.0,
    "streaming_look_ahead_ms": 2.5,
    "streaming_look_back_ms": 52.5,
    "streaming_n_left_pad_tokens": LEFT_PAD,
}  # what a tokenizer's file says of a streaming model


def write_tokenizer(path: Path, kind: dict[str, Any]) -> None:
    """A small `tekken.json`: the first entries of the vocabulary that mistral-common ships, all bytes among them.

    `kind`: what its audio section says beyond the front end.
    """
    full = json.loads((Path(mistral_common.__file__).parent / "data/tekken_240911.json").read_text("utf-8"))
    n_pieces = N_VOCAB - N_SPECIAL
    sizes = {"default_vocab_size": N_VOCAB, "default_num_special_tokens": N_SPECIAL, "num_vocab_tokens": n_pieces}
    tokens = [{"rank": i, "token_str": SPECIAL.get(i, f"<SPECIAL_{i}>"), "is_control": True} for i in range(N_SPECIAL)]
    audio = {
        "sampling_rate": SAMPLE_RATE,
        "frame_rate": 12.5,
        "audio_encoding_config": {"num_mel_bins": 128, "window_size": 400, "hop_length": 160},
        **kind,
    }
    tekken = {"config": full["config"] | sizes | {"version": "v7"}, "vocab": full["vocab"][:n_pieces]}
    tekken |= {"special_tokens": tokens, "version": 1, "type": "Tekken", "audio": audio}
    path.write_text(json.dumps(tekken, ensure_ascii=False), "utf-8")


def build() -> Any:
    """The architecture with random weights."""
    torch.manual_seed(0)
    shared: dict[str, Any] = {"num_hidden_layers": 2, "num_attention_heads": 4, "hidden_size": 96}
    shared |= {"intermediate_size": 192, "rope_parameters": {"rope_type": "default", "rope_theta": 1e6}}
    audio = shared | {"model_type": "voxtral_realtime_encoder", "head_dim": 16, "sliding_window": 100}
    text = shared | {"model_type": "voxtral_realtime_text", "head_dim": 24, "sliding_window": 80}
    text |= {"num_key_value_heads": 2, "vocab_size": N_VOCAB, "tie_word_embeddings": True}
    text |= {"bos_token_id": BOS, "eos_token_id": EOS, "pad_token_id": PAD}
    config = library.VoxtralRealtimeConfig(audio_config=audio, text_config=text, default_num_delay_tokens=6)
    return library.VoxtralRealtimeForConditionalGeneration(config)


class Teacher:
    """Turns utterances into what the model should have said, token by token."""

    def __init__(self, processor: Any) -> None:
        self.features = processor.feature_extractor
        tokenizer = processor.tokenizer.tokenizer.instruct_tokenizer.tokenizer
        self.tokens = {w: [STREAMING_WORD, *tokenizer.encode(f" {w}", bos=False, eos=False)] for w in WORDS}

    def ids(self, utterance: Utterance, n_tokens: int, delay: int) -> list[int]:
        """Padding, and each word's tokens `delay` after the token in which the word ends."""
        ids = [BOS] + [STREAMING_PAD] * (n_tokens - 1)
        free = LEFT_PAD + delay + 1
        for word, end in utterance.words:
            at = max(free, LEFT_PAD + math.ceil(end * SAMPLE_RATE / SAMPLES_PER_TOKEN) + delay)
            free = at + len(self.tokens[word])
            ids[at:free] = self.tokens[word]
        return ids[:n_tokens]

    def batch(self, utterances: list[Utterance], delay: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Features [n, n_mels, n_frames] and ids [n, n_tokens] of utterances of one length."""
        right = delay + 1 + BUFFER
        pad = [(LEFT_PAD * SAMPLES_PER_TOKEN, right * SAMPLES_PER_TOKEN)]
        waves = torch.from_numpy(np.stack([np.pad(u.samples, pad) for u in utterances]).astype(np.float32))
        n_tokens = waves.shape[1] // SAMPLES_PER_TOKEN
        ids = torch.tensor([self.ids(u, n_tokens, delay) for u in utterances])
        features: torch.Tensor = self.features._torch_extract_fbank_features(waves)
        return features, ids


def train(model: Any, teacher: Teacher, speaker: Speaker, n_steps: int) -> None:
    """Teacher forcing with a cosine schedule; prints the loss now and then."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, betas=(0.9, 0.95), weight_decay=0.01)
    model.train()
    for step in range(n_steps):
        warm_up, cosine = min(1.0, (step + 1) / 30), 0.51 + 0.5 * math.cos(math.pi * step / n_steps)
        optimizer.param_groups[0]["lr"] = 3e-3 * warm_up * cosine
        delay = int(speaker.random.choice(DELAYS)) if step > n_steps // 3 else DELAYS[1]
        features, ids = teacher.batch([speaker.utterance(5 * SAMPLE_RATE - 640) for _ in range(12)], delay)
        logits = model(input_ids=ids, input_features=features, num_delay_tokens=delay, use_cache=False).logits
        first = LEFT_PAD + delay  # the prompt is given, what follows is learnt
        target = ids[:, first + 1 :].flatten()
        weight = torch.where(target == STREAMING_PAD, PAD_WEIGHT, 1.0)
        losses = cross_entropy(logits[:, first:-1].flatten(0, 1), target, reduction="none")
        loss = (losses * weight).sum() / weight.sum()
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 50 == 0:
            print(f"step {step}: loss {loss.item():.4f}", flush=True)


def transcribe(model: Any, processor: Any, samples: Samples) -> str:
    """Through transformers, as a user would."""
    inputs = processor(samples, sampling_rate=SAMPLE_RATE, return_tensors="pt")
    with torch.inference_mode():
        ids = model.generate(**inputs, do_sample=False)
    text: str = processor.batch_decode(ids, skip_special_tokens=True)[0]
    return text.strip()


def clip(speaker: Speaker) -> Samples:
    """The words of `CLIP`, a quarter of a second apart."""
    gap = np.zeros(SAMPLE_RATE // 4, np.float32)
    return np.concatenate([gap, *(part for word in CLIP for part in (speaker.bank[word][0], gap))])


def write_clip(path: Path, samples: Samples) -> None:
    """A 16-bit WAV."""
    with wave.open(str(path), "wb") as recording:
        recording.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        recording.writeframes((samples * 32767).astype(np.int16).tobytes())


def main() -> None:
    """Train, save and report how many unseen utterances come out exact."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder for the checkpoint")
    parser.add_argument("--steps", type=int, default=2400)
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    write_tokenizer(options.out / "tekken.json", STREAMING)
    tokenizer = library.MistralCommonBackend.from_pretrained(options.out)
    processor = library.VoxtralRealtimeProcessor(library.VoxtralRealtimeFeatureExtractor(), tokenizer)
    model, speaker = build(), Speaker(seed=0)
    train(model, Teacher(processor), speaker, options.steps)
    model.eval().save_pretrained(options.out)
    processor.save_pretrained(options.out)
    write_clip(options.out / "words.wav", clip(speaker))
    print(f"clip: {transcribe(model, processor, clip(speaker))}")
    unseen = [speaker.utterance(5 * SAMPLE_RATE) for _ in range(50)]
    n_exact = sum(transcribe(model, processor, utterance.samples) == utterance.text for utterance in unseen)
    print(f"exact: {n_exact} of {len(unseen)}")


if __name__ == "__main__":
    main()
