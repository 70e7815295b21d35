"""An annotator at a terminal must be able to label, err, take it back and come back tomorrow, and lose nothing."""

from __future__ import annotations

import json
import subprocess

import polars as pl
import pytest


@pytest.fixture
def tickets(tidemill):
    (tidemill.folder / "tidemill.toml").write_text(
        '[project]\nname = "desk"\n\n[sources.tickets]\nuri = "tickets.csv"\n'
    )
    pl.DataFrame({"ticket": ["T1", "T2", "T3"], "subject": ["fire", "parcel", "refund"]}).write_csv(
        tidemill.folder / "tickets.csv"
    )
    (tidemill.folder / "guide.txt").write_text("Urgent means today.\n")
    return tidemill


@pytest.fixture
def queue(tickets):
    tickets("labels", "create", "desk", "--from", "tickets", "--key", "ticket", "--classes", "urgent,later",
            "--overlap", "2", "--guidelines", "guide.txt")  # fmt: skip
    return tickets


def typed(tidemill, text, *arguments):
    done = subprocess.run(
        tidemill.command("labels", *arguments), cwd=tidemill.folder, env=tidemill.environment(), input=text,
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_queue_is_made_once_and_shown(queue):
    again = queue.json("labels", "add", "desk", "tickets.csv", "--key", "ticket")
    assert (again["added"]["tasks"], again["added"]["known"]) == (0, 3)
    line, summary = queue("labels", "list", "--json").lines
    assert (line["queue"], line["progress"]["waiting"], summary["queues"]) == ("desk", 3, 1)
    out = queue("labels", "show", "desk").out
    assert "urgent, later" in out
    assert "Urgent means today." in out
    assert "another schema" in queue("labels", "create", "desk", "--classes", "a,b", expect=7).err
    assert "Queues: desk." in queue("labels", "show", "dusk", expect=3).err


def test_a_project_without_a_queue_says_how_to_make_one(tickets):
    assert "tidemill labels create" in tickets("labels", "next", "desk", "--as", "ann", expect=3).err
    mistaken = ["labels", "create", "x", "--from", "nowhere.csv", "--classes", "a,b"]
    assert "no file, folder or source" in tickets(*mistaken, expect=3).err


def test_a_mistake_in_making_a_queue_leaves_none_behind(tickets):
    made = ["labels", "create", "desk", "--from", "tickets"]
    assert "--number" in tickets(*made, "--key", "ticket", expect=2).err
    assert "needs columns" in tickets(*made, "--key", "tikcet", "--classes", "a,b", expect=4).err
    assert tickets.json(*made, "--key", "ticket", "--number")["tasks"] == 3


def test_labelling_in_the_terminal_goes_on_where_it_stopped(queue):
    out = typed(queue, "u\n1\nwhat\nl\nu\n?\ns\nq\n", "annotate", "desk", "--as", "ann")
    assert "there is nothing to take back" in out
    assert "not a class of this queue: 'what'" in out
    assert "task 2: later is taken back" in out
    assert out.count("Urgent means today.") == 2
    assert "1 labelled; 3 of 3 tasks need more labels" in out
    out = typed(queue, "urgent\n", "annotate", "desk", "--as", "ann")
    assert "T3" in out
    assert "T1" not in out
    done = json.loads(typed(queue, "1\nl\nl\n", "annotate", "desk", "--as", "bob", "--json").splitlines()[-1])
    assert (done["labelled"], done["progress"]["labelled"], done["progress"]["disputed"]) == (3, 2, 1)
    assert [one["leased"] for one in done["progress"]["annotators"]] == [0, 0]


def test_submitting_is_checked(queue):
    assert queue("labels", "next", "desk", "--as", "ann", "--json").lines[0]["task"]["data"]["subject"] == "fire"
    assert "Did you mean 'urgent'?" in queue("labels", "submit", "desk", "1", "urgnt", "--as", "ann", expect=2).err
    assert "Tasks are 1 to 3." in queue("labels", "submit", "desk", "9", "later", "--as", "ann", expect=3).err
    queue("labels", "submit", "desk", "1", "--as", "ann", expect=2)
    queue("labels", "submit", "desk", "1", "later", "--skip", "--as", "ann", expect=2)
    assert queue.json("labels", "submit", "desk", "1", "urgent", "--as", "ann")["event"]["value"] == "urgent"
    queue("labels", "submit", "desk", "1", "later", "--as", "bob", "--comment", "tomorrow is fine")
    late = queue("labels", "submit", "desk", "1", "later", "--as", "eve", expect=7).err
    assert "ann (labelled), bob (labelled) came first" in late
    assert "bob: later" in queue("labels", "tasks", "desk", "--disputed").out
    assert queue.json("labels", "adjudicate", "desk")["left"] == [1]
    assert "later, by carol" in queue("labels", "decide", "desk", "1", "later", "--as", "carol").out
    assert "tomorrow is fine" in queue("labels", "history", "desk", "1").out
    assert "takes back" not in queue("labels", "undo", "desk", "--as", "bob").out
    assert "open again" in queue("labels", "decide", "desk", "1", "--reopen").out
    queue("labels", "submit", "desk", "2", "--flag", "--as", "ann")
    assert queue.json("labels", "show", "desk")["progress"]["flagged"] == 1
    assert queue.json("labels", "change", "desk", "--overlap", "1", "--lease", "1h")["queue"]["lease_seconds"] == 3600


def test_labels_leave_as_tables_and_go_to_another_tool_and_back(queue):
    for number in ("1", "2"):
        for who in ("ann", "bob"):
            queue("labels", "submit", "desk", number, "urgent", "--as", who)
    queue("labels", "export", "desk", "out.csv")
    assert pl.read_csv(queue.folder / "out.csv")["label"].to_list() == ["urgent", "urgent"]
    done = queue.json("labels", "export", "desk", "out.parquet", "--into", "urgency")
    assert pl.read_parquet(queue.folder / "out.parquet").columns[:3] == ["ticket", "subject", "urgency"]
    assert "tables[0]" in queue("trace", done["artifact"]["id"]).out
    queue("labels", "export", "desk", "out.json")
    queue("labels", "submit", "desk", "3", "later", "--as", "ann")
    queue("labels", "export", "desk", "all.json")
    found = queue.json("labels", "import", "copy", "all.json", "--overlap", "2")["imported"]
    assert (found["tasks"], found["labels"]) == (3, 5)
    assert queue.json("labels", "import", "copy", "all.json")["imported"]["labels"] == 0
    queue("labels", "export", "desk", "ui.xml", "--config")
    assert '<Choice value="later"/>' in (queue.folder / "ui.xml").read_text()
    assert "Use .csv, .parquet or .json." in queue("labels", "export", "desk", "out.xlsx", expect=2).err


def test_probable_errors_are_listed(tickets):
    chances = [0.1, 0.1, 0.2, 0.1, 0.9, 0.9, 0.8, 0.9, 0.9, 0.95]
    scored = pl.DataFrame({"late": ["no"] * 5 + ["yes"] * 5, "p": chances}).with_columns(q=1 - pl.col("p"))
    scored.write_csv(tickets.folder / "scored.csv")
    arguments = ("labels", "errors", "scored.csv", "--label", "late", "--probabilities")
    suspect, summary = tickets(*arguments, "no=q,yes=p", "--json").lines
    assert (suspect["suspect"]["row"], summary["suspects"]) == (4, 1)
    assert "1 suspects; 10.0% of 10 labels" in tickets(*arguments, "no=q,yes=p").out
    assert "CLASS=COLUMN" in tickets(*arguments, "p,q", expect=2).err
    tickets(*arguments, "no=q,yes=nowhere", expect=4)


def test_a_queue_is_deleted_on_purpose_only(queue):
    """Labels are days of work: neither a script nor an annotator's colleague may lose them by a slip."""
    queue("labels", "next", "desk", "--as", "ann")
    assert "labels delete desk --yes" in queue("labels", "delete", "desk", expect=2).err
    refused = queue("labels", "delete", "desk", "--yes", expect=7).err
    assert "annotators are at work on the queue 'desk': {'ann': 1}" in refused
    assert queue.json("labels", "delete", "desk", "--yes", "--force")["tasks"] == 3
    assert "there is no labelling queue of this name" in queue("labels", "show", "desk", expect=3).err
    assert "there is no labelling queue of this name" in queue("labels", "delete", "desk", "--yes", expect=3).err


def test_a_class_may_have_a_comma(tickets):
    tickets("labels", "create", "mood", "--from", "tickets", "--classes", 'good,"bad, rather"', "--multiple")
    tickets("labels", "submit", "mood", "1", 'good, "bad, rather"', "--as", "ann")
    assert "good, bad, rather" in tickets("labels", "tasks", "mood").out
