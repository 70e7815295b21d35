"""A run that was not watched must be readable afterwards."""

from __future__ import annotations


def test_a_run_shows_its_steps_params_and_artifacts(small):
    run = small.json("run", "--set", "count=3")["run"]
    out = small("show").out
    assert out.startswith(f"run {run}  train of small: succeeded")
    for word in ("numbers", "total", "count", "json"):
        assert word in out
    assert max(map(len, out.splitlines())) <= 100
    assert small("show", run[:-2]).out == out


def test_a_cached_step_says_from_which_run_it_came(small):
    first = small.json("run")["run"]
    small("run")
    rows = [line for line in small("show").out.splitlines() if " cached " in line]
    assert len(rows) == 2
    assert all(row.endswith(first) for row in rows)
    assert small("show", "--json").lines[0]["from_run"] == first
    step = small("show", "--step", "numbers").out
    assert f"cached from run {first}" in step
    assert "making 4 numbers" in step  # its log is that of the run that did the work


def test_one_step_shows_inputs_outputs_key_and_log(small):
    small("run")
    out = small("show", "--step", "total").out
    for word in ("input", "values", "output", "part of the key", "(nothing was written)"):
        assert word in out
    line = small("show", "--step", "numbers", "--json").summary
    assert line["log"] == "making 4 numbers\n"
    assert "Steps are: numbers, total" in small("show", "--step", "totla", expect=3).err


def test_a_failed_run_shows_its_error_and_the_step_its_traceback(failing):
    failing("run", expect=1)
    assert "the seventh is missing" in failing("show").out
    step = failing("show", "--step", "broken").out
    assert "Traceback" in step
    assert "looking at 6 values" in step


def test_a_run_that_is_not_there_is_not_found(small):
    small("run")
    assert small("show", "zzz", "--json", expect=3).summary["error"]["value"] == "zzz"


def test_html_is_one_page(small):
    small("run")
    line = small("show", "--html", "pages/run.html", "--json").summary
    assert line["status"] == "succeeded"
    assert "<h1>small · train</h1>" in (small.folder / "pages" / "run.html").read_text()


def test_metrics_stand_in_one_table_with_a_column_for_each_moment(trained):
    lines = trained("show").out.splitlines()
    (header,) = [line for line in lines if line.startswith("metric")]
    assert header.split()[1:] == ["evaluation", "test", "tuning", "validation"]  # of tuning the best, no "trial"
    assert max(map(len, lines)) <= 100
