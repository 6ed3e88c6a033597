from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxtral_streaming.engines.voxtral.files import Checkpoint
from voxtral_streaming.engines.voxtral.tekken import Detokenizer, Tekken, read_tekken
from voxtral_streaming.errors import WeightsError


def test_facts_agree_with_the_library_of_its_makers(tiny: Path, checkpoint: Checkpoint) -> None:
    pytest.importorskip("mistral_common")
    from mistral_common.tokens.tokenizers.mistral import MistralTokenizer

    theirs: Any = MistralTokenizer.from_file(str(tiny / "tekken.json")).instruct_tokenizer
    ours, audio = checkpoint.tekken, theirs.audio_encoder.audio_config
    for n_delay in (1, 6, 15, 30):
        assert audio.get_num_delay_tokens(n_delay * 80) == n_delay
        assert audio.n_right_pad_tokens(n_delay * 80) == ours.n_right_pad(n_delay)
    prompt = theirs.start() + theirs.audio_encoder.encode_streaming_tokens()
    assert prompt == [ours.bos] + [ours.streaming_pad] * (ours.prompt_length(6) - 1)
    tokens = theirs.tokenizer.encode("naïve café, 5 €", bos=False, eos=False)
    assert Detokenizer(ours).feed(tokens) == "naïve café, 5 €"


@pytest.fixture(scope="module")
def bytewise() -> Tekken:
    """A vocabulary of the 256 bytes, after two special tokens."""
    return Tekken(2, tuple(bytes([n]) for n in range(256)), 0, 1, 32, 480, 0)


@given(text=st.text(max_size=20))
def test_text_comes_as_soon_as_its_bytes_make_whole_characters(bytewise: Tekken, text: str) -> None:
    detokenizer, shown = Detokenizer(bytewise), ""
    for character in text:
        *first, last = character.encode()
        assert detokenizer.feed([*(n + 2 for n in first), 1]) == ""
        shown += detokenizer.feed([last + 2])
        assert shown.endswith(character)
    assert shown + detokenizer.finish() == text


def test_a_fork_goes_on_by_itself(bytewise: Tekken) -> None:
    detokenizer = Detokenizer(bytewise)
    first, second = "é".encode()
    detokenizer.feed([first + 2])
    fork = detokenizer.fork()
    assert fork.finish() == "�"
    assert detokenizer.feed([second + 2]) == "é"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"audio": None}, "audio"),
        ({"special_tokens": []}, "<s>"),
        ({"vocab": []}, "vocab"),
        ({"audio": {"transcription_format": "instruct"}}, "transcription_format"),
        ({"audio": {"transcription_delay_ms": 90}}, "transcription_delay_ms"),
        ({"audio": {"sampling_rate": 8000}}, "sampling_rate"),
    ],
)
def test_what_is_wrong_is_named(tiny: Path, tmp_path: Path, change: dict[str, Any], named: str) -> None:
    content = json.loads((tiny / "tekken.json").read_text("utf-8"))
    for key, value in change.items():
        content[key] = content[key] | value if isinstance(value, dict) else value
    (tmp_path / "tekken.json").write_text(json.dumps(content), "utf-8")
    with pytest.raises(WeightsError, match=named):
        read_tekken(tmp_path / "tekken.json")
