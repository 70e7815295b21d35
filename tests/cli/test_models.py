"""A name that serves people moves only with a reason."""

from __future__ import annotations

import pytest


def retrained(model):
    """Train another model: the same one again would be the same version."""
    source = model.folder / "pipeline.py"
    source.write_text(source.read_text().replace("random_state=7", "random_state=8, subsample=0.7, subsample_freq=1"))
    model("run", "train", "--set", "trials=1")


def test_versions_are_listed_with_alias_and_gate(trained):
    out = trained("models", "list").out
    assert "cells@1" in out
    assert "champion" in out
    assert "passed" in out
    line, summary = trained("models", "list", "cells", "--json").lines
    assert (line["version"]["version"], line["aliases"], summary["versions"]) == (1, ["champion"], 1)
    assert "Models: cells." in trained("models", "list", "cels", expect=3).err


def test_a_version_shows_its_metrics_and_promises(trained):
    out = trained("models", "show", "cells").out
    assert "test.roc_auc" in out
    assert "better_than_guessing" in out
    assert trained.json("models", "show", "cells@champion")["version"]["version"] == 1
    trained("models", "show", "cells@9", expect=3)


def test_the_gate_refuses_with_the_numbers_and_yields_only_to_a_reason(model):
    toml = model.folder / "tidemill.toml"
    toml.write_text(toml.read_text().replace("at_least = 0.55", "at_least = 0.9999"))
    done = model("models", "promote", "cells@1", "--alias", "challenger", expect=6)
    assert "0.99" in done.err
    assert model.json("models", "promote", "cells@1", "--alias", "challenger", expect=6)["exit_code"] == 6
    line = model.json("models", "promote", "cells@1", "--alias", "challenger", "--force", "a demonstration")
    assert (line["alias"], line["version"]) == ("challenger", 1)


@pytest.mark.slow
def test_a_rollback_goes_back_to_the_version_before(model):
    assert "no earlier version" in model("models", "rollback", "cells", expect=2).err
    retrained(model)
    model("models", "promote", "cells@2")
    assert model.json("models", "show", "cells")["version"]["version"] == 2
    assert model.json("models", "rollback", "cells", "--reason", "worse on Mondays")["version"] == 1
    assert model.json("models", "show", "cells")["version"]["version"] == 1
