"""CPU seconds of a training with LightGBM beyond the same training as a script that keeps nothing.

The script makes the table, splits it, fits, scores the validation rows and measures eight metrics. Tidemill does this
as a pipeline that records and stores each step's result, profiles what the model was trained on, and packages the model
in two formats, verified against each other and timed. MLflow logs parameters, metrics and the model with its signature
and an example, from the same script. What each costs beyond the script, imports included, is divided by the fit; the
CPU seconds inside the library's own ``fit`` are taken out of both, since they differ more from run to run.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.measuring import Figure, collect, figure, here
from benchmarks.peers import MLFLOW_TRAINING

HERE = Path(__file__).parent
#: The share of a fit of a minute that tracking and packaging may cost, in percent.
TARGET = 2.0


def run(runs: int, peers: bool) -> list[Figure]:
    """Percent of the fit; one round for each two runs that were asked for, since each takes minutes."""
    rounds = max(1, runs // 2)
    bare = collect(rounds, here(), HERE / "bare.py")
    ours = collect(rounds, here(), HERE / "ours.py")
    figures = _figures("tidemill", ours, bare, TARGET)
    figures += [figure("tidemill", f"in the step {name}: CPU", ours[name], "s") for name in ("table", "split")]
    training = [train - fit for train, fit in zip(ours["train"], ours["fit"], strict=True)]
    figures.append(figure("tidemill", "in the step train, the fit left out: CPU", training, "s"))
    figures.append(figure("tidemill", "in the step package: CPU", ours["package"], "s"))
    if peers:
        MLFLOW_TRAINING.install()
        python, environment = MLFLOW_TRAINING.python, MLFLOW_TRAINING.environment
        same = collect(rounds, python, HERE / "bare.py", environment=environment)
        theirs = collect(rounds, python, HERE / "bare.py", ["mlflow"], environment)
        figures += _figures(f"mlflow {MLFLOW_TRAINING.version}", theirs, same, None)
    return figures


def _figures(
    who: str, found: dict[str, list[float]], bare: dict[str, list[float]], target: float | None
) -> list[Figure]:
    script = [whole - fit for whole, fit in zip(bare["whole"], bare["fit"], strict=True)]
    whole = [all_ - fit for all_, fit in zip(found["whole"], found["fit"], strict=True)]
    beyond = [one - other for one, other in zip(whole, script, strict=True)]
    shares = [100 * cost / fit for cost, fit in zip(beyond, found["fit"], strict=True)]
    return [
        figure(who, "inside the library's fit: CPU", found["fit"], "s"),
        figure(who, "the script, the fit left out: CPU", script, "s"),
        figure(who, "beyond the script: CPU", beyond, "s"),
        figure(who, "beyond the script, in percent of the fit", shares, "%", target),
    ]
