"""Yesterday's run must be found among many."""

from __future__ import annotations


def test_runs_are_listed_newest_first_by_status_and_in_pages(failing):
    failing("run", expect=1)
    text = (failing.folder / "pipeline.py").read_text()
    failing.write(pipeline=text.replace('raise ValueError("the seventh is missing")', "return 7"))
    newest = failing.json("run")["run"]
    *listed, summary = failing("runs", "--json").lines
    assert [line["run"]["status"] for line in listed] == ["succeeded", "failed"]
    assert (summary["runs"], summary["next"]) == (2, None)
    assert failing("runs", "--status", "failed", "--json").summary["runs"] == 1
    first = failing("runs", "--limit", "1", "--json").summary
    assert first["next"] == newest
    (rest, _) = failing("runs", "--before", newest, "--json").lines
    assert rest["run"]["status"] == "failed"
    out = failing("runs").out
    assert newest in out
    assert max(map(len, out.splitlines())) <= 100
    assert "no runs like that" in failing("runs", "--pipeline", "nope").out


def test_a_wrong_status_lists_the_right_ones(small):
    assert "'interrupted'" in small("runs", "--status", "dead", expect=2).err
