"""The sections of a model card, each drawn from what was recorded of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tidemill.core.clock import from_us
from tidemill.core.errors import shorten
from tidemill.evaluation import Contributions, Evaluation
from tidemill.measures.registry import metric
from tidemill.registry.card_data import data
from tidemill.registry.card_facts import CardFacts
from tidemill.registry.card_parts import (
    NOT_ANSWERED,
    NOT_MEASURED,
    NOT_RECORDED,
    CardSection,
    CardTable,
    known,
    spread,
    table,
)
from tidemill.registry.gates import recorded_measurements

_MOST = 15


def about(facts: CardFacts) -> CardSection:
    """Which version, whose it is, and what people say of it."""
    version = facts.version
    rows = known(
        [
            ("model", version.model),
            ("version", version.version),
            ("stage", version.stage),
            ("aliases", ", ".join(facts.aliases)),
            ("owner", facts.owner),
            ("registered by", version.registered_by),
            ("registered at", f"{from_us(version.created_at):%Y-%m-%d %H:%M} UTC"),
            *((f"tag {name}", value) for name, value in sorted(version.tags.items())),
        ]
    )
    text = (facts.description,) if facts.description else ()
    return CardSection("Version", text, table(["", "value"], rows))


def purpose(facts: CardFacts) -> CardSection:
    """What it is for and what is decided with it, in the words of the canvas."""
    canvas, signature = facts.canvas, facts.package.signature
    said_of = {**canvas.prose, **dict.fromkeys(canvas.unanswered, NOT_ANSWERED)}
    prose = {key.replace("_", " "): text for key, text in said_of.items()}
    prediction = canvas.prediction
    rows = known(
        [
            *prose.items(),
            ("predicts", prediction.target or signature.target),
            ("about", ", ".join(prediction.entity)),
            ("at", prediction.at),
            ("truth known at", prediction.label_at),
        ]
    )
    if canvas.costs is not None:
        rows += [(f"cost of a {name.replace('_', ' ')}", cost) for name, cost in canvas.costs.to_dict().items()]
    said = f"Intended use: {NOT_RECORDED}; the project has no canvas."
    if prose:
        said = "As the project's canvas says." if canvas.prose else f"Intended use: {NOT_ANSWERED} in the canvas."
    return CardSection("Purpose and intended use", (said,), table(["", "value"], rows))


def metrics(facts: CardFacts) -> CardSection:
    """Everything that was measured, by moment."""
    measured = recorded_measurements(facts.version.gate)
    rows = [
        (one.moment, one.metric, NOT_MEASURED if one.value is None else one.value, spread(one.low, one.high),
         one.rows or None)
        for one in measured
        if one.moment != "package" and one.is_plain
    ]  # fmt: skip
    headers = ["moment", "metric", "value", "95 % interval", "rows"]
    text = (
        _independence(facts) if rows else (f"{NOT_MEASURED.capitalize()}: no report was registered with this version.",)
    )
    return CardSection("Metrics", text, table(headers, rows, numeric=["value", "rows"]))


def _independence(facts: CardFacts) -> tuple[str, ...]:
    """Whether the rows of the test are untouched, which says what its numbers are worth."""
    examination = facts.examination
    behaviours = () if examination is None else examination.behaviours
    found = next((one for one in behaviours if one.kind == "independence"), None)
    told = [one.value or 0.0 for one in recorded_measurements(facts.version.gate) if one.metric == "untouched"]
    if found.passed if found is not None else told and min(told) == 1:
        return ("The test rows are untouched: the training has not read them.",)
    if found is not None and found.severity == "error":
        return (f"The test rows are {found.detail}.",)
    return (f"Whether the test rows are untouched: {found.detail if found is not None else NOT_RECORDED}.",)


def comparisons(facts: CardFacts) -> CardSection:
    """Against its baselines, and against another model where there was one."""
    report = facts.report
    if report is not None and report.comparisons:
        rows = [
            (one.other, one.kind, one.metric, one.value, one.other_value,
             spread(one.difference.low, one.difference.high), one.verdict)
            for one in report.comparisons
            if not one.by
        ]  # fmt: skip
        headers = ["against", "kind", "metric", "this model", "the other", "difference", ""]
        return CardSection("Baselines", (), table(headers, rows, numeric=["this model", "the other"]))
    baselines = facts.package.manifest.get("metadata", {}).get("baselines", [])
    found = [
        (one["name"], name, value) for one in baselines for name, value in sorted(one.get("metrics", {}).items())
    ]  # fmt: skip
    text = () if found else (f"Comparison with baselines: {NOT_RECORDED}.",)
    return CardSection(
        "Baselines", text, table(["baseline", "metric on validation rows", "value"], found, numeric=["value"])
    )


def calibration(facts: CardFacts) -> CardSection | None:
    """Whether its probabilities mean what they say."""
    if facts.package.signature.task != "binary":
        return None
    report = facts.report
    if report is None or not report.calibration:
        return CardSection("Calibration", (f"Calibration: {NOT_RECORDED}.",))
    rows = [(one.predicted, one.observed, spread(one.low, one.high), one.rows) for one in report.calibration]
    headers = ["predicted", "observed", "95 % interval", "rows"]
    return CardSection("Calibration", (), table(headers, rows, numeric=["predicted", "observed", "rows"]))


def importance(facts: CardFacts) -> CardSection:
    """What it relies on: what each column costs when it is shuffled, and what each adds, where these were measured."""
    reports = [report for report in (facts.report, facts.evaluation) if report is not None]
    texts: list[str] = []
    tables: list[CardTable] = []
    contributed = next((report.contributions for report in reports if report.contributions is not None), None)
    if contributed is not None:
        text, found = _contributions(contributed)
        texts, tables = [*texts, text], [*tables, *found]
    shuffled = next((report for report in reports if report.importance), None)
    if shuffled is not None:
        leading = next(iter(shuffled.metrics), "the metric")
        rows = [(one.column, one.drop, spread(one.low, one.high)) for one in shuffled.importance[:_MOST]]
        texts.append(f"How much {leading} gets worse when a column is shuffled.")
        tables += table(["feature", "loss", "range"], rows, caption="Shuffled", numeric=["loss"])
    return CardSection("Importance of features", tuple(texts) or (f"Importance: {NOT_MEASURED}.",), tuple(tables))


def _contributions(found: Contributions) -> tuple[str, tuple[CardTable, ...]]:
    """The mean size of what each input adds, and whether more of it adds more."""
    rows = [
        (one.column, one.size.value, spread(one.size.low, one.size.high), one.direction)
        for one in found.columns[:_MOST]
    ]
    headers = ["feature", "mean size", "95 % interval", "rank correlation with the value"]
    text = f"How much each column adds to the {found.scale}, by {found.method}, on {found.rows:,} rows."
    numeric = ["mean size", "rank correlation with the value"]
    return text, table(headers, rows, caption="Contributions", numeric=numeric)


def slices(facts: CardFacts) -> CardSection:
    """How it does on parts of the rows."""
    report = facts.by_parts
    if report is None:
        return CardSection("Slices", (f"Parts of the rows: {NOT_MEASURED}.",))
    leading = next(iter(report.metrics))
    rows = [
        (one.by, one.value, one.rows, one.base_rate, found.value, spread(found.low, found.high))
        for one in report.slices
        if (found := one.metrics.get(leading)) is not None
    ]
    headers = ["by", "value", "rows", "base rate", leading, "95 % interval"]
    text = (f"Measured at {report.moment}.",)
    return CardSection("Slices", text, table(headers, rows, numeric=["rows", "base rate", leading]))


def limitations(facts: CardFacts) -> CardSection:
    """What did not go well, and what nobody looked at."""
    found = list(_limitations(facts))
    rows = [(kind, what) for kind, what in found]
    text = () if rows else ("No check failed. That is no proof that there are no limitations.",)
    return CardSection("Limitations", text, table(["what", "how"], rows))


def _limitations(facts: CardFacts) -> Iterator[tuple[str, str]]:
    examination = facts.examination
    if examination is None:
        yield "behaviour", f"checks of its behaviour: {NOT_RECORDED}"
    for one in () if examination is None else examination.behaviours:
        if not one.passed:
            yield "behaviour", f"{one.name}: {one.expected}; {one.detail or 'it does not'}"
    for promise in facts.version.gate.get("promises", ()):
        if promise["status"] != "passed":
            yield "requirement", f"{promise['name']} ({promise['bound']} at {promise['moment']}): {promise['status']}"
    if facts.by_parts is not None:
        yield from _worse_parts(facts.by_parts)
    if facts.report is not None and facts.report.unlabelled:
        yield "rows", f"{facts.report.unlabelled:,} rows without a label were left out"
    yield from _of_package(facts)


def _of_package(facts: CardFacts) -> Iterator[tuple[str, str]]:
    manifest = facts.package.manifest
    parity, agreement = manifest.get("parity", {}), manifest.get("metadata", {}).get("agreement", {})
    if not parity.get("verified"):
        yield "package", f"ONNX was not verified: {parity.get('reason', NOT_RECORDED)}"
    if agreement.get("differing"):
        rows = f"{agreement['differing']:,} of {agreement['rows']:,} rows of the example"
        yield "float32", f"{rows} are answered otherwise than where it was trained, by up to {agreement['largest']:.4g}"
    for rule in facts.package.contract.get("not_enforced", ()):
        yield "contract", f"not checked on a request: {shorten(rule, 120)}"


def _worse_parts(report: Evaluation) -> Iterator[tuple[str, str]]:
    """Parts of the rows that are certainly worse than the whole; which way is worse, the metric knows."""
    leading, whole = next(iter(report.metrics.items()))
    rising = metric(leading, report.task).greater_is_better
    for part in report.slices:
        found = part.metrics.get(leading)
        if found is None or None in (found.low, found.high, whole.low, whole.high):
            continue
        worse = found.high < whole.low if rising else found.low > whole.high  # type: ignore[operator]
        if worse:
            name = f"{part.by} {part.value} ({part.rows:,} rows)"
            yield "slice", f"{name}: {leading} {found.value:.4g}, worse than {whole.value:.4g} of all rows"


def training(facts: CardFacts) -> CardSection:
    """How it was fitted, so that somebody can do it again."""
    manifest, origins = facts.package.manifest, facts.origins
    metadata: Mapping[str, Any] = manifest.get("metadata", {})
    seconds = metadata.get("timing", {}).get("seconds")
    run = origins.run
    rows = known(
        [
            ("framework", facts.package.framework),
            ("run", "" if run is None else run.id),
            ("pipeline", "" if run is None else f"{run.project}, {run.pipeline}"),
            ("commit", origins.commit or NOT_RECORDED),
            ("seed", metadata.get("seed")),
            ("threads", metadata.get("threads")),
            ("rounds kept by early stopping", metadata.get("best_iteration")),
            ("seconds", seconds),
            ("trained elsewhere", metadata.get("origin")),
        ]
    )
    params = [(name, shorten(value, 80) if isinstance(value, dict | list) else value)
              for name, value in sorted(manifest.get("params", {}).items())]  # fmt: skip
    versions = sorted({**manifest.get("versions", {}), **metadata.get("versions", {})}.items())
    return CardSection(
        "Training",
        (),
        (
            *table(["", "value"], rows),
            *table(["parameter", "value"], params, caption="Hyperparameters"),
            *table(["library", "version"], versions, caption="Environment"),
        ),
    )


def packaging(facts: CardFacts) -> CardSection:
    """In which formats it is, whether they agree, how quick they are."""
    manifest = facts.package.manifest
    files = [(name, entry["bytes"], entry["sha256"][:12]) for name, entry in manifest["files"].items()]
    parity = manifest.get("parity", {})
    verified = "yes" if parity.get("verified") else f"no: {parity.get('reason', NOT_RECORDED)}"
    rows = known(
        [
            ("digest", facts.package.digest),
            ("ONNX verified against the native model", verified),
            ("largest difference", parity.get("max_abs_difference")),
            *((f"engine for {use}", engine) for use, engine in manifest.get("engines", {}).items()),
            *facts.package.metrics.items(),
        ]
    )
    text = () if facts.package.metrics else (f"Latency and throughput: {NOT_MEASURED}.",)
    return CardSection(
        "Package",
        text,
        (
            *table(["", "value"], rows),
            *table(["file", "bytes", "sha256"], files, caption="Files", numeric=["bytes"]),
        ),
    )


def gate(facts: CardFacts) -> CardSection:
    """The project's promises, and how they came out when the version was registered."""
    promises = facts.version.gate.get("promises", ())
    rows = [
        (one["name"], one["bound"], one["moment"], NOT_MEASURED if one["value"] is None else one["value"],
         spread(one["low"], one["high"]), one["margin"], one["status"])
        for one in promises
    ]  # fmt: skip
    headers = ["requirement", "bound", "at", "measured", "interval", "margin", ""]
    text = () if rows else ("The project has no requirement that is checked before promotion.",)
    return CardSection("Gate", text, table(headers, rows, numeric=["measured", "margin"]))


def history(facts: CardFacts) -> CardSection:
    """Who agreed, and what happened."""
    given = [
        (one.actor, one.alias or "any alias", f"{from_us(one.at):%Y-%m-%d %H:%M}", one.note,
         "" if stands else "void: other numbers since")
        for one, stands in facts.approvals
    ]  # fmt: skip
    events = [
        (f"{from_us(one.at):%Y-%m-%d %H:%M}", one.actor, one.action.removeprefix("model."),
         one.subject.removeprefix("model:"), str(one.details.get("forced") or one.details.get("reason") or ""))
        for one in facts.events
    ]  # fmt: skip
    return CardSection(
        "History",
        () if given else ("Nobody's approval is recorded.",),
        (
            *table(["approved by", "as", "at (UTC)", "note", ""], given, caption="Approvals"),
            *table(["at (UTC)", "who", "what", "which", "why"], events, caption="Newest first"),
        ),
    )


#: In the order of the card.
SECTIONS: tuple[Callable[[CardFacts], CardSection | None], ...] = (
    about, purpose, data, metrics, comparisons, calibration, slices, importance, limitations, training, packaging,
    gate, history,
)  # fmt: skip
