"""Without these a value would change on its way to a worker, or be smuggled past the materialisers."""

from __future__ import annotations

import os
import socket
import threading
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from uuid import UUID

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.core.errors import PipelineError
from tidemill.core.schema import Column, TableSchema
from tidemill.engine.executors.wire import Frames, decode, encode, receive, send


class Colour(Enum):
    RED = 1


def function() -> int:
    return 1


class Opaque:
    """Neither plain nor a dataclass."""


PLAIN = [
    *(None, 1, 2.5, 1j, "text", b"bytes", True, Decimal("1.10"), Path("a/b"), UUID(int=7), Colour.RED),
    *((1, [2, {"a": {3}}]), frozenset({1}), range(3), slice(1, 2)),
    *(date(2013, 1, 1), datetime(2013, 1, 1, tzinfo=UTC), timedelta(hours=2), np.float64(0.5), np.int64(3)),
    *(TableSchema((Column("x", "int64"),)), pl.LazyFrame, list[int], int | None, dict[str, pl.DataFrame], Opaque),
]
LOCAL = type("Local", (), {})
OTHERS = [Opaque(), np.zeros(3), pl.DataFrame({"x": [1]}), {"deep": [Opaque()]}, threading.local(), LOCAL]


@pytest.mark.parametrize("value", PLAIN, ids=repr)
def test_plain_values_and_annotations_arrive_as_they_left(value):
    arrived = decode(encode(value))
    assert arrived == value
    assert type(arrived) is type(value)


def test_functions_arrive_by_name():
    assert decode(encode(function)) is function


@pytest.mark.parametrize("value", OTHERS, ids=lambda value: type(value).__name__)
def test_anything_else_is_refused(value):
    with pytest.raises(PipelineError):
        encode(value)


def test_a_class_defined_in_a_function_is_refused_with_the_remedy():
    class Local:
        pass

    with pytest.raises(PipelineError, match="top level of a module"):
        encode(Local)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()


@given(st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner)))
def test_any_plain_value_makes_the_round_trip(value):
    assert decode(encode(value)) == value


def test_large_frames_and_descriptors_cross_a_socket():
    ours, theirs = socket.socketpair()
    data = bytes(range(256)) * 20_000
    with ours, theirs, Path("/dev/null").open() as file:
        sender = threading.Thread(target=send, args=(ours, data, [file.fileno()]))
        sender.start()
        received = receive(theirs, 1)
        sender.join()
        assert received is not None
        assert received[0] == data
        assert len(received[1]) == 1
        os.close(received[1][0])
        ours.close()
        assert receive(theirs) is None


def test_a_busy_peer_never_blocks_the_sender():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        frames, other = Frames(ours), Frames(theirs)
        messages = [b"x" * 1_000_000, b"", b"y" * 300_000]
        for message in messages:
            frames.send(message)
        assert frames.is_sending
        arrived: list[bytes] = []
        while len(arrived) < 3:
            arrived += other.read()[0]
            frames.flush()
        assert arrived == messages
        assert not frames.is_sending
        theirs.close()
        frames.send(b"z" * 10)
        assert frames.read() == ([], False)
