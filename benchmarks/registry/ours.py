"""Tidemill's registry: each call is what a user calls, with packages of 10 kB, which are packed and stored."""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from calls import MODELS, VERSIONS, report

from tidemill.evaluation.promises import Measurement
from tidemill.packaging.package import Package, file_table
from tidemill.registry import list_versions, promote_version, register_version, resolve, roll_back
from tidemill.registry.editing import edit_version
from tidemill.registry.history import model_history
from tidemill.registry.rules import rules_of
from tidemill.store import Store, open_store

HOOKED = rules_of({"webhooks": {"ops": {"url": "http://127.0.0.1:9/"}}})
FILES = {"model.bin": os.urandom(10_000)}
REPORTS = [Measurement("test", f"metric{place}", 0.5, 0.4, 0.6) for place in range(10)]


def package(number: int) -> Package:
    manifest = {
        "format": 1, "name": "m", "framework": "sklearn", "encoding": [], "cleaning": [], "profile": {}, "metrics": {},
        "metadata": {}, "params": {"number": number}, "files": file_table(FILES),
        "signature": {"inputs": {"columns": []}, "task": "regression", "target": "y", "classes": [], "threshold": 0.5},
    }  # fmt: skip
    return Package(manifest, FILES)


def main() -> None:
    folder = os.environ["BENCH_FOLDER"]
    store = open_store(f"sqlite:///{folder}/store.db", f"{folder}/artifacts")
    fill(store)
    fresh = iter(range(100_000, 200_000))
    report(
        {
            "register a version": lambda _: register_version(
                store, package(next(fresh)), REPORTS, name="m0", tags={"a": "b"}
            ),
            "promote": lambda number: promote_version(store, f"m1@{1 + number % 2}"),
            "promote and tell a webhook": lambda number: promote_version(store, f"m2@{1 + number % 2}", rules=HOOKED),
            "promote and roll back": lambda _: promote_version(store, "m3@2") and roll_back(store, "m3"),
            "find a version by its alias": lambda _: resolve(store, "m4@champion"),
            "list 20 versions of a model": lambda _: list_versions(store, "m5", limit=20),
            "search 20 versions by a tag": lambda _: list_versions(store, tags={"team": "t1"}, limit=20),
            "set a tag": lambda number: edit_version(store, "m6@1", tags={"a": str(number)}),
            "the history of a model": lambda _: model_history(store, "m1", limit=50),
        }
    )


def fill(store: Store) -> None:
    for model in range(MODELS):
        for version in range(VERSIONS):
            made = package(model * 1000 + version)
            register_version(store, made, REPORTS, name=f"m{model}", tags={"team": f"t{version % 10}"})
        promote_version(store, f"m{model}@1")


if __name__ == "__main__":
    main()
