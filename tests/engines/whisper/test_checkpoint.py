"""Variables out of a model's file: a real one, and tiny ones in the same format."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ctranslate2.specs import common_spec, model_spec
from numpy.typing import NDArray

from voxtral_streaming.engines.whisper.checkpoint import BFLOAT16, VERSION, Checkpoint
from voxtral_streaming.engines.whisper.decoder_graph import Shape, shape_of
from voxtral_streaming.errors import WeightsError

FLOAT32, INT8, INT16, FLOAT16 = 0, 1, 2, 4
VALUES = np.random.default_rng(1).normal(0, 1, (5, 6)).astype(np.float32)


def text(string: str) -> bytes:
    data = string.encode() + b"\0"
    return struct.pack("<H", len(data)) + data


def variable(name: str, values: NDArray[Any], type_id: int) -> bytes:
    shape = struct.pack(f"<B{values.ndim}I", values.ndim, *values.shape)
    return text(name) + shape + struct.pack("<BI", type_id, values.nbytes) + values.tobytes()


def model(*variables: bytes, aliases: dict[str, str] | None = None, version: int = VERSION) -> bytes:
    """A whole file."""
    others = [text(alias) + text(name) for alias, name in (aliases or {}).items()]
    head = struct.pack("<I", version) + text("TinySpec") + struct.pack("<I", 1)
    counts = struct.pack("<I", len(variables)), struct.pack("<I", len(others))
    return b"".join([head, counts[0], *variables, counts[1], *others])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.bin"


def read(path: Path, data: bytes) -> Checkpoint:
    path.write_bytes(data)
    return Checkpoint(path)


def test_the_shape_of_the_built_in_model(base: Checkpoint) -> None:
    assert shape_of(base) == Shape(n_layers=6, n_heads=8, width=512, n_vocabulary=51865, n_positions=448)


def layer(width: int) -> dict[str, tuple[int, ...]]:
    """The variables of a layer of the decoder."""
    linear = {
        "self_attention/linear_0": (3 * width, width),
        "self_attention/linear_1": (width, width),
        "attention/linear_0": (width, width),
        "attention/linear_1": (2 * width, width),
        "attention/linear_2": (width, width),
        "ffn/linear_0": (4 * width, width),
        "ffn/linear_1": (width, 4 * width),
    }
    weights: dict[str, tuple[int, ...]] = {f"{name}/weight": shape for name, shape in linear.items()}
    biases = {f"{name}/bias": shape[:1] for name, shape in linear.items()}
    norms = [
        f"{part}/layer_norm/{what}" for part in ("self_attention", "attention", "ffn") for what in ("beta", "gamma")
    ]
    return weights | biases | dict.fromkeys(norms, (width,))


@pytest.mark.parametrize("n", range(6))
def test_the_layers_of_the_built_in_model(base: Checkpoint, n: int) -> None:
    for name, shape in layer(512).items():
        found = base.tensor(f"decoder/layer_{n}/{name}")
        assert found.shape == shape
        assert found.dtype == np.float32
        assert np.isfinite(found).all()
        assert found.any()


def test_what_is_around_the_layers_of_the_built_in_model(base: Checkpoint) -> None:
    assert "decoder/layer_6/ffn/linear_0/weight" not in base
    assert base.tensor("decoder/layer_norm/beta").shape == base.tensor("decoder/layer_norm/gamma").shape == (512,)
    assert base.tensor("decoder/position_encodings/encodings").shape == (448, 512)
    embeddings = base.tensor("decoder/embeddings/weight")
    assert embeddings.shape == (51865, 512)
    assert np.array_equal(base.tensor("decoder/projection/weight"), embeddings)
    assert np.isfinite(embeddings).all()


def test_what_is_kept_in_float32_is_the_same(path: Path) -> None:
    found = read(path, model(variable("a", VALUES, FLOAT32))).tensor("a")
    assert found.dtype == np.float32
    assert np.array_equal(found, VALUES)


def test_what_is_kept_in_float16_is_the_same_in_10_bits(path: Path) -> None:
    found = read(path, model(variable("a", VALUES.astype(np.float16), FLOAT16))).tensor("a")
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, VALUES, rtol=2**-11)


def test_what_is_kept_in_bfloat16_is_the_same_in_7_bits(path: Path) -> None:
    upper = (VALUES.view(np.uint32) >> 16).astype(np.uint16)
    found = read(path, model(variable("a", upper, BFLOAT16))).tensor("a")
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, VALUES, rtol=2**-7)


def test_what_is_kept_in_int8_is_the_same_within_half_a_step_of_its_row(path: Path) -> None:
    scales = 127 / np.abs(VALUES).max(1)
    numbers = np.rint(VALUES * scales[:, None]).astype(np.int8)
    found = read(path, model(variable("a", numbers, INT8), variable("a_scale", scales, FLOAT32))).tensor("a")
    assert found.dtype == np.float32
    assert (np.abs(found - VALUES) <= 0.501 / scales[:, None]).all()


def test_a_quantised_convolution_has_a_scale_to_each_output(path: Path) -> None:
    numbers = np.arange(12, dtype=np.int8).reshape(2, 2, 3)
    scales = variable("a_scale", np.array([1, 10], np.float32), FLOAT32)
    found = read(path, model(variable("a", numbers, INT8), scales)).tensor("a")
    np.testing.assert_allclose(found, numbers / np.array([1, 10])[:, None, None], rtol=1e-6)


def test_a_variable_may_be_one_number_or_none(path: Path) -> None:
    none = variable("none", np.zeros(0, np.float32), FLOAT32)
    found = read(path, model(variable("heads", np.array(8, np.int16), INT16), none))
    assert found.tensor("heads").shape == ()
    assert found.tensor("heads") == 8
    assert found.tensor("none").shape == (0,)


class LinearModel(model_spec.ModelSpec):  # type: ignore[misc]
    """The least model that CTranslate2 writes: twice the same matrix."""

    def __init__(self) -> None:
        super().__init__()
        self.one = common_spec.LinearSpec()
        self.two = common_spec.LinearSpec()
        self.one.weight = self.two.weight = VALUES.copy()
        self.one.bias, self.two.bias = VALUES[:, 0].copy(), VALUES[:, 1].copy()

    @property
    def name(self) -> str:
        return "LinearModel"


@pytest.mark.parametrize(
    ("kept_in", "precision"),
    [("float32", 0), ("float16", 2e-3), ("int8", 2e-2), ("int8_float16", 2e-2), ("int16", 3e-3)],
)
def test_what_ctranslate2_writes_is_read(tmp_path: Path, kept_in: str, precision: float) -> None:
    spec = LinearModel()
    spec.validate()
    spec.optimize(quantization=kept_in)
    spec.save(str(tmp_path))
    found = Checkpoint(tmp_path / "model.bin")
    np.testing.assert_allclose(found.tensor("one/weight"), VALUES, atol=precision)
    np.testing.assert_allclose(found.tensor("two/weight"), VALUES, atol=precision)
    np.testing.assert_allclose(found.tensor("two/bias"), VALUES[:, 1], atol=precision)


def test_an_alias_is_another_name_of_a_variable(path: Path) -> None:
    found = read(path, model(variable("a", VALUES, FLOAT32), aliases={"b": "a", "c": "a"}))
    assert "b" in found
    assert np.array_equal(found.tensor("b"), VALUES)
    assert np.array_equal(found.tensor("c"), VALUES)


def test_a_tensor_may_be_changed_without_changing_the_next(path: Path) -> None:
    scaled = variable("q", np.ones((5, 6), np.int8), INT8), variable("q_scale", np.full(5, 4, np.float32), FLOAT32)
    found = read(path, model(variable("a", VALUES, FLOAT32), *scaled))
    for name in ("a", "q", "q_scale"):
        before = found.tensor(name).copy()
        found.tensor(name)[:] = 0
        assert np.array_equal(found.tensor(name), before)


def test_what_is_not_there_is_named(path: Path) -> None:
    found = read(path, model(variable("a", VALUES, FLOAT32)))
    assert "absent" not in found
    with pytest.raises(WeightsError, match="the model has no absent"):
        found.tensor("absent")


def test_a_model_that_is_not_whisper_is_told(path: Path) -> None:
    with pytest.raises(WeightsError, match="no decoder/embeddings/weight: it is not a Whisper model"):
        shape_of(read(path, model(variable("a", VALUES, FLOAT32))))


WHOLE = model(
    variable("a", VALUES, FLOAT32), variable("b", VALUES.astype(np.float16), FLOAT16), aliases={"another": "a"}
)


def test_a_file_that_is_cut_short_is_told(path: Path) -> None:
    for n_bytes in range(1, len(WHOLE)):
        with pytest.raises(WeightsError, match=rf"^model\.bin is not a model .* format {VERSION}: it ends early$"):
            read(path, WHOLE[:n_bytes])


def test_an_empty_file_is_told(path: Path) -> None:
    with pytest.raises(WeightsError, match=r"^model\.bin is not a model"):
        read(path, b"")


@pytest.mark.parametrize("version", [0, VERSION - 1, VERSION + 1])
def test_another_format_is_named(path: Path, version: int) -> None:
    with pytest.raises(WeightsError, match=rf"^model\.bin is not a model .* format {VERSION}: format {version}$"):
        read(path, model(variable("a", VALUES, FLOAT32), version=version))


@pytest.mark.parametrize("data", [b"PK\3\4" + bytes(99), b"version https://git-lfs.github.com/spec/v1\n", b"RIFF" * 99])
def test_a_foreign_file_is_told(path: Path, data: bytes) -> None:
    with pytest.raises(
        WeightsError, match=rf"^model\.bin is not a model of CTranslate2 in format {VERSION}: format \d+$"
    ):
        read(path, data)


def test_an_unknown_type_is_told(path: Path) -> None:
    with pytest.raises(WeightsError, match=r"^model\.bin is not a model .*: 9$"):
        read(path, model(variable("a", VALUES, 9)))


def test_bytes_that_do_not_fit_the_shape_are_told(path: Path) -> None:
    with pytest.raises(WeightsError, match=r"^model\.bin is not a model .*: cannot reshape"):
        read(path, model(variable("a", VALUES, FLOAT16)))


def test_an_alias_of_nothing_is_told(path: Path) -> None:
    with pytest.raises(WeightsError, match=r"^model\.bin is not a model .*: 'nothing'$"):
        read(path, model(variable("a", VALUES, FLOAT32), aliases={"b": "nothing"}))


def test_a_shape_is_told_without_its_values(path: Path) -> None:
    found = read(path, model(variable("a", VALUES, FLOAT32), variable("heads", np.array(8, np.int16), INT16)))
    assert found.shape("a") == (5, 6)
    assert found.shape("heads") == ()
    with pytest.raises(WeightsError, match="the model has no absent"):
        found.shape("absent")
