"""Train the tiny Voxtral checkpoint of the tests: sixteen spoken English words, about half a million weights.

    python -m scripts.train_tiny_voxtral tests/data/voxtral_tiny

The model is the real architecture, small: Whisper's encoder, here on windows of 8 s instead of 30, the projector and a
Llama decoder, with the real prompts. It learns from espeak-ng's voice alone, so it knows these words in this voice and
nothing else. Needs transformers, mistral-common[audio] and espeak-ng; takes about half an hour on one idle core.

Besides the transcript it learns which word just ended at every 80 ms of audio; without that lesson, learning where in
the audio to look takes many times as long. And it learns to answer one question about a recording.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import transformers
from torch.nn.functional import cross_entropy

from scripts.train_tiny_realtime import (
    BOS,
    CLIP,
    EOS,
    N_VOCAB,
    PAD,
    SAMPLES_PER_TOKEN,
    STREAMING_PAD,
    Speaker,
    Utterance,
    write_clip,
    write_tokenizer,
)
from voxtral_streaming.audio.units import SAMPLE_RATE, Samples

library: Any = transformers  # whose classes have no types

WINDOW_S = 8
GAP_S = 0.25  # between the words of the clip
WINDOW = WINDOW_S * SAMPLE_RATE
TOKENS_PER_WINDOW = WINDOW // SAMPLES_PER_TOKEN
INST, END_INST, AUDIO, BEGIN_AUDIO, TRANSCRIBE = 3, 4, 24, 25, 34
QUESTION = "Which word is last?"
LANGUAGES = ("en", "fr", None)
IGNORED = -100  # targets that teach nothing
BATCH = 12


class Lesson(NamedTuple):
    """A row of a batch: its ids, what should follow each of them, and what each 80 ms of audio should say."""

    ids: list[int]
    targets: list[int]
    heard: list[int]


def build() -> Any:
    """The architecture with random weights; the encoder's positions are Whisper's sinusoids."""
    torch.manual_seed(0)
    audio: dict[str, Any] = {"model_type": "voxtral_encoder", "hidden_size": 96, "intermediate_size": 384}
    audio |= {"num_hidden_layers": 2, "num_attention_heads": 4, "max_source_positions": WINDOW_S * 50}
    text: dict[str, Any] = {"model_type": "llama", "hidden_size": 96, "intermediate_size": 192}
    text |= {"num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 24}
    text |= {"vocab_size": N_VOCAB, "max_position_embeddings": 8192, "rope_theta": 1e6, "tie_word_embeddings": False}
    text |= {"bos_token_id": BOS, "eos_token_id": EOS, "pad_token_id": PAD}
    config = library.VoxtralConfig(audio_config=audio, text_config=text, audio_token_id=AUDIO)
    model = library.VoxtralForConditionalGeneration(config)
    positions = model.model.audio_tower.embed_positions.weight
    positions.data = sinusoids(WINDOW_S * 50, audio["hidden_size"])
    positions.requires_grad_(False)
    model.generation_config.eos_token_id, model.generation_config.pad_token_id = EOS, PAD
    return model


def sinusoids(length: int, dim: int) -> torch.Tensor:
    """Whisper's position table, [length, dim]."""
    rates = torch.exp(-math.log(10_000) / (dim // 2 - 1) * torch.arange(dim // 2))
    angles = torch.arange(length)[:, None] * rates
    return torch.cat((angles.sin(), angles.cos()), dim=1)


def cut(utterance: Utterance, n_samples: int) -> Utterance:
    """What was said within the first samples: a word counts once it is over."""
    words = [(word, end) for word, end in utterance.words if end * SAMPLE_RATE <= n_samples]
    return Utterance(utterance.samples[:n_samples], words)


class Teacher:
    """Turns utterances into prompts, answers and what is heard when."""

    def __init__(self, processor: Any, random: np.random.Generator) -> None:
        self.features, self.random = processor.feature_extractor, random
        self.tokenizer = processor.tokenizer.tokenizer.instruct_tokenizer.tokenizer

    def encode(self, text: str) -> list[int]:
        """Text to tokens."""
        ids: list[int] = self.tokenizer.encode(text, bos=False, eos=False)
        return ids

    def lesson(self, utterance: Utterance, n_windows: int) -> Lesson:
        """The transcription of most utterances, the answer to a question about some."""
        audio = [BEGIN_AUDIO] + [AUDIO] * (TOKENS_PER_WINDOW * n_windows)
        if utterance.words and self.random.random() < 0.15:
            after, answer = [*self.encode(QUESTION), END_INST], utterance.words[-1][0]
        else:
            language = LANGUAGES[self.random.integers(len(LANGUAGES))]
            after = [END_INST, *(self.encode(f"lang:{language}") if language else []), TRANSCRIBE]
            answer = utterance.text
        prompt, spoken = [BOS, INST, *audio, *after], [*self.encode(answer), EOS]
        targets = [IGNORED] * (len(prompt) - 1) + spoken
        return Lesson(prompt + spoken[:-1], targets, self.heard(utterance, TOKENS_PER_WINDOW * n_windows))

    def heard(self, utterance: Utterance, n_tokens: int) -> list[int]:
        """The first token of the word that just ended, for two tokens of audio, and padding elsewhere."""
        heard = [STREAMING_PAD] * n_tokens
        for word, end in utterance.words:
            at = math.ceil(end * SAMPLE_RATE / SAMPLES_PER_TOKEN)
            for token in range(at, min(at + 2, n_tokens)):
                heard[token] = self.encode(word)[0]
        return heard

    def batch(self, utterances: list[Utterance], n_windows: int) -> tuple[torch.Tensor, list[Lesson]]:
        """Features [n * n_windows, n_mels, n_frames] and lessons."""
        padded = [np.pad(one.samples, (0, n_windows * WINDOW - len(one.samples))) for one in utterances]
        mel = torch.from_numpy(self.features._torch_extract_fbank_features(np.stack(padded).astype(np.float32)))
        windows = mel.view(len(utterances), mel.shape[1], n_windows, -1).transpose(1, 2).flatten(0, 1)
        return windows.contiguous(), [self.lesson(one, n_windows) for one in utterances]


def loss_of(model: Any, features: torch.Tensor, lessons: list[Lesson], weight: float) -> torch.Tensor:
    """What is wrong with the answers, and `weight` times what is wrong with what was heard."""
    longest = max(len(lesson.ids) for lesson in lessons)
    ids = torch.tensor([lesson.ids + [PAD] * (longest - len(lesson.ids)) for lesson in lessons])
    targets = torch.tensor([lesson.targets + [IGNORED] * (longest - len(lesson.targets)) for lesson in lessons])
    logits = model(input_ids=ids, input_features=features, use_cache=False).logits
    answers = cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED)
    heard = torch.tensor([lesson.heard for lesson in lessons])
    said = cross_entropy(logits[:, 3 : 3 + heard.shape[1]].flatten(0, 1), heard.flatten(), reduction="none")
    balance = torch.where(heard.flatten() == STREAMING_PAD, 0.1, 1.0)
    return answers + weight * (said * balance).sum() / balance.sum()


class Course:
    """What is taught when: first whatever the speaker says, then half of it pieces of the clip of the tests."""

    def __init__(self, speaker: Speaker, clip: Utterance) -> None:
        self.speaker, self.clip = speaker, clip

    def utterances(self, n_windows: int, *, rehearses: bool) -> list[Utterance]:
        """A batch; most utterances are cut short, as they are when they grow."""
        random = self.speaker.random
        n_clips = BATCH // n_windows // 2 if rehearses else 0
        said = [self.speaker.utterance(n_windows * WINDOW) for _ in range(BATCH // n_windows - n_clips)]
        said += [self.piece() for _ in range(n_clips)]
        return [
            cut(one, int(random.uniform(0.1, 1.0) * len(one.samples))) if random.random() < 0.6 else one for one in said
        ]

    def piece(self) -> Utterance:
        """The clip from one of its gaps on, to a later one."""
        random, words = self.speaker.random, self.clip.words
        first = int(random.integers(len(words)))
        last = int(random.integers(first, len(words)))
        begin = 0 if first == 0 else round((words[first - 1][1] + GAP_S / 2) * SAMPLE_RATE)
        end = round((words[last][1] + GAP_S / 2) * SAMPLE_RATE)
        ends = [(word, at - begin / SAMPLE_RATE) for word, at in words[first : last + 1]]
        return Utterance(self.clip.samples[begin:end], ends)


def train(model: Any, teacher: Teacher, course: Course, n_steps: int, rate: float, *, rehearses: bool) -> None:
    """Teacher forcing with a cosine schedule; prints the loss now and then."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, betas=(0.9, 0.95), weight_decay=0.01)
    model.train()
    began = time.monotonic()
    for step in range(n_steps):
        warm_up, cosine = min(1.0, (step + 1) / 50), 0.51 + 0.5 * math.cos(math.pi * step / n_steps)
        optimizer.param_groups[0]["lr"] = rate * warm_up * cosine
        is_late = step > n_steps // 2 or rehearses
        n_windows = 2 if is_late and step % 4 == 0 else 1
        utterances = course.utterances(n_windows, rehearses=rehearses)
        loss = loss_of(model, *teacher.batch(utterances, n_windows), weight=0.3 if is_late else 1.0)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 50 == 0:
            print(f"step {step}: loss {loss.item():.4f}, {time.monotonic() - began:.0f} s", flush=True)


def transcribe(model: Any, teacher: Teacher, samples: Samples) -> str:
    """Greedily, through transformers."""
    n_windows = math.ceil(len(samples) / WINDOW)
    features, _ = teacher.batch([Utterance(samples, [])], n_windows)
    audio = [BEGIN_AUDIO] + [AUDIO] * (TOKENS_PER_WINDOW * n_windows)
    ids = torch.tensor([[BOS, INST, *audio, END_INST, *teacher.encode("lang:en"), TRANSCRIBE]])
    with torch.inference_mode():
        answer = model.generate(input_ids=ids, input_features=features, max_new_tokens=100, do_sample=False)
    said: list[int] = [token for token in answer[0, ids.shape[1] :].tolist() if token != EOS]
    text: str = teacher.tokenizer.decode(said)
    return text


def clip(speaker: Speaker) -> Utterance:
    """The words of `CLIP`, a quarter of a second apart, in 16 bits as they are stored."""
    gap, parts, words = np.zeros(round(GAP_S * SAMPLE_RATE), np.float32), [], []
    for word in CLIP:
        parts += [gap, speaker.bank[word][0]]
        words.append((word, sum(map(len, parts)) / SAMPLE_RATE))
    samples = (np.concatenate([*parts, gap]) * 32767).astype(np.int16)
    return Utterance(samples.astype(np.float32) / np.float32(32768), words)


def main() -> None:
    """Train, save and report how many unseen utterances come out exact."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder for the checkpoint")
    parser.add_argument("--steps", type=int, default=3500)
    parser.add_argument("--rehearsals", type=int, default=1500, help="steps on the clip of the tests, at the end")
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    write_tokenizer(options.out / "tekken.json", {"chunk_length_s": float(WINDOW_S)})
    extractor = library.WhisperFeatureExtractor(feature_size=128, chunk_length=WINDOW_S)
    processor = library.VoxtralProcessor(extractor, library.MistralCommonBackend.from_pretrained(options.out))
    model, speaker = build(), Speaker(seed=0)
    teacher = Teacher(processor, speaker.random)
    course = Course(speaker, clip(speaker))
    train(model, teacher, course, options.steps, 2e-3, rehearses=False)
    train(model, teacher, course, options.rehearsals, 1e-3, rehearses=True)
    model.eval().save_pretrained(options.out)
    processor.save_pretrained(options.out)
    write_clip(options.out / "words.wav", course.clip.samples)
    print(f"clip: {transcribe(model, teacher, course.clip.samples)}")
    unseen = [speaker.utterance(7 * SAMPLE_RATE) for _ in range(50)]
    n_exact = sum(transcribe(model, teacher, utterance.samples) == utterance.text for utterance in unseen)
    print(f"exact: {n_exact} of {len(unseen)}")


if __name__ == "__main__":
    main()
