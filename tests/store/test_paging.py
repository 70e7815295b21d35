"""Lists, caches and last values against a plain model of them: whatever the times, nothing is skipped or mixed up."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager

from hypothesis import given, settings
from hypothesis import strategies as st

from tidemill.core.records import Artifact, Execution, Metric, Run
from tidemill.store import executions, migrations, runs, values
from tidemill.store.database import connect

QUICK = settings(max_examples=40, deadline=None, derandomize=True)
# Few moments, so that many records share one.
moments = st.integers(0, 3)
ids = st.text("0123456789abcdefghjkmnpqrstvwxyz", min_size=1, max_size=4)


@contextmanager
def a_store():
    with tempfile.TemporaryDirectory() as folder:
        database = connect(f"sqlite:///{folder}/store.db")
        database.create(migrations.build)
        try:
            with database.transaction() as tx:
                yield tx
        finally:
            database.close()


@QUICK
@given(
    made=st.dictionaries(ids, st.tuples(moments, st.sampled_from("pq"), st.sampled_from(["failed", "succeeded"]))),
    later=st.dictionaries(ids, moments, max_size=5),
    project=st.sampled_from([None, "p"]),
    status=st.sampled_from([None, "failed"]),
    limit=st.integers(1, 5),
)
def test_pages_neither_skip_nor_repeat(made, later, project, status, limit):
    """Also while newer runs keep arriving: they belong to a page that was read before."""
    with a_store() as tx:
        for id_, (at, in_project, with_status) in made.items():
            runs.insert(tx, Run(id_, in_project, "train", with_status, at))
        expected = sorted(
            ((at, id_) for id_, (at, p, s) in made.items() if project in (None, p) and status in (None, s)),
            reverse=True,
        )
        paged = []
        arriving = list(later.items())
        while page := runs.list_runs(
            tx, project=project, status=status, limit=limit, before=paged[-1][1] if paged else None
        ):
            assert len(page) <= limit
            paged += [(run.started_at, run.id) for run in page]
            if arriving:
                id_, at = arriving.pop()
                runs.insert(tx, Run(f"new-{id_}", "p", "train", "failed", at + 10))
        assert paged == expected


@QUICK
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["k", "l"]), st.sampled_from(["succeeded", "failed", "cached"]), moments, st.integers(0, 3)
        ),
        max_size=15,
    )
)
def test_the_cache_gives_the_last_success(made):
    with a_store() as tx:
        runs.insert(tx, Run("r", "p", "train", "running", 0))
        best = {}
        for number, (key, status, ended, outputs) in enumerate(made):
            id_ = f"e{number:02}"
            artifacts = [(str(i), Artifact(f"{id_}-{i}", "d", "json", "plain", 1, 0, "1")) for i in range(outputs)]
            executions.record(tx, Execution(id_, "r", "s", "s", status, 0, ended, key=key), [], artifacts)
            if status == "succeeded":
                best[key] = max(best.get(key, (-1, "", [])), (ended, id_, artifacts))
        for key in ("k", "l"):
            hit = executions.find_cached(tx, key)
            assert (hit and (hit[0].id, hit[1])) == (best[key][1:] if key in best else None)


@QUICK
@given(
    st.lists(
        st.lists(
            st.tuples(st.sampled_from("ab"), st.floats(width=32), moments, moments, st.sampled_from(["", "test"]))
        ),
        max_size=5,
    )
)
def test_the_last_value_is_that_of_the_highest_step_and_time(batches):
    """The one that was put last counts among those of the same step and time."""
    with a_store() as tx:
        runs.insert(tx, Run("r", "p", "train", "running", 0))
        last = {}
        everything = []
        for batch in batches:
            metrics = [
                Metric("r", name, value + 0.0, step, time, context) for name, value, step, time, context in batch
            ]
            values.put_metrics(tx, metrics)
            everything += metrics
            for metric in metrics:
                place = (metric.name, metric.context)
                if place not in last or (metric.step, metric.time) >= (last[place].step, last[place].time):
                    last[place] = metric
        assert repr(values.last_metrics(tx, "r")) == repr([last[place] for place in sorted(last)])
        stored = values.metrics(tx, "r")
        assert sorted(map(repr, stored)) == sorted(map(repr, everything))
