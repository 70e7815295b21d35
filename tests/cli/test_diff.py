"""Two runs that differ in one thing must be told apart by that thing."""

from __future__ import annotations


def test_the_difference_is_named_and_nothing_else(small):
    first = small.json("run")["run"]
    second = small.json("run", "--set", "count=5")["run"]
    out = small("diff", first, second).out
    assert "count" in out
    assert "numbers" in out
    found = small.json("diff", first)  # the second is the latest by default
    assert (found["a"], found["b"]) == (first, second)
    assert found["computes_the_same"] is False
    assert [item["name"] for item in found["params"]] == ["count"]
    third = small.json("run", "--set", "count=5")["run"]
    assert "every step computes the same" in small("diff", second, third).out


def test_a_run_that_is_not_there_is_not_found(small):
    small("run")
    small("diff", "latest", "zzz", expect=3)


def test_the_latest_run_is_compared_with_the_one_before(small):
    assert "there is no run of 'train' before" in [small("run"), small("diff", "latest", expect=3)][1].err
    second = small.json("run", "--set", "count=5")["run"]
    third = small.json("run", "--set", "count=6")["run"]
    for arguments in (["latest"], [third], []):
        found = small.json("diff", *arguments)
        assert (found["a"], found["b"], found["params"][0]["a"]) == (second, third, "5")


def test_a_run_is_not_compared_with_itself(small):
    run = small.json("run")["run"]
    assert "a run does not differ from itself" in small("diff", run, "latest", expect=2).err
