"""Whether a model is what its data makes it, or what its seed does: the same training with other seeds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tidemill.core.errors import UsageError
from tidemill.core.model import Model
from tidemill.evaluation.behaviours import Behaviour
from tidemill.evaluation.scoring import Scored, leading_metrics
from tidemill.measures.registry import estimate, metric
from tidemill.training.prediction import predict

#: Trains the model again with a seed.
Retrain = Callable[[int], Model]


def stability_of(scored: Scored, retrain: Retrain, seeds: int, resamples: int) -> Behaviour:
    """Train again with seeds 1, 2, …; the leading metric should move less than its own interval is wide."""
    if not callable(retrain):
        raise UsageError(
            "stability should be a function of a seed",
            value=retrain,
            hint="Write stability=lambda seed: tm.train(build, params, data, seed=seed).",
        )
    if seeds < 2:
        raise UsageError("stability needs at least two seeds", value=seeds, hint="Use seeds=3 or more.")
    signature = scored.model.signature
    leading = metric(leading_metrics(scored)[0], signature.task)
    values, moved = [], []
    for seed in range(1, seeds + 1):
        model = retrain(seed)
        if not isinstance(model, Model):
            raise UsageError(
                "stability should return a trained model",
                value=type(model).__name__,
                hint="Return what tm.train returned.",
            )
        scores = predict(model, scored.frame)
        values.append(leading.prepare(scored.truth, scores, model.signature.threshold)(None))
        moved.append(float(np.abs(scores - scored.scores).mean()))
    own = estimate(
        scored.truth,
        scored.scores,
        (leading.name,),
        signature.task,
        threshold=signature.threshold,
        resamples=max(resamples, 50),
    )[leading.name]
    spread = float(max(values) - min(values))
    bound = None if own.low is None or own.high is None else own.high - own.low
    detail = (
        f"{leading.name} from {min(values):.4g} to {max(values):.4g}; answers move by {np.mean(moved):.3g} on average"
    )
    return Behaviour(
        name="seeds",
        kind="stability",
        passed=bound is not None and spread <= bound,
        expected=f"{leading.name} moves less over {seeds} seeds than its interval is wide",
        measured=spread if spread == spread else None,
        bound=bound,
        detail=detail if bound is not None else f"{leading.name} {own.reason}",
        rows=len(scored.truth),
    )
