"""What Spark says when it fails, as errors of ours, and a limit to how long it may take."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa

from tidemill.core.errors import DataError
from tidemill.core.ids import new_id
from tidemill.integrations.spark_session import is_classic, packages

#: What a server of Spark Connect that is gone is called by its client.
_GONE = ("UNAVAILABLE", "RETRIES_EXCEEDED", "failed to connect", "Connection refused")
_LONGEST = 300
#: Seconds between two attempts to interrupt.
_AGAIN = 1.0


@contextmanager
def failures(what: str, value: object = None) -> Iterator[None]:
    """Tell what Spark says as an error that names what it was to do ("read source 'trips'"), and the query.

    Raises
    ------
    DataError
        If Spark refuses, fails, or is gone.
    """
    spark = packages()
    log = spark.PySparkLogger.getLogger("SQLQueryContextLogger")
    was, log.disabled = log.disabled, True  # it prints the whole stack of Java, beside raising
    try:
        yield
    except spark.PySparkException as error:
        said = _said(str(error))
        if any(sign in str(error) for sign in _GONE):
            raise _gone(what, said, value) from error
        raise DataError(
            f"Spark cannot {what}: {said}", value=value, hint="Check the name, the query and your rights."
        ) from error
    except spark.Py4JJavaError as error:
        raise DataError(f"Spark cannot {what}: {_said(str(error.java_exception))}", value=value) from error
    except (spark.Py4JError, ConnectionError, EOFError, pa.ArrowInvalid) as error:
        raise _gone(what, _said(str(error)) or type(error).__name__, value) from error
    finally:
        log.disabled = was


@contextmanager
def limited(session: Any, seconds: float | None, what: str) -> Iterator[None]:
    """Stop what Spark does in this block after some seconds; None for no limit.

    Raises
    ------
    DataError
        If it took longer.
    """
    if seconds is None:
        yield
        return
    # The tags of a session do not reach the thread of Java that sends Arrow; those of its context do.
    if is_classic(session):
        context = session.sparkContext
        add, interrupt, remove = context.addJobTag, context.cancelJobsWithTag, context.removeJobTag
    else:
        add, interrupt, remove = session.addTag, session.interruptTag, session.removeTag
    tag, late, done = f"tidemill-{new_id()}", threading.Event(), threading.Event()

    def watch() -> None:
        pause = seconds
        while not done.wait(pause):
            late.set()
            interrupt(tag)
            pause = _AGAIN  # it may only now be going to start the next job

    add(tag)
    watcher = threading.Thread(target=watch, daemon=True, name="tidemill-spark-timeout")
    watcher.start()
    try:
        yield
    except DataError as error:
        if not late.is_set():
            raise
        raise DataError(
            f"Spark took longer than {seconds:g} s for {what}",
            hint="Raise timeout, ask for less, or see whether its master has workers.",
        ) from error
    finally:
        done.set()
        watcher.join()
        remove(tag)


def _gone(what: str, said: str, value: object) -> DataError:
    return DataError(
        f"Spark stopped, or the connection to it broke, when it was to {what}: {said}",
        value=value,
        hint="Nothing is half read. Look after Spark, then run again in a new process.",
    )


def _said(text: str) -> str:
    """What matters of a message of Spark: its first line, without the plan and the stack."""
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    return lines[0].partition(" SQLSTATE:")[0][:_LONGEST].rstrip(".") if lines else ""
