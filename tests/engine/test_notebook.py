"""Outside of pipelines, what must belong to a run belongs to the notebook run of the process."""

from __future__ import annotations

from tidemill.engine import pipeline, step
from tidemill.engine.notebook import close_notebook_runs, surrounding_run
from tidemill.project import open_project_store  # noqa: F401 — the store of a project can be used the same way
from tidemill.store import leases, runs


def test_a_process_has_one_notebook_run_per_project(store):
    first = surrounding_run(store, "tests")
    assert surrounding_run(store, "tests") == first
    assert surrounding_run(store, "others") != first
    with store.metadata.reading() as tx:
        run = runs.get(tx, first)
        assert (run.pipeline, run.status) == ("notebook", "running")
        assert leases.get(tx, f"run:{first}") is not None
    close_notebook_runs()
    with store.metadata.reading() as tx:
        assert runs.get(tx, first).status == "succeeded"
        assert leases.get(tx, f"run:{first}") is None
    assert surrounding_run(store, "tests") != first
    close_notebook_runs()


def test_inside_a_step_it_is_the_run_of_the_step(run_in, store):
    @step(cache=False)
    def asks() -> str:
        return surrounding_run(store, "tests")

    @pipeline
    def flow() -> str:
        return asks()

    result = run_in(flow).run()
    assert result.result == result.id
