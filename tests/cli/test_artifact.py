"""What a step made must come out again as it went in."""

from __future__ import annotations


def made(small, name):
    return small.json("show")["artifacts"][name]


def test_an_artifact_says_what_it_is_who_made_it_and_who_used_it(small):
    run = small.json("run")["run"]
    found = made(small, "numbers")
    out = small("artifact", found["id"]).out
    assert f"made by  numbers of run {run}" in out
    assert f"used by  total of run {run}" in out
    assert "[0, 2, 4, 6]" in out
    line = small.json("artifact", found["digest"])
    assert line["value"] == [0, 2, 4, 6]
    assert line["made_by"]["step"] == "numbers"


def test_it_is_written_to_a_file_and_replaces_one_only_by_force(small):
    small("run")
    found = made(small, "total")["id"]
    out = small.folder / "here" / "total.json"
    small("artifact", found, "--out", str(out))
    assert out.read_text() == "12"
    out.write_text("mine")
    assert "--force" in small("artifact", found, "--out", str(out), expect=2).err
    assert out.read_text() == "mine"
    small("artifact", found, "--out", str(out), "--force")
    assert out.read_text() == "12"
    small("artifact", "zzz", expect=3)


def test_tables_and_records_are_shown_and_models_named(trained):
    artifacts = trained.json("show")["artifacts"]
    assert "mean_radius" in trained("artifact", artifacts["read"]["id"]).out
    assert "569 rows × 31 columns" in trained("artifact", artifacts["explore"]["id"]).out
    assert "write it to a file with --out" in trained("artifact", artifacts["train"]["id"]).out
