"""Whoever chooses between two versions must see what is different between them, and nothing that is not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tidemill.core.errors import NotFoundError
from tidemill.core.records import ModelVersion
from tidemill.project import Project, open_project_store
from tidemill.registry.comparing import compare_versions
from tidemill.store import Store

Make = Callable[..., ModelVersion]


def test_numbers_are_compared_with_their_intervals(store: Store, version: Make) -> None:
    version(auc=0.7), version(auc=0.71), version(auc=0.9)
    near = compare_versions("flight-delay@1", "flight-delay@2", store=store)
    far = compare_versions("flight-delay@1", "flight-delay@3", store=store)
    (auc,) = [one for one in far.metrics if one.name == "test.roc_auc"]
    assert auc.difference == pytest.approx(0.2)
    assert auc.apart is True
    assert next(one.apart for one in near.metrics if one.name == "test.roc_auc") is False
    assert [(one.name, one.a, one.b) for one in far.params] == [("number", 1, 3)]
    assert (far.added, far.gone, far.signature, far.data) == ((), (), (), ())


def test_a_version_has_no_difference_from_itself(store: Store, version: Make) -> None:
    version()
    found = compare_versions("flight-delay@1", "flight-delay@1", store=store)
    assert all(one.difference == 0 for one in found.metrics)
    parts = ("gate", "added", "gone", "signature", "params", "data", "environment", "package", "about")
    assert not [part for part in parts if getattr(found, part)]


def test_a_version_that_is_not_there_is_named_with_those_that_are(store: Store, version: Make) -> None:
    version()
    with pytest.raises(NotFoundError, match="newest versions are 1"):
        compare_versions("flight-delay@1", "flight-delay@2", store=store)


def test_what_a_version_was_made_from_is_compared(trained: Project) -> None:
    found = compare_versions("late@1", "late@2", store=open_project_store(trained))
    assert found.gone == ("temp",)
    assert found.added == ()
    assert [one.name for one in found.data] == ["data.train", "data.validation"]
    assert "280 rows" in found.data[0].a
    other = compare_versions("late@1", "late@3", store=open_project_store(trained))
    assert [(one.name, one.a, one.b) for one in other.params] == [("n_estimators", 5, 6)]
    assert other.data == ()
    assert [one.name for one in other.about] == ["run"]
    assert other.examined == ""
    assert found.examined == "they were examined on other test rows: 60 and 57"
