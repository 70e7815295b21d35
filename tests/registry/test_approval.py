"""Four eyes: one person alone must not put a model in front of customers where the project asks for two."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tidemill.core.errors import GateError, ModelError, NotFoundError, UsageError
from tidemill.core.records import ModelVersion
from tidemill.evaluation.promises import Measurement
from tidemill.packaging.package import Package
from tidemill.registry import promote_version, register_version, resolve
from tidemill.registry.approval import approvals_of, approve_version, withdraw_approval
from tidemill.registry.editing import set_stage
from tidemill.registry.history import model_history
from tidemill.registry.promotion import plan_promotion
from tidemill.registry.rules import rules_of
from tidemill.store import Store

Make = Callable[..., ModelVersion]
ONE = rules_of({"approvals": 1})


def test_a_promotion_waits_for_a_second_person(store: Store, version: Make) -> None:
    made = version(actor="ann")
    with pytest.raises(
        GateError, match=r"needs 1 approval of somebody other than ann and carl, .* who may: anybody"
    ) as raised:
        promote_version(store, made, rules=ONE, actor="carl")
    assert "tidemill models approve flight-delay@1 --as champion" in str(raised.value)
    approve_version(store, made, note="looked at the slices", actor="bob")
    assert promote_version(store, made, rules=ONE, actor="carl").version == 1
    assert model_history(store, "flight-delay")[0].details["approvals"] == ["bob"]


@pytest.mark.parametrize("who", ["ann", "Ann", " ann "])
def test_who_registered_it_cannot_approve_it(store: Store, version: Make, who: str) -> None:
    made = version(actor="ann")
    with pytest.raises(UsageError, match="has registered"):
        approve_version(store, made, actor=who)


def test_who_promotes_it_does_not_count_as_the_second(store: Store, version: Make) -> None:
    made = version(actor="ann")
    approve_version(store, made, actor="bob")
    with pytest.raises(GateError, match=r"other than ann and BOB, and counts 0 \(none\)"):
        promote_version(store, made, rules=ONE, actor="BOB")
    assert promote_version(store, made, rules=ONE, actor="ann").version == 1


def test_the_actor_is_what_the_environment_says(store: Store, version: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEMILL_ACTOR", "ann")
    made = version()
    assert made.registered_by == "ann"
    monkeypatch.setenv("TIDEMILL_ACTOR", "bob")
    assert approve_version(store, made).actor == "bob"


def test_an_approval_is_for_one_version_one_alias_and_these_numbers(store: Store, packaged: Package) -> None:
    first = register_version(store, packaged, [Measurement("test", "roc_auc", 0.6)], actor="ann")
    approve_version(store, first, "challenger", actor="bob")
    with pytest.raises(GateError, match="counts 0"):
        promote_version(store, first, rules=ONE, actor="ann")
    assert promote_version(store, first, "challenger", rules=ONE, actor="ann").version == 1
    approve_version(store, first, actor="bob")
    again = register_version(store, packaged, [Measurement("test", "roc_auc", 0.9)], run_id=None, actor="ann")
    assert again.id == first.id
    assert [stands for _, stands in approvals_of(store, again)] == [False, False]
    with pytest.raises(GateError, match="counts 0"):
        promote_version(store, again, rules=ONE, actor="ann")
    other = register_version(store, Package({**packaged.manifest, "params": {}}, packaged.files), actor="ann")
    with pytest.raises(GateError, match="counts 0"):
        promote_version(store, other, rules=ONE, actor="ann")


def test_one_person_counts_once_and_only_approvers_count(store: Store, version: Make) -> None:
    two = rules_of({"approvals": 2, "approvers": ["ann", "bob", "eve"]})
    made = version(actor="ann")
    with pytest.raises(UsageError, match=r"mallory may not approve .* Who may: ann, bob, eve"):
        approve_version(store, made, rules=two, actor="mallory")
    approve_version(store, made, actor="mallory")  # under no rules; it does not count under these
    first = approve_version(store, made, rules=two, actor="bob")
    assert approve_version(store, made, rules=two, actor="bob") == first
    approve_version(store, made, "champion", rules=two, actor="bob")
    plan = plan_promotion(store, made, rules=two, actor="carl")
    assert ([one.actor for one in plan.approvals], plan.needed, len(plan.obstacles)) == (["bob"], 2, 1)
    approve_version(store, made, rules=two, actor="eve")
    assert plan_promotion(store, made, rules=two, actor="carl").obstacles == ()


def test_an_approval_can_be_taken_back(store: Store, version: Make) -> None:
    made = version(actor="ann")
    approve_version(store, made, actor="bob")
    withdraw_approval(store, made, actor="bob", note="saw the slices")
    with pytest.raises(GateError, match="counts 0"):
        promote_version(store, made, rules=ONE, actor="ann")
    with pytest.raises(NotFoundError, match="bob has not approved"):
        withdraw_approval(store, made, actor="bob")
    assert [event.action for event in model_history(store, "flight-delay")][:2] == ["model.disapprove", "model.approve"]


def test_force_needs_a_reason_says_what_was_missing_and_can_be_forbidden(store: Store, version: Make) -> None:
    made = version(actor="ann")
    with pytest.raises(UsageError, match="needs a reason"):
        promote_version(store, made, rules=ONE, force="  ", actor="ann")
    with pytest.raises(UsageError, match="allows no promotion by force"):
        promote_version(store, made, rules=rules_of({"approvals": 1, "force": False}), force="hurry", actor="ann")
    promote_version(store, made, rules=ONE, force="everybody is ill", actor="ann")
    details = model_history(store, "flight-delay")[0].details
    assert details["forced"] == "everybody is ill"
    assert "needs 1 approval" in details["broken"][0]


def test_an_archived_version_cannot_be_approved(store: Store, version: Make) -> None:
    made = version(actor="ann")
    set_stage(store, made, "archived")
    with pytest.raises(ModelError, match="archived"):
        approve_version(store, resolve(store, "flight-delay@1"), actor="bob")


def test_a_plan_changes_nothing(store: Store, version: Make) -> None:
    made = version(actor="ann")
    before = model_history(store, "flight-delay")
    plan = plan_promotion(store, made, rules=ONE, actor="ann")
    assert (plan.current, plan.version.version) == (None, 1)
    assert model_history(store, "flight-delay") == before
    with pytest.raises(NotFoundError):
        resolve(store, "flight-delay@champion")
