from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxtral_streaming.engines.whisper.scheduler import FEW, RAREST, TOO_LONG, Kind, Scheduler, partial_interval, rank


@dataclass
class Work:
    kind: Kind
    window: int = 4
    number: int = 0
    waited: int = 0


def same_window(first: Work, other: Work) -> bool:
    return first.window == other.window


def scheduled(*jobs: Work) -> Scheduler[Work]:
    scheduler: Scheduler[Work] = Scheduler()
    for number, job in enumerate(jobs):
        job.number = number
        scheduler.add(job)
    return scheduler


def test_finals_go_before_partials_that_were_asked_for_earlier() -> None:
    scheduler = scheduled(Work(Kind.PARTIAL), Work(Kind.FLUSH), Work(Kind.FINISH))
    assert [scheduler.take(lambda _: 1, same_window)[0].number for _ in range(3)] == [2, 1, 0]


def test_a_job_that_is_promoted_takes_the_place_of_its_new_rank() -> None:
    flush = Work(Kind.PARTIAL)
    scheduler = scheduled(flush, Work(Kind.FLUSH))
    flush.kind = Kind.FINISH
    assert scheduler.take(lambda _: 1, same_window) == [flush]


def test_jobs_that_fit_run_together() -> None:
    scheduler = scheduled(Work(Kind.FLUSH), Work(Kind.FLUSH, window=8), Work(Kind.FINISH), Work(Kind.PARTIAL))
    assert [job.number for job in scheduler.take(lambda _: 8, same_window)] == [2, 0]


@pytest.mark.parametrize(
    ("interrupted", "first", "second"),
    [
        (Kind.RECORDED, [Kind.FINISH, Kind.FLUSH], [Kind.PARTIAL]),
        (Kind.PARTIAL, [Kind.FINISH, Kind.FLUSH], []),
        (Kind.FLUSH, [Kind.FINISH], []),
        (Kind.FINISH, [], []),
    ],
)
def test_work_is_interrupted_by_what_ranks_higher(interrupted: Kind, first: list[Kind], second: list[Kind]) -> None:
    scheduler = scheduled(*(Work(kind) for kind in Kind))
    taken = [[job.kind for job in scheduler.take(lambda _: 8, same_window, interrupted)] for _ in range(2)]
    assert taken == [first, second]
    rest = [job.kind for _ in Kind for job in scheduler.take(lambda _: 8, same_window)]
    assert sorted(first + second + rest) == list(Kind)


def test_of_partials_those_go_first_that_have_waited_longest_by_now() -> None:
    partials = [Work(Kind.PARTIAL, waited=waited) for waited in (3, 5, 4)]
    scheduler = scheduled(*partials)
    assert scheduler.take(lambda _: 1, same_window) == [partials[1]]
    partials[0].waited = 6
    assert scheduler.take(lambda _: 2, same_window) == [partials[0], partials[2]]


def test_a_partial_that_has_waited_too_long_ranks_as_what_seems_to_be_over() -> None:
    late = Work(Kind.PARTIAL, waited=TOO_LONG)
    scheduler = scheduled(late, Work(Kind.FLUSH), Work(Kind.FINISH), Work(Kind.PARTIAL, waited=TOO_LONG - 1))
    assert [scheduler.take(lambda _: 1, same_window)[0].number for _ in range(4)] == [2, 0, 1, 3]


def test_where_many_have_waited_too_long_partials_are_what_is_dropped() -> None:
    jobs = [Work(Kind.PARTIAL, waited=TOO_LONG + n) for n in range(FEW + 1)]
    scheduler = scheduled(*jobs, Work(Kind.FLUSH))
    assert [scheduler.take(lambda _: 1, same_window)[0].number for _ in range(3)] == [FEW + 1, FEW, 0]


def test_who_has_waited_too_long_interrupts_a_partial_and_is_not_interrupted_by_what_seems_to_be_over() -> None:
    late = Work(Kind.PARTIAL, waited=TOO_LONG)
    assert rank(late) is Kind.FLUSH
    assert scheduled(late).take(lambda _: 1, same_window, Kind.PARTIAL) == [late]
    assert scheduled(Work(Kind.FLUSH)).take(lambda _: 1, same_window, rank(late)) == []


def test_what_was_given_up_is_forgotten() -> None:
    scheduler = scheduled(Work(Kind.PARTIAL), Work(Kind.FINISH))
    scheduler.drop(lambda job: job.kind is Kind.FINISH)
    assert [job.number for job in scheduler.take(lambda _: 8, same_window)] == [0]
    assert scheduler.take(lambda _: 8, same_window) == []


@given(st.lists(st.builds(Work, st.sampled_from(Kind), st.integers(1, 3)), max_size=20), st.integers(1, 5))
def test_every_job_runs_once_and_none_waits_for_a_lower_rank(jobs: list[Work], most: int) -> None:
    scheduler = scheduled(*jobs)
    taken: list[int] = []
    while batch := scheduler.take(lambda _: most, same_window):
        assert len(batch) <= most
        waiting = [job.kind for job in jobs if job.number not in taken]
        assert batch[0].kind == min(waiting)
        assert all(job.window == batch[0].window for job in batch)
        taken += [job.number for job in batch]
    assert sorted(taken) == list(range(len(jobs)))


def test_partials_take_half_of_the_time_of_the_workers() -> None:
    assert partial_interval(4800, n_streams=1, cost_s=0.1, n_workers=2) == 4800
    assert partial_interval(4800, n_streams=16, cost_s=0.07, n_workers=2) == round(1.12 * 16_000)
    assert partial_interval(4800, n_streams=24, cost_s=0.07, n_workers=2) == RAREST
    assert partial_interval(4800, n_streams=16, cost_s=0.07, n_workers=4) == round(0.56 * 16_000)


def test_the_first_text_is_asked_for_sooner_but_not_before_an_idle_machine_would() -> None:
    assert partial_interval(4800, n_streams=16, cost_s=0.06, n_workers=2, is_first=True) == round(0.384 * 16_000)
    assert partial_interval(4800, n_streams=8, cost_s=0.06, n_workers=2, is_first=True) == 4800
