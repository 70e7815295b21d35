"""What people say of a model must be theirs to correct, and never change what answers without the gate."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tidemill.core.errors import ConflictError, GateError, ModelError, NotFoundError, UsageError
from tidemill.core.records import ModelVersion
from tidemill.design.requirements import Requirement
from tidemill.registry import list_versions, promote_version, resolve, roll_back
from tidemill.registry.editing import edit_model, edit_version, set_stage
from tidemill.registry.history import model_history
from tidemill.registry.names import parse_reference
from tidemill.registry.promotion import remove_alias
from tidemill.registry.rules import rules_of
from tidemill.store import Store

Make = Callable[..., ModelVersion]
STRICT = [Requirement("ranking", "", "roc_auc", at_least=0.9, checked=("test",))]


def test_tags_description_and_owner_change_and_the_audit_says_from_what_to_what(store: Store, version: Make) -> None:
    version(description="first", tags={"team": "ops", "old": "1"}, owner="ann")
    edited = edit_version(
        store, "flight-delay@1", tags={"team": "data", "new": ""}, untag=["old"], owner="", description="better"
    )
    assert (edited.tags, edited.owner, edited.description) == ({"team": "data", "new": ""}, "", "better")
    assert resolve(store, "flight-delay@1") == edited
    assert list_versions(store, tags={"team": "data"}) == [edited]
    assert list_versions(store, tags={"old": None}) == []
    (event, _) = model_history(store, "flight-delay")
    assert event.action == "model.edit"
    assert event.details == {
        "owner": ["ann", ""],
        "description": ["first", "better"],
        "tags": {"team": ["ops", "data"], "new": [None, ""], "old": ["1", None]},
    }


def test_a_model_is_described_apart_from_its_versions(store: Store, version: Make) -> None:
    version()
    edited = edit_model(store, "flight-delay", owner="ann", description="Late arrivals", tags={"tier": "1"})
    assert edit_model(store, "flight-delay") == edited
    assert resolve(store, "flight-delay@1").owner == ""
    assert [event.subject for event in model_history(store, "flight-delay")] == [
        "model:flight-delay",
        "model:flight-delay@1",
    ]


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"untag": ["tean"]}, NotFoundError, "Did you mean 'team'"),
        ({"tags": {"a": 1}}, UsageError, "not text"),
        ({"tags": {"": "x"}}, UsageError, "1 to 250"),
        ({"tags": {"team": "x"}, "untag": ["team"]}, UsageError, "set and removed at once"),
    ],
)
def test_an_edit_that_cannot_be_changes_nothing(
    store: Store, version: Make, changes: dict[str, object], error: type[Exception], message: str
) -> None:
    made = version(tags={"team": "ops"})
    with pytest.raises(error, match=message):
        edit_version(store, made, owner="bob", **changes)  # type: ignore[arg-type]
    assert resolve(store, "flight-delay@1") == made


def test_production_is_a_stage_that_the_gate_guards(store: Store, version: Make) -> None:
    made = version(auc=0.7)
    assert set_stage(store, made, "staging").stage == "staging"
    with pytest.raises(GateError, match=r"may not become production: ranking .* broken by 0\.2"):
        set_stage(store, made, "production", requirements=STRICT)
    with pytest.raises(GateError, match="production needs 1 approval"):
        set_stage(store, made, "production", rules=rules_of({"approvals": 1}))
    forced = set_stage(store, made, "production", requirements=STRICT, force="the old one is down")
    assert forced.stage == "production"
    assert model_history(store, "flight-delay")[0].details["forced"] == "the old one is down"


def test_a_version_that_answers_cannot_be_archived_and_an_archived_one_cannot_answer(
    store: Store, version: Make
) -> None:
    version(), version()
    promote_version(store, "flight-delay@1")
    promote_version(store, "flight-delay@2")
    with pytest.raises(ConflictError, match="is champion, and cannot be archived"):
        set_stage(store, "flight-delay@2", "archived")
    assert set_stage(store, "flight-delay@1", "archived", reason="too old").archived
    with pytest.raises(ModelError, match="archived"):
        promote_version(store, "flight-delay@1", force="anyway")
    with pytest.raises(ModelError, match="which champion was before, is archived"):
        roll_back(store, "flight-delay")
    assert not set_stage(store, "flight-delay@1", "registered").archived
    assert roll_back(store, "flight-delay").version == 1
    with pytest.raises(UsageError, match="Did you mean 'archived'"):
        set_stage(store, "flight-delay@1", "archive")


def test_an_alias_that_is_removed_has_no_past_to_go_back_to(store: Store, version: Make) -> None:
    version(), version()
    promote_version(store, "flight-delay@1")
    promote_version(store, "flight-delay@2")
    assert remove_alias(store, "flight-delay", "champion", reason="retired") == 2
    with pytest.raises(NotFoundError):
        resolve(store, "flight-delay@champion")
    with pytest.raises(NotFoundError):
        remove_alias(store, "flight-delay", "champion")
    promote_version(store, "flight-delay@2")
    with pytest.raises(UsageError, match="no earlier version"):
        roll_back(store, "flight-delay")


def test_the_history_of_a_version_has_the_moves_to_and_from_it(store: Store, version: Make) -> None:
    version(), version()
    promote_version(store, "flight-delay@1")
    promote_version(store, "flight-delay@2")
    set_stage(store, "flight-delay@1", "staging")
    whole = model_history(store, "flight-delay")
    assert [event.action for event in whole] == ["model.stage", *["model.promote"] * 2, *["model.register"] * 2]
    second = model_history(store, parse_reference("flight-delay@2"))
    assert [event.action for event in second] == ["model.promote", "model.register"]
    first = [event.id for event in model_history(store, parse_reference("flight-delay@1"))]
    assert len(first) == 4
    assert [event.id for event in model_history(store, "flight-delay", limit=3, before=whole[1].id)] == [
        event.id for event in whole[2:]
    ]
    with pytest.raises(NotFoundError, match="Did you mean 'flight-delay'"):
        model_history(store, "flight-dalay")
