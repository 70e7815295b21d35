"""What a run says and leaves behind, above all when something goes wrong."""

from __future__ import annotations

import signal
import subprocess

SLOW = """
import pathlib
import time

import tidemill as tm


@tm.step
def quick() -> int:
    return 1


@tm.step
def slow(one: int) -> int:
    pathlib.Path("started").touch()
    while not pathlib.Path("go").exists():
        time.sleep(0.01)
    return one + 1


@tm.pipeline
def train() -> int:
    return slow(quick())
"""


def wait_for(path, process):
    """Wait until the step has begun; fail with what the command said if it ended first."""
    while not path.exists():
        try:
            out, err = process.communicate(timeout=0.02)
            raise AssertionError(f"it ended: {out}\n{err}")
        except subprocess.TimeoutExpired:
            continue


def test_a_run_shows_each_step_and_the_second_one_takes_what_has_not_changed(small):
    first = small("run", "train")
    assert "✓ numbers" in first.out
    assert "train succeeded" in first.out
    second = small("run")
    assert "= numbers" in second.out
    assert "2 cached" in second.out


def test_json_has_one_object_per_line_and_the_summary_last(small):
    done = small("run", "train", "--set", "count=3", "--json")
    assert [line.get("event") for line in done.lines][:2] == ["run_started", "step_started"]
    summary = done.summary
    assert (summary["status"], summary["pipeline"], summary["exit_code"]) == ("succeeded", "train", 0)
    assert summary["error"] is None
    assert [step["node"] for step in summary["steps"]] == ["numbers", "total"]
    assert done.lines[0]["details"] == {"count": 3}


def test_no_cache_runs_everything_again(small):
    small("run")
    assert [step["status"] for step in small.json("run", "--no-cache")["steps"]] == ["succeeded", "succeeded"]


def test_a_failed_step_is_told_with_its_inputs_and_the_end_of_its_log(failing):
    done = failing("run", expect=1)
    assert "step 'broken' failed: ValueError: the seventh is missing" in done.err
    assert "values = json" in done.err
    assert "looking at 6 values" in done.err
    assert "--debug" not in done.err
    assert len(done.err.splitlines()) < 12
    assert "✓ fine" in done.out  # the other branch has finished


def test_a_failed_run_ends_its_json_with_the_summary_and_the_error(failing):
    done = failing("run", "--json", expect=1)
    summary = done.summary
    assert (summary["status"], summary["exit_code"], summary["error"]["type"]) == ("failed", 1, "StepError")
    assert {step["node"]: step["status"] for step in summary["steps"]} == {
        "rows": "succeeded",
        "fine": "succeeded",
        "broken": "failed",
    }


def test_debug_shows_the_traceback_of_the_users_code_and_keeps_the_exit_code(failing):
    done = failing("run", "--debug", expect=1)
    assert "Traceback (most recent call last)" in done.err
    assert 'raise ValueError("the seventh is missing")' in done.err


def test_what_the_body_of_a_pipeline_raises_is_no_defect_of_tidemill(tidemill):
    tidemill.write(pipeline="import tidemill as tm\n\n@tm.pipeline\ndef train() -> int:\n    return 1 // 0\n")
    done = tidemill("run", expect=1)
    assert "the body of pipeline 'train' raised ZeroDivisionError" in done.err
    assert "defect" not in done.err
    assert "no step was run; see: tidemill show" in done.out


def test_a_failed_run_is_resumed_after_its_last_finished_step(failing):
    failing("run", "--set", "count=5", expect=1)
    text = (failing.folder / "pipeline.py").read_text()
    failing.write(pipeline=text.replace('raise ValueError("the seventh is missing")', "return 7"))
    summary = failing.json("run", "--resume")
    assert summary["status"] == "succeeded"
    assert summary["resumed_from"]
    assert {step["node"]: step["status"] for step in summary["steps"]}["rows"] == "cached"


def test_only_does_one_step_again_on_its_recorded_inputs(small):
    small("run")
    done = small("run", "--only", "total")
    assert "the same result" in done.out
    assert "12" in done.out
    assert small.json("run", "--only", "total")["same"] is True
    assert len(small("runs", "--json").lines) == 2  # nothing was recorded


def test_only_names_the_steps_there_are(small):
    assert "Start with: tidemill run" in small("run", "--only", "totl", expect=3).err
    small("run")
    assert "numbers, total" in small("run", "--only", "totl", expect=3).err


def test_mistakes_in_settings_are_explained(small):
    cases = {
        "count=many": "cannot be read as int: 'many'",
        "cuont=3": "Did you mean 'count'?",
        "count": "--set takes name=value",
    }
    for setting, said in cases.items():
        assert said in small("run", "--set", setting, expect=2).err
    assert "Write --set count=3 --set seed=1." in small("run", "train", "count=3", "seed=1", expect=2).err
    assert "Run one pipeline at a time." in small("run", "train", "other", expect=2).err


def test_a_parameter_without_default_must_be_given(tidemill):
    tidemill.write(pipeline="import tidemill as tm\n\n@tm.pipeline\ndef train(until: str) -> None:\n    pass\n")
    assert "--set until=…" in tidemill("run", expect=2).err
    assert "--set until=…" in tidemill("plan", expect=2).err
    tidemill("run", "--set", "until=now")


def test_a_pipeline_is_found_by_name_or_guessed(small):
    assert "Did you mean 'train'?" in small("run", "trian", expect=3).err
    small.write(other="import tidemill as tm\n\n@tm.pipeline\ndef score() -> None:\n    pass\n")
    assert "Pipelines here: score, train" in small("run", expect=2).err
    small("run", "score")


def test_parameters_may_be_called_like_options(tidemill):
    names = ("json", "debug", "project", "profile", "only", "run", "cache", "store", "listeners")
    parameters = ", ".join(f"{name}: int = 1" for name in names)
    tidemill.write(pipeline=f"import tidemill as tm\n\n@tm.pipeline\ndef train({parameters}) -> None:\n    pass\n")
    sets = [part for name in names for part in ("--set", f"{name}=2")]
    done = tidemill("run", "--json", *sets)
    assert done.lines[0]["details"] == dict.fromkeys(names, 2)


def test_nothing_but_json_is_printed_even_if_modules_and_their_children_print(tidemill):
    tidemill.write(
        noisy="import os\nimport tidemill as tm\n\nprint('at import')\nos.system('echo from a child')\n\n"
        "@tm.pipeline\ndef train() -> None:\n    print('in the body')\n"
    )
    for command in ("run", "plan", "doctor"):
        done = tidemill(command, "--json")
        assert all(done.lines)
        assert "at import" in done.err
        assert "from a child" in done.err


def test_a_module_that_cannot_be_imported_is_named_with_its_line(small):
    small.write(wrong="import tidemill\nimport no_such_package_at_all\n")
    done = small("run", expect=2)
    assert "wrong.py, line 2: ModuleNotFoundError" in done.err


def test_a_module_that_lacks_an_extra_says_which(small):
    small.write(wrong="import tidemill\nraise ModuleNotFoundError(\"No module named 'lightgbm'\")\n")
    assert 'pip install "tidemill[ml]"' in small("run", expect=2).err


def test_ctrl_c_ends_a_run_in_order_and_says_how_to_go_on(tidemill):
    tidemill.write(pipeline=SLOW)
    process = tidemill.start("run", "--json")
    wait_for(tidemill.folder / "started", process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "tidemill run train --resume" in out
    assert "Traceback" not in err
    assert tidemill("runs", "--json").lines[0]["run"]["status"] == "cancelled"
    (tidemill.folder / "go").touch()
    assert {s["node"]: s["status"] for s in tidemill.json("run", "--resume")["steps"]}["quick"] == "cached"


def test_sigterm_ends_a_run_in_order(tidemill):
    tidemill.write(pipeline=SLOW)
    process = tidemill.start("run")
    wait_for(tidemill.folder / "started", process)
    process.terminate()
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "cancelled by SIGTERM" in err


def test_a_reader_that_goes_away_does_not_stop_the_run(small):
    with small.start("run") as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(timeout=30) == 0
    assert small("runs", "--json").lines[0]["run"]["status"] == "succeeded"


def test_two_runs_at_once_both_succeed(small):
    processes = [small.start("run", "--json", "--set", f"count={n}") for n in (5, 6)]
    for process in processes:
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
    assert small.json("runs")["runs"] == 2


def test_secrets_stay_secret_in_errors_and_records(tidemill):
    tidemill.write(
        pipeline="import os\nimport tidemill as tm\n\n@tm.pipeline\ndef train() -> None:\n"
        "    raise RuntimeError('cannot log in with ' + os.environ['TEAM_PASSWORD'])\n"
    )
    store = '[project]\nstore = "sqlite:///${env:TEAM_PASSWORD}.db"\n'
    (tidemill.folder / "tidemill.toml").write_text(store)
    for options in ([], ["--json"], ["--debug"]):
        done = tidemill("run", *options, expect=1, TEAM_PASSWORD="tide-and-mill-7")
        assert "cannot log in with" in done.err + done.out
        assert "tide-and-mill-7" not in done.err + done.out


def test_a_promise_that_cannot_hold_is_said_before_anything_runs(small):
    toml = small.folder / "tidemill.toml"
    toml.write_text(
        toml.read_text() + '\n[requirements.ranking]\nmetric = "roc_auc"\nat_least = 0.6\nchecked = ["packaging"]\n'
    )
    done = small("run", expect=2)
    assert "packaging" in done.err
    assert "✓" not in done.out


def test_what_to_do_about_a_failed_step_stands_before_ids_and_log(failing):
    text = (failing.folder / "pipeline.py").read_text(encoding="utf-8")
    text = text.replace('ValueError("the seventh is missing")', 'DataError("no seventh", value=6, hint="Give it.")')
    failing.write(pipeline=f"from tidemill.core.errors import DataError\n{text}")
    lines = failing("run", expect=4).err.splitlines()
    assert lines[:2] == ["error step 'broken' failed: DataError: no seventh: 6.", "  Give it."]
    assert "artifact" in lines[2]
    assert lines[-1].strip() == "looking at 6 values"
    error = failing.json("run", expect=4)["error"]
    assert error["message"].startswith("step 'broken' failed: DataError: no seventh: 6. Give it.\n  inputs:")
    assert "looking at 6 values" in error["details"]


def test_what_depends_on_a_failed_step_is_skipped_in_few_words(failing):
    text = (failing.folder / "pipeline.py").read_text(encoding="utf-8")
    failing.write(pipeline=text.replace("return broken(made)", "return fine(broken(made))"))
    (line,) = [line for line in failing("run", expect=1).out.splitlines() if "skipped:" in line]
    assert line.endswith("skipped: step 'broken' failed")
