from __future__ import annotations

import asyncio

import pytest

from voxtral_streaming.server.admission import Admission
from voxtral_streaming.server.errors import Overloaded, Stopping


def nothing() -> None:
    pass


def test_admits_so_many_and_no_more() -> None:
    admission = Admission(1, Overloaded, "chairs")
    with admission.admit(nothing):
        assert len(admission) == 1
        with pytest.raises(Overloaded, match="all 1 chairs are taken"), admission.admit(nothing):
            pass
    assert len(admission) == 0
    with admission.admit(nothing):
        pass


def test_guest_that_fails_leaves_too() -> None:
    admission = Admission(1, Overloaded, "chairs")
    with pytest.raises(KeyError), admission.admit(nothing):
        raise KeyError
    assert len(admission) == 0


async def test_drain_hurries_the_guests_and_waits_for_the_last() -> None:
    admission = Admission(2, Overloaded, "chairs")
    hurried = asyncio.Event()
    with admission.admit(hurried.set):
        draining = asyncio.create_task(admission.drain())
        await asyncio.wait_for(hurried.wait(), 1)
        assert admission.is_draining
        assert not draining.done()
        with pytest.raises(Stopping), admission.admit(nothing):
            pass
    await asyncio.wait_for(draining, 1)


async def test_drain_of_an_empty_house_is_over_at_once() -> None:
    await asyncio.wait_for(Admission(1, Overloaded, "chairs").drain(), 1)
