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


def test_a_misspelt_alias_is_pointed_out_and_taken_back_in_one_command(model):
    out = model("models", "promote", "cells@1", "--as", "champoin").out
    assert "if you meant champion: tidemill models unalias cells@champoin, and promote again" in out
    assert "if you meant" not in model("models", "promote", "cells@1").out
    assert "Did you mean 'champoin'?" in model("models", "show", "cells@champon", expect=3).err
    model("models", "unalias", "cells@champion")
    told = model("models", "show", "cells", expect=3).err
    assert "Promote one first (tidemill models promote cells@1), or name one by its number" in told


def test_a_run_that_registers_nothing_new_still_says_what_the_gate_says_now(model):
    assert "cells@1: gate passed" in model("run", "train", "--set", "trials=2").out
    toml = model.folder / "tidemill.toml"
    toml.write_text(toml.read_text().replace("at_least = 0.55", "at_least = 0.9999"))
    out = model("run", "train", "--set", "trials=2").out
    assert "cells@1: gate not passed\n    better_than_guessing (roc_auc >= 0.9999 at " in out


@pytest.mark.slow
def test_a_rollback_goes_back_to_the_version_before(model):
    assert "no earlier version" in model("models", "rollback", "cells", expect=2).err
    retrained(model)
    model("models", "promote", "cells@2")
    assert model.json("models", "show", "cells")["version"]["version"] == 2
    assert model.json("models", "rollback", "cells", "--reason", "worse on Mondays")["version"] == 1
    assert model.json("models", "show", "cells")["version"]["version"] == 1


def test_a_module_that_cannot_be_imported_does_not_hide_what_is_recorded(model):
    (model.folder / "pipeline.py").write_text("import tidemill as tm\nraise RuntimeError('half edited')\n")
    for arguments in (
        ["models", "list"],
        ["models", "card", "cells@1"],
        ["runs"],
        ["show"],
        ["show", "--html", "x.html"],
    ):
        model(*arguments)
    assert "half edited" in model("run", "train", expect=2).err
