"""A run shows what it was given, measured and made, and reads a value only when it is asked for."""

from __future__ import annotations

import pandas as pd
import polars as pl
import pytest

from tidemill.core.errors import CorruptArtifactError, NotFoundError
from tidemill.tracking import run


def test_a_run_shows_its_arguments_steps_and_artifacts(pipelines):
    done = pipelines.run(count=6)
    view = run(done.id[:20])
    assert view.params == {"count": "6", "rate": "0.5", "rate_used": "0.5"}
    assert [execution.node for execution in view.executions] == ["rows", "halves", "fit", "report"]
    assert list(view.artifacts) == ["rows", "halves.0", "halves.1", "fit", "report"]
    assert view.artifacts["report"].value == "1.5 on 3"
    assert view.artifacts["halves.1"].value.equals(pl.DataFrame({"a": [3, 4, 5]}))
    assert isinstance(view.artifacts["rows"].load(pd.DataFrame), pd.DataFrame)
    assert view.seconds > 0


def test_looking_at_a_run_reads_no_values(pipelines, project):
    from tidemill.project import open_project_store

    done = pipelines.run(count=6)
    store = open_project_store(project)
    for blob in list(store.artifacts.blobs()):
        store.artifacts.delete(blob.digest)
    view = run(done.id)
    assert view.artifacts["rows"].record.metadata["rows"] == 6
    with pytest.raises(CorruptArtifactError):
        _ = view.artifacts["rows"].value


def test_the_latest_run_and_an_unknown_one(pipelines, project):
    with pytest.raises(NotFoundError, match="no runs yet"):
        run()
    pipelines.run(count=2)
    second = pipelines.run(count=4)
    assert run().id == second.id
    with pytest.raises(NotFoundError):
        run("zzzz")
