"""From anything there is a way back to the bytes."""

from __future__ import annotations


def test_models_runs_and_artifacts_are_traced(trained):
    shown = trained.json("show")
    for subject in ("cells", "cells@1", shown["run"]["id"], shown["artifacts"]["train"]["id"]):
        out = trained("trace", subject).out
        assert "execution read" in out
        assert max(map(len, out.splitlines())) <= 120
    assert len(trained("trace", "cells", "--full").out) > len(trained("trace", "cells").out)


def test_it_also_goes_downstream(trained):
    read = trained.json("show")["artifacts"]["read"]["id"]
    assert "execution register_model" in trained("trace", read, "--down").out
    nodes = trained.json("trace", read, "--down")["nodes"]
    assert any(node["kind"] == "execution" and node["name"] == "train" for node in nodes.values())


def test_nothing_is_found_for_an_unknown_id(small):
    small("run")
    assert "nothing in the store has this id" in small("trace", "zzz", expect=3).err
