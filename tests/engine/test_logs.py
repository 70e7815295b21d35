"""Without these a step's output would be lost, mixed with another's, unbounded, or the terminal left broken."""

from __future__ import annotations

import contextlib
import io
import logging
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.engine.context import StepContext, use_context
from tidemill.engine.logs import StepLog, capture, uncaptured


@contextlib.contextmanager
def step_log(**options):
    with capture(StepLog(), **options) as log, use_context(StepContext("r", "e", "s", "s", 1, "p", "t")):
        yield log


ORDER = """
import logging, sys, warnings
from tidemill.engine.logs import StepLog, capture
with capture(StepLog()) as log:
    print("one")
    print("two", file=sys.stderr)
    warnings.warn("three", UserWarning, stacklevel=1)
    logging.getLogger("four").error("four")
    sys.stdout.buffer.write(b"five\\n")
    sys.stdout.writelines(["six\\n"])
print(log.text(), end="")
"""


def test_both_streams_warnings_and_logging_are_kept_in_order():
    """In a process of its own: a test runner takes warnings for itself."""
    done = subprocess.run([sys.executable, "-c", ORDER], capture_output=True, text=True, timeout=60, check=True)
    lines = done.stdout.splitlines()
    assert lines[:2] == ["one", "two"]
    assert "UserWarning: three" in lines[2]
    assert lines[-3:] == ["ERROR four: four", "five", "six"]
    assert done.stderr == ""


def test_streams_and_loggers_are_as_before_afterwards():
    before = (sys.stdout, sys.stderr, list(logging.getLogger().handlers))
    with pytest.raises(ZeroDivisionError), step_log():
        print(1 / 0)
    with step_log():
        assert sys.stdout is not before[0]
    assert (sys.stdout, sys.stderr, list(logging.getLogger().handlers)) == before


def test_a_configured_handler_does_not_double_lines():
    with step_log() as log:
        handler = logging.StreamHandler(sys.stderr)
        logging.getLogger().addHandler(handler)
        logging.getLogger("x").error("once")
        logging.getLogger().removeHandler(handler)
    assert log.text().count("once") == 1


def test_logging_outside_the_step_is_as_if_nothing_were_captured(capsys):
    ready, done = threading.Event(), threading.Event()

    def run() -> str:
        with step_log() as log:
            ready.set()
            done.wait(60)
        return log.text()

    root = logging.getLogger()
    handlers, root.handlers = root.handlers, []
    try:
        with ThreadPoolExecutor(1) as pool:
            future = pool.submit(run)
            ready.wait(60)
            logging.getLogger("mine").warning("to the terminal")
            print("also")
            done.set()
            assert future.result(60) == ""
    finally:
        root.handlers = handlers
    assert capsys.readouterr().out == "also\n"


def test_redirecting_inside_a_step_still_works():
    with step_log() as log:
        with contextlib.redirect_stdout(io.StringIO()) as text:
            print("inner")
        print("outer")
    assert text.getvalue() == "inner\n"
    assert log.text() == "outer\n"


def test_a_stream_replaced_meanwhile_is_left_alone(monkeypatch):
    mine = io.StringIO()
    with step_log():
        monkeypatch.setattr(sys, "stdout", mine)
    assert sys.stdout is mine


def test_threads_of_the_step_write_to_its_log_and_late_ones_to_the_terminal(capsys):
    go_on = threading.Event()

    def late() -> None:
        print("early")
        go_on.wait(60)
        print("late")

    with step_log() as log:
        thread = threading.Thread(target=late)
        thread.start()
        while "early" not in log.text():
            pass
    go_on.set()
    thread.join()
    assert log.text() == "early\n"
    assert capsys.readouterr().out == "late\n"


def test_tee_and_uncaptured_reach_the_terminal(capsys):
    with step_log(tee=True) as log:
        print("both")
        with uncaptured():
            print("terminal only")
    assert log.text() == "both\n"
    assert capsys.readouterr().out == "both\nterminal only\n"


def test_a_captured_stream_is_no_terminal():
    with step_log():
        assert not sys.stdout.isatty()
        assert sys.stdout.writable()
        assert sys.stdout.encoding
        sys.stdout.flush()
        sys.stdout.close()
        print("still open")


@given(st.lists(st.text(alphabet="ab\n", max_size=40)), st.integers(2, 60))
def test_head_and_tail_are_exact_whatever_the_pieces(pieces, limit):
    log = StepLog(limit)
    for piece in pieces:
        log.write(piece)
    whole = "".join(pieces)
    if len(whole) <= limit:
        assert log.text() == whole
    else:
        dropped = len(whole) - limit
        head, tail = whole[: limit - limit // 2], whole[len(whole) - limit // 2 :]
        assert log.text() == f"{head}\n… {dropped} characters dropped …\n{tail}"


@given(st.lists(st.text(alphabet="ab\n", max_size=10)))
def test_every_line_is_reported_once_and_whole(pieces):
    lines: list[str] = []
    log = StepLog(on_line=lines.append)
    for piece in pieces:
        log.write(piece)
    log.close()
    whole = "".join(pieces)
    assert lines == (whole.split("\n") if not whole.endswith("\n") and whole else whole.split("\n")[:-1])
