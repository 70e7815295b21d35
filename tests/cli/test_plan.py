"""A plan that does not say why is a list."""

from __future__ import annotations


def plan_of(small):
    lines = small("plan", "train", "--json").lines
    return {line["node"]["node"]: line["node"] for line in lines[:-1]}, lines[-1]


def test_before_the_first_run_everything_would_run(small):
    nodes, summary = plan_of(small)
    assert nodes["numbers"]["action"] == "run"
    assert nodes["total"]["action"] == "unknown"
    assert summary["stopped"] is None


def test_the_reason_names_what_changed(small):
    small("run")
    assert plan_of(small)[1]["cached"] == 2
    small.write(shapes="def scale():\n    # a comment changes nothing\n    return 2\n")
    assert plan_of(small)[1]["cached"] == 2

    small.write(shapes="def scale():\n    return 3\n")
    assert "scale" in small("plan").out
    small.write(shapes="def scale():\n    return 2\n")

    text = (small.folder / "pipeline.py").read_text()
    small.write(pipeline=text.replace("LIMIT = 3", "LIMIT = 2"))
    assert "LIMIT" in small("plan").out
    small.write(pipeline=text)

    out = small("plan", "--set", "count=9").out
    assert "count" in out.splitlines()[1]
    assert "▶ numbers" in out


def test_why_also_explains_what_is_cached(small):
    run = small.json("run")["run"]
    assert "nothing has changed" not in small("plan").out
    out = small("plan", "--why").out
    assert f"nothing has changed since run {run}" in out
    assert out.splitlines()[-1] == "2 cached"


def test_a_plan_that_cannot_go_on_says_where_it_stops(small):
    text = (small.folder / "pipeline.py").read_text()
    body = "    made = total(numbers(count))\n    if made > 3:\n        return total([made])\n    return made\n"
    small.write(pipeline=text.replace("    return total(numbers(count))\n", body))
    done = small("plan")
    assert "the plan ends here" in done.out
    assert "needs the value of 'total'" in done.out
    assert plan_of(small)[1]["stopped"]
