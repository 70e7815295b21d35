"""Steps that do what no step should: the run ends, says which step it was, and the other branches finish."""

from __future__ import annotations

import sys
from concurrent.futures import Future
from typing import Any

import pytest

from tidemill.core.errors import MaterialiserError
from tidemill.engine import pipeline, record, step
from tidemill.store import runs


class Shy:
    """Something that cannot be shown."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")


class MuteError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


@step
def returns_what_cannot_be_shown() -> Any:
    return Shy()


@step
def raises_what_cannot_be_shown() -> int:
    raise MuteError


@step
def raises_nul() -> int:
    raise ValueError("nul \0 and half a character \ud800")


@step
def exits() -> int:
    sys.exit(3)


@step
def recurses() -> int:
    return recurses.function()


@step
def records_nonsense() -> int:
    record("metric", {"nope": 1})
    return 1


@step
def records_text_as_a_metric() -> int:
    record("metric", {"name": "auc", "value": "high"})
    return 1


@step
def apart() -> int:
    return 1


HOSTILE = {
    returns_what_cannot_be_shown: "no materialiser for",
    raises_what_cannot_be_shown: "MuteError that cannot be shown",
    raises_nul: "half a character",
    exits: "SystemExit: 3",
    recurses: "RecursionError",
    records_nonsense: "a metric needs a name and a value",
    records_text_as_a_metric: "a metric needs a name and a value",
}


@pytest.mark.parametrize("beside", [0, 2])
@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda hostile: hostile.name)
def test_a_hostile_step_fails_alone(run_in, store, hostile, beside):
    """The run would wait for ever for a step that nobody executes, or never be marked as ended."""

    @pipeline
    def flow() -> list[int]:
        return [hostile(), *[apart() for _ in range(beside)]]

    result = run_in(flow).run()
    assert result.status == "failed"
    assert f"step '{hostile.name}' failed" in str(result.error)
    assert HOSTILE[hostile] in str(result.error)
    assert result.count("failed") == 1
    assert result.count("succeeded") + result.count("cached") == beside
    with store.metadata.reading() as tx:
        assert runs.get(tx, result.id).status == "failed"


class Broken:
    """An executor of somebody else's, with a bug."""

    name = "worker"

    def __init__(self, *, late: bool) -> None:
        self._late = late

    def submit(self, task: Any, artifacts: Any) -> Future:
        if not self._late:
            raise RuntimeError("no connection")
        future: Future = Future()
        future.set_exception(RuntimeError("no connection"))
        return future

    def cancel(self, execution_id: str) -> None:
        pass

    def close(self) -> None:
        pass


@step(executor="worker")
def elsewhere() -> int:
    return 1


@pytest.mark.parametrize("late", [False, True])
def test_an_executor_with_a_bug_fails_its_step(run_in, late):
    @pipeline
    def flow() -> list[int]:
        return [elsewhere(), apart()]

    result = run_in(flow, executors={"worker": Broken(late=late)}).run()
    assert {summary.node: summary.status for summary in result.steps} == {"elsewhere": "failed", "apart": "succeeded"}
    assert "its executor raised RuntimeError: no connection" in str(result.error)


def test_an_error_about_what_cannot_be_shown_can_be_shown():
    assert "Shy that cannot be shown" in str(MaterialiserError("it cannot be stored", value=Shy()))
