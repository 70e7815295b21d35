"""In which store, project and folder a run takes place, for itself and for every verb that its steps call."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tidemill.engine import pipeline, step
from tidemill.engine.crew import Crew
from tidemill.project import current_project, load_project, open_project_store, use_project
from tidemill.store import open_store, runs


def look() -> list[str]:
    """What a verb of a later room would do: find the store and the name of the project that it is in."""
    project = current_project()
    with open_project_store(project).metadata.reading() as tx:
        running = [run.pipeline for run in runs.list_runs(tx, project=project.name, status="running")]
    return [*running, project.name]


inline = step(cache=False)(look)
worker = step(cache=False, executor="worker")(look)


def pinned(arguments):
    return {**arguments, "seen": look()}


@step(resolve=pinned)
def resolved(seen: list[str] | None = None) -> list[str]:
    return seen or []


@pipeline
def looks() -> list[list[str]]:
    assert look() == ["looks", "elsewhere"]
    first = [inline(), resolved()]
    return [*first, inline(), worker()]


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A project with a store of its own, in which nothing may happen here."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "tidemill.toml").write_text('[project]\nname = "own"\nthreads = 3\n')
    monkeypatch.chdir(tmp_path / "own")
    return tmp_path / "own"


def test_verbs_in_steps_use_the_store_of_the_run(own, run_in):
    """A model would be registered in the project's own store, in a run that is not there."""
    assert run_in(looks, project="elsewhere")() == [["looks", "elsewhere"]] * 4
    assert not (own / ".tidemill").exists()
    assert current_project().name == "own"


def test_the_store_of_a_run_is_that_of_the_runs_inside_it(own, store):
    @pipeline
    def inner() -> list[str]:
        return inline()

    @step(cache=False)
    def nested() -> list[str]:
        return inner()

    @pipeline
    def outer() -> list[str]:
        return nested()

    assert sorted(outer.using(store=store, project="elsewhere")()) == ["elsewhere", "inner", "outer"]
    assert not (own / ".tidemill").exists()


def test_a_step_may_open_another_projects_store(own, run_in, tmp_path):
    @step(cache=False)
    def other(folder: str) -> str:
        return open_project_store(load_project(folder)).metadata.url

    @pipeline
    def flow(folder: str) -> str:
        return other(folder)

    assert run_in(flow)(str(own)) == f"sqlite:///{own}/.tidemill/store.db"


def test_plans_look_into_the_store_of_the_run(own, run_in):
    @pipeline
    def flow() -> list[str]:
        return resolved()

    placed = run_in(flow, project="elsewhere")
    run_in(looks, project="elsewhere")()
    assert placed.plan().nodes[0].action == "run"
    assert not (own / ".tidemill").exists()


def test_the_threads_of_the_project_are_those_of_its_runs(own, monkeypatch):
    """A team that asks for one step at a time, since memory is short, would get eight."""
    seen = []
    original = Crew.__init__

    def watched(self, artifacts, threads=None, *others):
        seen.append(threads)
        original(self, artifacts, threads, *others)

    monkeypatch.setattr(Crew, "__init__", watched)

    @pipeline
    def flow() -> int:
        return 1

    flow()
    flow.using(threads=5)()
    with use_project(load_project(own, overrides={"threads": 0})):
        flow()
    assert seen == [3, 5, None]


def test_two_runs_in_two_stores_at_once_do_not_mix(own, tmp_path):
    """Threads of one process, each with a run in its own store."""
    start = threading.Barrier(2, timeout=20)
    found: dict[str, list[str]] = {}

    @step(cache=False)
    def meets() -> list[str]:
        start.wait()
        return look()

    @pipeline
    def flow() -> list[str]:
        return meets()

    def place(name: str) -> None:
        with open_store(f"sqlite:///{tmp_path}/{name}.db", str(tmp_path / name)) as store:
            found[name] = flow.using(store=store, project=name)()

    threads = [threading.Thread(target=place, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {"a": ["flow", "a"], "b": ["flow", "b"]}


def test_the_password_of_a_store_is_in_no_message(tmp_path):
    with open_store(f"sqlite:///{tmp_path}/s.db", str(tmp_path / "a")) as store:
        store.url = "postgresql://ann:s3cret@host/db"

        @step(cache=False)
        def shows() -> str:
            return repr(current_project()) + repr(store)

        @pipeline
        def flow() -> str:
            return shows()

        assert "s3cret" not in flow.using(store=store)()
        assert Path(store.artifacts.url)
