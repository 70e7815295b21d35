"""The graph: what may start, what is skipped, and how nodes are named."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tidemill.engine import step
from tidemill.engine.graph import Graph


@step
def work() -> int:
    return 1


def test_names_are_unique_and_follow_the_calls():
    graph = Graph()
    names = [graph.add(work, {}, [], suffix=suffix)[0].name for suffix in ("", "", "ab", "ab", "")]
    assert names == ["work", "work#2", "work[ab]", "work[ab]#2", "work#3"]


def test_a_node_after_a_failed_one_is_skipped_at_once():
    graph = Graph()
    bad, _ = graph.add(work, {}, [])
    bad.error = ValueError("no")
    graph.finish(bad, "failed")
    late, skipped = graph.add(work, {}, [bad])
    assert skipped == [late]
    assert late.state == "skipped"
    assert late.error is bad.error


@given(st.lists(st.tuples(st.sets(st.integers(0, 30), max_size=4), st.booleans()), max_size=30))
def test_every_node_ends_and_only_dependants_of_failures_are_skipped(spec):
    graph = Graph()
    nodes = []
    for upstream, _ in spec:
        before = [nodes[i] for i in sorted(upstream) if i < len(nodes)]
        nodes.append(graph.add(work, {}, before)[0])
    done: list = []
    while graph.ready:
        node = graph.ready.popleft()
        index = nodes.index(node)
        assert all(nodes[i].is_done for i in spec[index][0] if i < index)
        graph.finish(node, "failed" if spec[index][1] else "succeeded")
        done.append(node)
    reached = set()
    for index, (upstream, fails) in enumerate(spec):
        if fails or any(i in reached for i in upstream if i < index):
            reached.add(index)
    assert [node.state for node in nodes] == [
        "succeeded" if i not in reached else "failed" if nodes[i] in done else "skipped" for i in range(len(nodes))
    ]
