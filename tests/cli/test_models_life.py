"""The life of a model version from the shell: described, approved, promoted, told of, and its past read back."""

from __future__ import annotations

import pytest
from webhook_receiver import Receiver, reply

REGISTRY = """
[registry]
approvals = 1
aliases = { challenger = 0 }

[registry.webhooks.ops]
url = "%s/hook"
events = ["alias.moved", "approval.given"]
"""


@pytest.fixture
def guarded(model, receiver: Receiver):
    """The trained project with a rule of four eyes and a webhook."""
    toml = model.folder / "tidemill.toml"
    toml.write_text(toml.read_text() + REGISTRY % receiver.url)
    return model


def test_a_promotion_needs_a_second_person_and_its_webhook_is_told(guarded, receiver: Receiver):
    plan = guarded.json("models", "promote", "cells@1", "--alias", "production", "--dry-run")
    assert (plan["may"], plan["from"], plan["to"], plan["needed"]) == (False, None, 1, 1)
    assert "needs 1 approval" in plan["obstacles"][0]
    screen = guarded("models", "promote", "cells@1", "--alias", "production", "--dry-run").out
    assert "would be refused" in screen
    assert "margin" in screen
    refused = guarded("models", "promote", "cells@1", "--alias", "production", expect=6).err
    assert "tidemill models approve cells@1 --as production" in refused
    assert "cannot approve it" in guarded("models", "approve", "cells@1", expect=2).err
    given = guarded.json("models", "approve", "cells@1", "--note", "looks good", TIDEMILL_ACTOR="bob")
    assert given["approval"]["actor"] == "bob"
    assert guarded.json("models", "promote", "cells@1", "--alias", "production")["version"] == 1
    assert [headers["webhook-id"] for _, headers, _ in receiver.requests]
    shown = guarded("models", "show", "cells@1").out
    assert "bob" in shown
    assert "looks good" in shown
    first = guarded.json("models", "history", "cells", "--limit", "2")
    assert first["events"] == 2
    history = guarded("models", "history", "cells@1").out
    assert "approved by bob" in history
    assert history.index("promote") < history.index("register")


def test_a_webhook_that_fails_is_no_error_of_the_change_and_is_retried(guarded, receiver: Receiver):
    receiver.answer = lambda handler: reply(handler, 500)
    done = guarded("models", "promote", "cells@1", "--alias", "challenger")
    assert "answered 500" in done.err
    *_, listed = guarded("webhooks", "list", "--json").lines
    assert listed["webhooks"] == [
        {"webhook": "ops", "events": ["alias.moved", "approval.given"], "waiting": 1, "delivered": 0, "dead": 0}
    ]
    assert guarded.json("webhooks", "deliver")["delivered"] == 0
    line = guarded("webhooks", "list", "--status", "waiting", "--json").lines[0]["delivery"]
    assert guarded.json("webhooks", "retry", line["id"][:20])["waiting"] == 1
    receiver.answer = lambda handler: reply(handler, 204)
    assert "delivered 1" in guarded("webhooks", "deliver").out
    assert "say which" in guarded("webhooks", "retry", expect=2).err
    assert "no delivery with this id" in guarded("webhooks", "retry", "nothing", expect=3).err


def test_a_version_is_described_and_found_by_it(model):
    model("models", "edit", "cells", "--owner", "ann", "--description", "Benign or malignant", "--tag", "tier=1")
    edited = model.json("models", "edit", "cells@1", "--tag", "team=ops", "--owner", "bob")
    assert edited["version"]["tags"]["team"] == "ops"
    assert model("models", "list", "--tag", "team=ops", "--json").summary["versions"] == 1
    assert "no version is like that" in model("models", "list", "--tag", "team=data").out
    assert model("models", "list", "--owner", "bob", "--stage", "registered", "--json").summary["versions"] == 1
    names = model("models", "list", "--names").out
    assert "Benign or malignant" in names
    assert "tier=1" in names
    assert "Did you mean 'team'" in model("models", "edit", "cells@1", "--untag", "tean", expect=3).err
    assert "nothing is to be changed" in model("models", "edit", "cells", expect=2).err
    assert "NAME=VALUE" in model("models", "edit", "cells", "--tag", "x", expect=2).err


def test_stages_and_aliases_are_set_and_taken_away(model):
    assert "is champion" in model("models", "stage", "cells@1", "archived", expect=7).err
    assert model.json("models", "unalias", "cells@champion", "--reason", "retired")["version"] == 1
    assert model.json("models", "stage", "cells@1", "archived")["stage"] == "archived"
    assert "Did you mean 'staging'" in model("models", "stage", "cells@1", "stagging", expect=2).err
    assert "names no version" in model("models", "stage", "cells", "staging", expect=2).err


def test_a_mistyped_subcommand_or_model_is_named(model):
    assert "Did you mean 'promote'" in model("models", "promot", expect=2).err
    assert "Did you mean 'cells'" in model("models", "history", "cels", expect=3).err
    assert "Did you mean 'cells'" in model("models", "show", "cels@1", expect=3).err


def test_versions_are_compared_and_described_on_a_card(model):
    same = model.json("models", "compare", "cells@1", "cells")["comparison"]
    assert {one["difference"] for one in same["metrics"]} == {0.0}
    assert same["params"] == []
    assert "newest versions are 1" in model("models", "compare", "cells@1", "cells@2", expect=3).err
    done = model("models", "card", "cells", "--html", "out/card.html", "--md", "out/card.md")
    assert "wrote out/card.html" in done.out
    page = (model.folder / "out" / "card.html").read_text()
    assert "<h1>cells, version 1</h1>" in page
    assert "Calibration" in page
    assert (model.folder / "out" / "card.md").read_text() == model("models", "card", "cells@1").out
    assert model.json("models", "card", "cells@1")["title"] == "cells, version 1"
