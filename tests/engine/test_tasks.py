"""Without these a step would get the wrong inputs, lose an output, or fail without saying why."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import polars as pl
import pytest

from tidemill.core.errors import ContractError
from tidemill.core.records import Artifact
from tidemill.engine import materialisers
from tidemill.engine.context import current, record
from tidemill.engine.logs import StepLog
from tidemill.engine.tasks import FunctionRef, Parts, StepTask, Stored, execute
from tidemill.store.artifacts import open_artifacts


class Pair(NamedTuple):
    table: pl.DataFrame
    note: str


@dataclass(frozen=True)
class Report:
    rows: int
    worst: str


@pytest.fixture
def artifacts(tmp_path: Path):
    return open_artifacts(tmp_path)


def stored(value, annotation, artifacts, field=None) -> Stored:
    draft = materialisers.save(value, annotation, artifacts)
    artifact = Artifact("a", draft.digest, draft.type, draft.materialiser, draft.size, 0, draft.inline, draft.blob,
                        draft.metadata)  # fmt: skip
    return Stored(artifact, annotation, field)


def task(function, returns=None, **arguments) -> StepTask:
    return StepTask("e", "r", "p", "train", "fit", "fit#2", 3, function, arguments, returns)


def loaded(result, artifacts):
    assert result.error is None, result.error
    return {name: materialisers.load(draft, None, artifacts) for name, draft in result.outputs}


def test_stored_arguments_are_loaded_at_any_depth(artifacts):
    table = stored(pl.DataFrame({"x": [1, 2]}), pl.DataFrame, artifacts)
    report = stored(Report(5, "wind"), Report, artifacts, field="worst")
    parts = Parts(Pair, {"table": table, "note": stored("n", str, artifacts)})

    def use(nested: dict, pair: Pair, worst: str) -> list:
        return [nested["a"][0]["x"].sum(), nested["b"][1], pair.table.height, pair.note, type(pair) is Pair, worst]

    result = execute(task(use, list, nested={"a": [table], "b": (table, 7)}, pair=parts, worst=report), artifacts)
    assert loaded(result, artifacts) == {"output": [3, 7, 2, "n", True, "wind"]}
    assert result.rows_in == 6


def test_a_result_of_several_parts_is_stored_as_several_artifacts(artifacts):
    result = execute(task(lambda: Pair(pl.DataFrame({"x": [1, 2, 3]}), "n"), Pair), artifacts)
    assert [name for name, _ in result.outputs] == ["table", "note"]
    assert result.rows_out == 3
    assert result.rows_in is None


def test_the_step_sees_its_context_and_only_while_it_runs(artifacts):
    seen = []

    def use() -> None:
        step = current()
        seen.append((step.run_id, step.execution_id, step.step, step.node, step.attempt, step.project, step.pipeline))
        record("note", {"team": "ops"})

    result = execute(task(use), artifacts)
    assert seen == [("r", "e", "fit", "fit#2", 3, "p", "train")]
    assert result.logged == (("note", {"team": "ops"}),)
    assert current() is None


def test_a_failure_keeps_the_exception_its_cause_and_the_users_frames_only(artifacts):
    cause = KeyError("dest")

    def use() -> None:
        print("almost")
        raise ContractError("rows break a rule", value=3) from cause

    result = execute(task(use), artifacts)
    assert (result.status, result.outputs, result.log) == ("failed", (), "almost\n")
    error = result.error
    assert (error.type, error.kind, error.message) == ("ContractError", "user", "rows break a rule: 3.")
    assert isinstance(error.exception, ContractError)
    assert error.exception.__cause__ is cause
    assert "in use" in error.traceback
    assert "direct cause" in error.traceback
    assert "tasks.py" not in error.traceback.replace("test_tasks.py", "")


def test_leaving_the_interpreter_is_a_failure_not_an_exit(artifacts):
    def use() -> None:
        raise SystemExit(2)

    assert execute(task(use), artifacts).error.type == "SystemExit"


def test_inputs_and_outputs_that_fail_are_told_from_the_users_errors(artifacts):
    gone = Stored(Artifact("a", "0" * 64, "bytes", "tidemill.engine.materialisers.files:BytesMaterialiser", 1, 0,
                           None, "0" * 64), bytes)  # fmt: skip
    result = execute(task(lambda data: None, data=gone), artifacts)
    assert result.error.kind == "tidemill"
    result = execute(task(object, object), artifacts)
    assert (result.error.kind, result.error.type) == ("tidemill", "MaterialiserError")
    assert result.outputs == ()
    result = execute(task(FunctionRef("tidemill.core.clock", "nowhere")), artifacts)
    assert (result.error.kind, result.error.type) == ("tidemill", "PipelineError")


def test_an_interrupt_is_not_a_failure_of_the_step(artifacts):
    def use() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        execute(task(use), artifacts)
    assert current() is None


def test_time_and_memory_are_measured(artifacts):
    def work() -> int:
        return sum(range(300_000)) + len(bytearray(b"1") * 2**20)

    result = execute(task(work, int), artifacts)
    assert result.cpu_seconds > 0
    assert 0 < result.seconds < 60
    assert result.max_rss >= 0


def test_a_closed_log_leaves_the_terminal_to_a_debugger(artifacts, capsys):
    log = StepLog()
    log.close()
    result = execute(task(lambda: print("(Pdb)")), artifacts, log)
    assert result.log == ""
    assert capsys.readouterr().out == "(Pdb)\n"
