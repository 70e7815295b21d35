"""A backtest is only true if domain time is the virtual clock's and lease time never is."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta, timezone

import pytest

from tidemill.core import clock
from tidemill.core.errors import UsageError

START = datetime(2013, 8, 1, tzinfo=UTC)


def test_a_virtual_clock_sets_domain_time_and_leaves_lease_time_real():
    with clock.use_clock(clock.VirtualClock(START)) as virtual:
        virtual.advance(timedelta(days=1))
        assert clock.now() == START + timedelta(days=1)
        assert abs(clock.lease_now() - time.time()) < 5
    assert clock.now() > START + timedelta(days=365)


def test_it_does_not_go_back():
    virtual = clock.VirtualClock(START)
    with pytest.raises(UsageError, match="cannot go back"):
        virtual.set(START - timedelta(microseconds=1))
    assert virtual.now_us() == clock.to_us(START)


def test_microseconds_survive_the_round_trip_in_any_time_zone():
    moment = datetime(2013, 3, 10, 2, 30, 0, 123457, tzinfo=timezone(timedelta(hours=-5)))
    assert clock.from_us(clock.to_us(moment)) == moment


def test_a_naive_datetime_is_refused():
    with pytest.raises(UsageError, match="without a time zone"):
        clock.to_us(datetime(2013, 1, 1))


def test_elapsed_never_decreases():
    first = clock.elapsed()
    assert clock.elapsed() >= first
