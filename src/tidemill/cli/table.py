"""The table of commands: name → module, one line of help. The only place that lists them."""

from __future__ import annotations

from typing import NamedTuple


class Entry(NamedTuple):
    """Where a command lives (its module under `tidemill.cli.commands`; the object is ``command``) and what it does."""

    module: str
    help: str


#: Sections of ``tidemill --help``, in the order of a project's life.
SECTIONS: dict[str, dict[str, Entry]] = {
    "Start": {
        "demo": Entry("demo", "Run the whole life of a model on real flight data."),
        "init": Entry("init", "Start a project, from a template or from a table."),
        "doctor": Entry("doctor", "Check the environment, the extras, the store and the settings."),
    },
    "Data": {
        "explore": Entry("explore", "Look at a table: what it holds, and what is wrong with it."),
        "sources": Entry("sources", "List the declared sources, or show what one holds."),
        "contract": Entry("contract", "Infer, check, version, compare and edit contracts of tables."),
        "generate": Entry("generate", "Make a table from a specification, or like a real one; break it on purpose."),
        "labels": Entry("labels", "Label rows: queues, annotators, agreement, decisions, exports."),
    },
    "Pipelines and runs": {
        "run": Entry("run", "Run a pipeline; skip what has not changed and say why."),
        "plan": Entry("plan", "Say what a run would do, and why."),
        "runs": Entry("runs", "List runs."),
        "show": Entry("show", "Show one run: its steps, values and artifacts."),
        "diff": Entry("diff", "Compare two runs."),
        "cancel": Entry("cancel", "Ask a run to stop."),
    },
    "Models": {
        "models": Entry("models", "List, compare, promote, approve, describe and archive model versions."),
        "studies": Entry("studies", "List and show the studies of tuning."),
        "reproduce": Entry("reproduce", "Make a model version again, and say whether it is the same."),
        "webhooks": Entry("webhooks", "Tell webhooks what happened to models."),
        "serve": Entry("serve", "Serve models over HTTP."),
        "predict": Entry("predict", "Predict the rows of a file."),
        "predictions": Entry("predictions", "Read the prediction log; its labels; erase from it."),
        "log-labels": Entry("log_labels", "Write the truth about earlier answers into the prediction log."),
        "score": Entry("score", "Predict the rows of a source into a table, before anybody asks."),
    },
    "The record": {
        "trace": Entry("trace", "Walk from anything back to the bytes it came from."),
        "artifact": Entry("artifact", "Show one artifact, or write it to a file."),
        "store": Entry("store", "Back up or upgrade the store."),
        "gc": Entry("gc", "Delete stored bytes that nothing refers to."),
    },
}

COMMANDS: dict[str, Entry] = {name: entry for section in SECTIONS.values() for name, entry in section.items()}
