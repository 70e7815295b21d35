"""Runs are found by what they measured and were told."""

from __future__ import annotations

import pytest

from tidemill.core.errors import UsageError
from tidemill.tracking import log_tags, runs
from tidemill.tracking.filters import parse_filter


@pytest.fixture
def three(pipelines):
    return [pipelines.run(count=count, rate=rate) for count, rate in ((4, 0.5), (8, 0.5), (8, 2.0))]


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("", [2, 1, 0]),
        ("metrics.validation/score > 1", [2, 1]),
        ('metrics."validation/score" >= 3 and params.rate = 0.5', [1]),
        ("params.count = 8 AND params.rate != 2.0", [1]),
        ("params.count = '8'", [2, 1]),
        ("params.count >= 5", [2, 1]),
        ("tags.team = 'gates' and status = succeeded", [2, 1, 0]),
        ("tags.team ~ ate", [2, 1, 0]),
        ("tags.nobody = 'x'", []),
        ("tags.nobody != 'x'", [2, 1, 0]),
        ("metrics.loss < 0.1", []),
        ("pipeline = other", []),
    ],
)
def test_filters(three, where, expected):
    assert [view.id for view in runs(where)] == [three[index].id for index in expected]


def test_order_and_limit(three):
    best = runs(order_by="metrics.validation/score desc")
    assert [view.metrics["validation/score"] for view in best] == [12.0, 3.0, 0.5]
    assert [view.id for view in runs(order_by="metrics.validation/score", limit=1)] == [three[0].id]


def test_a_list_is_continued_where_it_ended(three):
    first = runs("params.count > 1", limit=2)
    rest = runs("params.count > 1", limit=2, before=first[-1].id)
    assert [view.id for view in first + rest] == [done.id for done in reversed(three)]


def test_runs_without_the_metric_come_last(three):
    log_tags({"note": "nothing measured"})
    assert runs(order_by="metrics.loss desc")[-1].pipeline == "notebook"


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("metrics.auc >", "cannot be read: 'metrics.auc >'"),
        ("metrics.auc > 1 or params.x = 2", "joined by 'and': 'or params.x = 2'"),
        ("metrics.auc > high", "no number: 'high'"),
        ("statsu = failed", "Did you mean 'status'"),
        ("colour = red", "Known: id, status"),
    ],
)
def test_a_filter_that_cannot_be_read_says_where(where, message):
    with pytest.raises(UsageError, match=message):
        parse_filter(where)


def test_an_order_that_cannot_be_read_is_refused(project):
    with pytest.raises(UsageError, match=r"metrics\.NAME desc"):
        runs(order_by="score")
