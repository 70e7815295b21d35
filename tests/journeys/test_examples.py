"""The examples are what people copy: each must go the whole way, from its data to a champion that can be made again."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tidemill.core.errors import GateError

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[2] / "examples"
#: A version is not the same when it is made again.
DIVERGED = 5
#: One thread, as the machine may be shared; and a Java that starts quickly.
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "JAVA_TOOL_OPTIONS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"}


@dataclass(frozen=True)
class Example:
    """A folder of examples, the model that it makes, and what it is compared by with whom."""

    folder: str
    model: str
    metric: str
    baselines: frozenset[str]
    trials: int


PLAIN = frozenset({"constant", "linear", "tree"})
RIVER = Example("river_approval", "approval", "rmse", PLAIN, 20)
OF_SERVICES = {
    "torch": Example("pytorch_digits", "digits", "accuracy", PLAIN, 2),
    "keras": Example("keras_temperature", "temperature", "mae", PLAIN | {"last_value", "seasonal_naive"}, 2),
    "pyspark": Example("spark_ml_speed", "speed", "rmse", PLAIN, 2),
}


def marked(library: str, example: Example) -> Any:
    """The example where its library is there; `make test-services` installs it."""
    reason = f"{library} is not installed: make test-services does, where it can"
    missing = find_spec(library) is None or (library == "pyspark" and shutil.which("java") is None)
    return pytest.param(
        example, id=example.folder, marks=[pytest.mark.services, pytest.mark.skipif(missing, reason=reason)]
    )


def tidemill(folder: Path, *arguments: str, code: int = 0) -> str:
    """Run the command line as people do; what it said."""
    done = subprocess.run(
        [sys.executable, "-m", "tidemill", *arguments],
        cwd=folder,
        env={**os.environ, **ENVIRONMENT},
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    assert done.returncode == code, f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout + done.stderr


def last(said: str) -> dict[str, Any]:
    """The last line of JSON."""
    found: dict[str, Any] = json.loads([line for line in said.splitlines() if line.startswith("{")][-1])
    return found


def copied(example: Example, parent: Path) -> Path:
    return Path(
        shutil.copytree(EXAMPLES / example.folder, parent / example.folder, ignore=shutil.ignore_patterns(".*"))
    )


def changed(folder: Path, name: str, old: str, new: str) -> None:
    text = (folder / name).read_text()
    assert text.count(old) == 1
    (folder / name).write_text(text.replace(old, new))


@pytest.fixture(
    scope="module", params=[pytest.param(RIVER, id=RIVER.folder), *(marked(*item) for item in OF_SERVICES.items())]
)
def made(request, tmp_path_factory) -> tuple[Example, Path]:
    """An example after `tidemill run train`."""
    example: Example = request.param
    folder = copied(example, tmp_path_factory.mktemp("examples"))
    tidemill(folder, "run", "train", "--set", f"trials={example.trials}")
    return example, folder


def test_it_tunes_beats_each_baseline_beyond_its_interval_and_becomes_champion(made):
    example, folder = made
    (study,) = [
        json.loads(line)["study"]
        for line in tidemill(folder, "studies", "list", "--json").splitlines()
        if "name" in line
    ]
    assert (study["status"], study["trials"]) == ("finished", example.trials)

    version = last(tidemill(folder, "models", "show", f"{example.model}@champion", "--json"))["version"]
    promises = version["gate"]["promises"]
    assert version["version"] == 1
    assert version["gate"]["passed"]
    assert {promise["status"] for promise in promises} == {"passed"}
    worth = [promise for promise in promises if promise["against"] == "baselines"]
    assert [promise["moment"] for promise in worth] == ["evaluation", "test"]
    assert all(promise["metric"] == example.metric and promise["low"] > 0 for promise in worth)

    card = tidemill(folder, "models", "card", f"{example.model}@champion")
    plain = card.replace("\\", "")  # Markdown's own
    shown = re.findall(r"^\| (\w+) \| baseline \| (\w+) \| .* \| \[(.+), (.+)\] \| (\w+) \|$", plain, re.MULTILINE)
    assert {name for name, *_ in shown} == example.baselines
    for _, metric, low, high, verdict in shown:
        assert (metric, verdict) == (example.metric, "better")
        assert float(low) * float(high) > 0


def test_the_champion_is_made_again_from_its_record_and_is_equal(made):
    example, folder = made
    source = folder / "pipeline.py"
    text = source.read_text()
    source.write_text("raise SystemExit('this is not the code that made the champion')\n")
    try:
        found = last(tidemill(folder, "reproduce", f"{example.model}@champion", "--json"))
    finally:
        source.write_text(text)
    outcomes = {step["node"]: step["outcome"] for step in found["steps"]}
    assert found["status"] == "equal", found["sentence"]
    assert {outcomes[name] for name in ("split", "tune", "train", "evaluate", "examine", "package")} == {"equal"}
    assert {outcomes[name] for name in ("read", "register_model", "promote")} == {"taken"}


def test_every_example_is_on_this_road():
    described = {example.folder for example in (RIVER, *OF_SERVICES.values())}
    assert {path.parent.name for path in EXAMPLES.glob("*/tidemill.toml")} == {*described, "flight_delay"}
    for folder in described:
        assert len((EXAMPLES / folder / "pipeline.py").read_text().splitlines()) < 120


@pytest.fixture
def approval(tmp_path) -> Path:
    """The example of River, fresh: in it things are broken."""
    return copied(RIVER, tmp_path)


def test_a_broken_promise_stops_the_promotion_with_its_numbers_and_the_champion_stays(approval):
    tidemill(approval, "run", "train")
    changed(approval, "tidemill.toml", "at_most = 1.0", "at_most = 0.1")
    said = tidemill(approval, "run", "train", "--set", "trials=3", code=GateError.exit_code)
    assert re.search(
        r"version 2 of 'approval' may not become champion: "
        r"closeness \(rmse <= 0.1 at evaluation\) is broken by 0\.\d+: measured 0\.\d+ \[0\.\d+, 0\.\d+\]; "
        r"closeness \(rmse <= 0.1 at test\) is broken by 0\.\d+: measured 0\.\d+ \[0\.\d+, 0\.\d+\]",
        said,
    )
    assert last(tidemill(approval, "models", "show", "approval@champion", "--json"))["version"]["version"] == 1


def test_a_model_that_is_no_better_than_its_baselines_is_not_promoted(approval):
    changed(approval, "pipeline.py", '"rate": tm.uniform(0.01, 0.15, log=True)', '"rate": tm.uniform(0.0001, 0.0002)')
    said = tidemill(approval, "run", "train", "--set", "trials=2", code=GateError.exit_code)
    assert "worth (rmse better than baselines for certain at evaluation) is broken by" in said
    assert "behaviour (failed_behaviours <= 0 at test) is broken by" in said
    assert "champion" not in tidemill(approval, "models", "list")


def test_what_is_not_the_same_twice_is_named_where_it_begins(approval):
    changed(
        approval, "pipeline.py", 'optim.SGD(params["rate"])', 'optim.SGD(params["rate"] * (1 + os.getpid() * 1e-9))'
    )
    changed(approval, "pipeline.py", "from typing import Any\n", "import os\nfrom typing import Any\n")
    tidemill(approval, "run", "train", "--set", "trials=2")
    found = last(tidemill(approval, "reproduce", "approval@1", "--json", code=DIVERGED))
    assert re.search(r"it first diverges at tune: .*: [\d.]+ then, [\d.]+ now", found["sentence"])
    assert "nothing that it depends on changed: it does not give the same result twice" in found["sentence"]
    outcomes = {step["node"]: step["outcome"] for step in found["steps"]}
    assert (outcomes["split"], outcomes["tune"], outcomes["train"]) == ("equal", "different", "different")


def test_data_that_was_changed_in_the_store_is_refused_by_its_digest(approval):
    tidemill(approval, "run", "train", "--set", "trials=2")
    found = last(tidemill(approval, "show", "latest", "--json"))["artifacts"]["read"]
    digest = last(tidemill(approval, "artifact", found["id"], "--json"))["artifact"]["blob"]
    (blob,) = (approval / ".tidemill" / "artifacts").rglob(digest[2:])
    blob.chmod(0o644)
    data = bytearray(blob.read_bytes())
    data[len(data) // 2] ^= 1
    blob.write_bytes(data)
    said = tidemill(approval, "reproduce", "approval@1", code=DIVERGED)
    assert "it first diverges at by_day" in said
    assert digest[:12] in said
