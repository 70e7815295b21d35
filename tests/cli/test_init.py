"""The first file that Tidemill writes for somebody must work, or say at once why not."""

from __future__ import annotations

import tomllib

import polars as pl
import pytest

from tidemill.design.canvas import QUESTIONS, canvas_of


def rows(count, header, line):
    return "\n".join([header, *(line(i) for i in range(count))]) + "\n"


def test_a_blank_project_runs_as_it_is(tidemill):
    done = tidemill("init", "my project")
    assert "next: cd 'my project' && tidemill run train" in done.out
    assert tidemill.json("run", "train", "--project", "my project", "--set", "count=5")["status"] == "succeeded"


def test_a_project_that_exists_is_left_alone(tidemill):
    tidemill("init")
    before = {path.name: path.read_text() for path in tidemill.folder.iterdir()}
    assert "there is a project here already" in tidemill("init", expect=2).err
    (tidemill.folder / "tidemill.toml").unlink()
    assert "these files are there already: ['pipeline.py']" in tidemill("init", expect=2).err
    assert (tidemill.folder / "pipeline.py").read_text() == before["pipeline.py"]


@pytest.mark.parametrize(
    ("line", "task", "metric"),
    [
        (lambda i: f"{i},{i % 2}", "binary classification", "roc_auc"),
        (lambda i: f"{i},{'abc'[i % 3]}", "multiclass classification", "accuracy"),
        (lambda i: f"{i},{i * 1.5}", "regression", "r2"),
        (lambda i: f"{i},{i}", "regression", "r2"),
    ],
)
def test_the_task_follows_from_the_target(tidemill, line, task, metric):
    (tidemill.folder / "t.csv").write_text(rows(60, "x,y", line))
    tidemill("init", "p", "--data", "t.csv", "--target", "y")
    written = tomllib.loads((tidemill.folder / "p" / "tidemill.toml").read_text())
    assert written["canvas"]["prediction"]["task"] == task
    assert next(iter(written["requirements"].values()))["metric"] == metric
    assert tomllib.loads((tidemill.folder / "p" / "contract.toml").read_text())["name"] == "data"


def test_a_target_of_lists_asks_for_several_labels(tidemill):
    labels = [["a"], ["a", "b"], []] * 20
    pl.DataFrame({"x": range(60), "y": labels}).write_parquet(tidemill.folder / "t.parquet")
    tidemill("init", "p", "--data", "t.parquet", "--target", "y")
    written = tomllib.loads((tidemill.folder / "p" / "tidemill.toml").read_text())
    assert written["canvas"]["prediction"]["task"] == "multilabel classification"


@pytest.mark.parametrize(
    ("table", "target", "code", "said"),
    [
        (None, "y", 3, "there is no such file"),
        (rows(60, "x,label", lambda i: f"{i},{i % 2}"), "lable", 4, "Did you mean 'label'?"),
        (rows(60, "x,y", lambda i: f"{i},{i % 2}"), "target", 4, "Columns: x, y."),
        (rows(5, "x,y", lambda i: f"{i},{i % 2}"), "y", 4, "too few rows"),
        (rows(60, "x,y", lambda i: f"{i},1"), "y", 4, "fewer than two values"),
        (rows(60, "y", lambda i: f"{i % 2}"), "y", 4, "nothing but its target"),
    ],
)
def test_a_table_that_cannot_do_is_refused_and_nothing_is_written(tidemill, table, target, code, said):
    if table is not None:
        (tidemill.folder / "t.csv").write_text(table)
    assert said in tidemill("init", "p", "--data", "t.csv", "--target", target, expect=code).err
    assert not (tidemill.folder / "p").exists()


def test_data_and_target_belong_together(tidemill):
    assert "belong together" in tidemill("init", "--data", "t.csv", expect=2).err


def test_odd_names_end_up_in_valid_files(tidemill):
    odd = 'the "late"\\one'
    pl.DataFrame({"x": range(60), odd: [i % 2 for i in range(60)]}).write_parquet(tidemill.folder / "t.parquet")
    tidemill("init", "Größe 2", "--data", "t.parquet", "--target", odd)
    folder = tidemill.folder / "Größe 2"
    written = tomllib.loads((folder / "tidemill.toml").read_text())
    assert written["project"]["name"] == "grosse-2"
    assert written["canvas"]["prediction"]["target"] == odd
    compile((folder / "pipeline.py").read_text(), "pipeline.py", "exec")


def test_the_project_made_from_a_table_trains_and_passes_its_gate(trained):
    summary = trained("show", "--json").summary
    assert summary["run"]["status"] == "succeeded"
    assert summary["metrics"]["test/roc_auc"] > 0.9


def test_the_project_made_from_a_table_can_be_reproduced_though_its_contract_is_a_file(model):
    (model.folder / "contract.toml").unlink()
    assert "is reproduced" in model("reproduce", "cells@1").out


def test_requests_are_held_to_the_contract_of_a_new_project_once_the_model_is_given_it(model):
    table = pl.read_csv(model.folder / "cells.csv").head(2).with_columns(mean_radius=pl.Series([14.0, 4000.0]))
    table.write_csv(model.folder / "odd.csv")
    done = model.json("predict", "cells@1", "odd.csv")
    assert (done["rows"], done["refused"]) == (2, 0)

    pipeline = model.folder / "pipeline.py"
    given = pipeline.read_text().replace('name="cells")', 'name="cells", contract=CONTRACT)')
    pipeline.write_text(given)
    model("run", "train", "--set", "trials=2")
    assert model.json("predict", "cells@2", "odd.csv")["refused"] == 1
    assert "the row breaks 'mean_radius > " in model("predict", "cells@2", "odd.csv").out


def test_columns_that_the_model_will_not_learn_from_are_named_with_the_reason(tidemill):
    days = pl.date_range(pl.date(2024, 1, 1), pl.date(2024, 2, 29), eager=True)
    columns = {
        "customer": [f"c{i}" for i in range(60)],
        "signed": days,
        "x": range(60),
        "y": [i % 2 for i in range(60)],
    }
    pl.DataFrame(columns).write_parquet(tidemill.folder / "t.parquet")
    said = tidemill("init", "p", "--data", "t.parquet", "--target", "y").out
    assert "left out of the features: customer (another text in every row)\n" in said
    assert "left out of the features: signed (date is no feature by itself)\n" in said
    left_out = tidemill.json("init", "q", "--data", "t.parquet", "--target", "y")["left_out"]
    assert list(left_out) == ["customer", "signed"]


def test_what_a_new_project_asks_is_known_to_be_no_answer(tidemill, cells):
    tidemill("init", "--data", str(cells), "--target", "target")
    written = tomllib.loads((tidemill.folder / "tidemill.toml").read_text(encoding="utf-8"))["canvas"]
    found = canvas_of(written)
    assert found.prose == {}
    assert set(found.unanswered) == set(written) - {"prediction"} == set(QUESTIONS)
