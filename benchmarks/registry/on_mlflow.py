"""MLflow's registry on SQLite: the same through its Python client, which copies no bytes of a model."""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from calls import MODELS, VERSIONS, report
from mlflow import MlflowClient


def main() -> None:
    folder = os.environ["BENCH_FOLDER"]
    client = MlflowClient(tracking_uri=f"sqlite:///{folder}/mlflow.db", registry_uri=f"sqlite:///{folder}/mlflow.db")
    for model in range(MODELS):
        client.create_registered_model(f"m{model}")
        for version in range(VERSIONS):
            client.create_model_version(f"m{model}", f"file://{folder}/model", tags={"team": f"t{version % 10}"})
        client.set_registered_model_alias(f"m{model}", "champion", "1")
    report(
        {
            "register a version": lambda _: client.create_model_version(
                "m0", f"file://{folder}/model", tags={"a": "b"}
            ),
            "promote": lambda number: client.set_registered_model_alias("m1", "champion", str(1 + number % 2)),
            "find a version by its alias": lambda _: client.get_model_version_by_alias("m4", "champion"),
            "list 20 versions of a model": lambda _: client.search_model_versions("name = 'm5'", max_results=20),
            "search 20 versions by a tag": lambda _: client.search_model_versions("tags.team = 't1'", max_results=20),
            "set a tag": lambda number: client.set_model_version_tag("m6", "1", "a", str(number)),
        }
    )


if __name__ == "__main__":
    main()
