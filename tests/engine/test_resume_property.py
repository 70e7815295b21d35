"""A run that fails somewhere and goes on ends as one that never failed, whatever its graph."""

from __future__ import annotations

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tidemill.engine import pipeline, step
from tidemill.store import Store, executions, lineage, open_store

FAILING = "failing"


@step
def combine(inputs: list[int], salt: int) -> int:
    return sum(inputs) * 31 + salt


@step
def fragile(inputs: list[int], salt: int, where: str) -> int:
    if (Path(where) / FAILING).exists():
        raise ValueError("not yet")
    return sum(inputs) * 31 + salt


@step(effect=True)
def effect(inputs: list[int], salt: int, where: str) -> int:
    with (Path(where) / "effects").open("a") as log:
        log.write(f"{salt}\n")
    return sum(inputs) + salt


@step(cache=False)
def uncached(inputs: list[int], salt: int) -> tuple[int, str]:
    return sum(inputs) - salt, "x" * salt


KINDS = st.sampled_from(["combine", "fragile", "effect", "uncached"])
GRAPHS = st.lists(st.tuples(st.lists(st.integers(0, 9), max_size=3), KINDS, st.booleans()), min_size=1, max_size=10)


@pipeline
def flow(graph: list, where: str) -> list[int]:
    made: list = []
    for salt, (upstream, kind, waits) in enumerate(graph):
        inputs = [made[index] for index in upstream if index < salt]
        if kind == "combine":
            made.append(combine(inputs, salt))
        elif kind == "uncached":
            made.append(uncached(inputs, salt)[0])
        else:
            made.append((fragile if kind == "fragile" else effect)(inputs, salt, where))
        if waits and kind != "fragile":
            int(made[0]) if graph[0][1] != "fragile" else None
    return made


def outcome(store: Store, run_id: str) -> dict[str, list[str]]:
    with store.metadata.reading() as tx:
        found = {item.node: lineage.outputs(tx, item.id) for item in executions.of_run(tx, run_id)}
    return {node: [artifact.digest for _, artifact in outputs] for node, outputs in found.items()}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(graph=GRAPHS)
def test_a_resumed_run_ends_as_an_uninterrupted_one(graph, tmp_path_factory):
    folder = tmp_path_factory.mktemp("resume")
    with (
        open_store(f"sqlite:///{folder}/a.db", str(folder / "a")) as whole,
        open_store(f"sqlite:///{folder}/b.db", str(folder / "b")) as broken,
    ):
        expected = flow.using(store=whole).run(graph, str(folder))
        effects = (folder / "effects").read_text().split() if (folder / "effects").exists() else []
        (folder / "effects").unlink(missing_ok=True)
        (folder / FAILING).touch()
        first = flow.using(store=broken).run(graph, str(folder))
        (folder / FAILING).unlink()
        again = first
        if first.status == "failed":
            again = flow.using(store=broken).run(resume="last")
        assert again.result == expected.result
        assert outcome(broken, again.id) == outcome(whole, expected.id)
        done = (folder / "effects").read_text().split() if (folder / "effects").exists() else []
        assert sorted(done) == sorted(effects), "an effect was repeated or left out"
        finished = {summary.node for summary in first.steps if summary.status in ("succeeded", "cached")}
        assert all(again.step(node).status == "cached" for node in finished if again is not first)
