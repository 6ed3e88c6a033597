"""Keys and values in grains: who keeps company keeps what is its own."""

from __future__ import annotations

import numpy as np
import pytest

from voxtral_streaming.engines.whisper.cache import (
    GRAIN,
    NEVER,
    Cache,
    empty_past,
    in_grains,
    joined,
    places,
    window_bias,
)

N_LAYERS, N_HEADS, HEAD = 2, 3, 4


def cache(n_frames: int, n_taken: int, seed: int = 0) -> Cache:
    random = np.random.default_rng(seed)
    n = in_grains(n_frames)
    cross = [random.random((1, 1, N_HEADS, *size), np.float32) for size in ((HEAD, n), (n, HEAD))] * N_LAYERS
    one = Cache(cross, window_bias(n_frames), empty_past(N_LAYERS, N_HEADS, HEAD), np.array([0]))
    one.positions(n_taken)
    one.past = [random.random(array.shape, np.float32) for array in one.past]
    one.n_taken = np.array([n_taken])
    return one


@pytest.mark.parametrize(("n", "n_grains"), [(0, 0), (1, 1), (GRAIN, 1), (GRAIN + 1, 2)])
def test_grains(n: int, n_grains: int) -> None:
    assert in_grains(n) == n_grains * GRAIN


def test_frames_that_fill_up_a_grain_are_hidden() -> None:
    bias = window_bias(GRAIN + 2).ravel()
    assert len(bias) == 2 * GRAIN
    assert not bias[: GRAIN + 2].any()
    assert (bias[GRAIN + 2 :] == NEVER).all()


def test_room_for_tokens_keeps_what_is_there() -> None:
    one = cache(10, 60)
    before = one.past
    assert one.positions(10).tolist() == [list(range(60, 70))]
    assert one.n_places == 2 * GRAIN
    for old, new in zip(before, one.past, strict=True):
        assert np.array_equal(new[:, :GRAIN], old)


def test_each_token_has_the_place_of_its_position_in_its_row() -> None:
    assert places(np.array([[5, 6], [9, 10]])).tolist() == [[[0, 5], [0, 6]], [[1, 9], [1, 10]]]


def test_room_that_is_there_is_taken() -> None:
    one = cache(10, 60)
    before = one.past
    assert one.positions(4).tolist() == [[60, 61, 62, 63]]
    assert one.past is before


def test_each_row_has_its_own_positions_and_room_is_for_the_longest() -> None:
    both = joined([cache(10, 5, seed=1), cache(10, GRAIN - 1, seed=2)])
    assert both.positions(1).tolist() == [[5], [GRAIN - 1]]
    assert both.n_places == GRAIN
    assert both.positions(2).tolist() == [[5, 6], [GRAIN - 1, GRAIN]]
    assert both.n_places == 2 * GRAIN


def test_a_row_does_not_see_places_that_only_its_company_needs() -> None:
    both = joined([cache(10, 5, seed=1), cache(10, GRAIN + 5, seed=2)])
    bias = both.bias(both.positions(2))
    assert bias.shape == (2, 2, 1, 1, 2 * GRAIN)
    assert set(bias.ravel()) == {0, NEVER}
    assert (bias == 0).sum(-1)[..., 0, 0].tolist() == [[6, 7], [GRAIN + 6, GRAIN + 7]]
    assert (bias[0, ..., 7:] == NEVER).all()


def test_a_cache_of_no_tokens_has_a_grain_of_places() -> None:
    past = empty_past(N_LAYERS, N_HEADS, HEAD)
    assert [one.shape for one in past] == [(1, GRAIN, 1, N_HEADS, HEAD)] * 2 * N_LAYERS
    assert not any(one.any() for one in past)


def test_a_token_sees_itself_and_what_is_before_it() -> None:
    one = cache(10, 5)
    seen = one.bias(one.positions(3))[0, :, 0, 0] == 0
    assert seen.sum(1).tolist() == [6, 7, 8]
    assert seen[0, :6].all()


def test_rows_together_hold_their_own_and_hide_the_rest() -> None:
    short, long = cache(10, 5, seed=1), cache(GRAIN + 10, GRAIN + 5, seed=2)
    crosses, pasts = [short.cross[:], long.cross[:]], [short.past[:], long.past[:]]
    both = joined([short, long])
    assert (both.n_frames, both.n_places, both.n_taken.tolist()) == (2 * GRAIN, 2 * GRAIN, [5, GRAIN + 5])
    assert (both.cross_bias[0, ..., 10:] == NEVER).all()
    for own, found in ((crosses, both.cross), (pasts, both.past)):
        for row in (0, 1):
            for n, array in enumerate(own[row]):
                inside = tuple(slice(length) for length in array.shape[1:])
                assert np.array_equal(found[n][row][inside], array[0])
                assert found[n][row].sum(dtype=np.float64) == pytest.approx(array.sum(dtype=np.float64))


def test_what_is_behind_the_own_keys_and_values_of_a_row_is_zero() -> None:
    both = joined([cache(10, 5, seed=1), cache(GRAIN + 10, GRAIN + 5, seed=2)])
    assert not any(keys[0, ..., GRAIN:].any() for keys in both.cross[::2])
    assert not any(values[0, ..., GRAIN:, :].any() for values in both.cross[1::2])
    assert not any(one[0, GRAIN:].any() for one in both.past)


def test_what_is_joined_is_not_held_twice() -> None:
    caches = [cache(10, 5, seed=1), cache(20, 7, seed=2)]
    joined(caches)
    assert not any(one.cross or one.past for one in caches)


def test_one_row_stays_what_it_is() -> None:
    one = cache(10, 5)
    assert joined([one]) is one


def test_rows_are_chosen_with_their_audio_and_branch_without() -> None:
    both = joined([cache(10, 5, seed=1), cache(20, 7, seed=2)])
    both.choose([1])
    assert (both.n_taken.tolist(), len(both.cross[0]), len(both.cross_bias)) == ([7], 1, 1)
    both.branch([0, 0])
    assert (both.n_taken.tolist(), len(both.past[0]), len(both.cross[0])) == ([7, 7], 2, 1)


def test_rows_go_on_behind_the_rows_that_they_branch_from() -> None:
    both = joined([cache(10, 5, seed=1), cache(10, 7, seed=2)])
    before, cross = both.past[:], both.cross[:]
    both.branch([1, 1, 0])
    assert both.n_taken.tolist() == [7, 7, 5]
    for old, new in zip(before, both.past, strict=True):
        assert np.array_equal(new, old[[1, 1, 0]])
    assert all(old is new for old, new in zip(cross, both.cross, strict=True))


def test_chosen_rows_are_what_they_were() -> None:
    three = joined([cache(10, 5, seed=1), cache(20, 7, seed=2), cache(GRAIN + 1, 9, seed=3)])
    before, n_taken = [*three.cross, *three.past, three.cross_bias], three.n_taken
    three.choose([0, 2])
    for old, new in zip(before, [*three.cross, *three.past, three.cross_bias], strict=True):
        assert np.array_equal(new, old[[0, 2]])
    assert three.n_taken.tolist() == n_taken[[0, 2]].tolist()
