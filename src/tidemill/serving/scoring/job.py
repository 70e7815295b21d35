"""Score a source into a table of predictions: in chunks, each written once, wherever the last attempt ended."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from tidemill.core import clock
from tidemill.core.digests import digest_value
from tidemill.core.errors import ConflictError, UsageError
from tidemill.core.records import ModelVersion
from tidemill.data.sources.shown import shown
from tidemill.data.sources.source import Source
from tidemill.packaging.package import Package
from tidemill.project import Project, current_project, open_project_store, reveal
from tidemill.registry.names import parse_reference
from tidemill.registry.versions import load_package, resolve
from tidemill.serving.predictor import Predictor
from tidemill.serving.scoring.answers import answer_columns
from tidemill.serving.scoring.rows import Chunk, Rows, chunks, entity_type, open_rows
from tidemill.serving.scoring.scorer import Scorer
from tidemill.serving.scoring.tables import (
    Done,
    Layout,
    Place,
    Table,
    check_errors_file,
    check_target,
    open_table,
    place_of,
)
from tidemill.serving.scoring.workers import Model, scored_by, scored_here
from tidemill.store import Store

CHUNK_ROWS = 100_000
_Scored = Iterator[tuple[Chunk, pl.DataFrame]]
#: What a dry run looks at.
_TRIED = 1000


@dataclass(frozen=True, slots=True)
class Scoring:
    """What became of a source's rows; the counts are of all rows, those of an attempt that was cut off included.

    Parameters
    ----------
    model, version, source, target
        Who scored what, and where the predictions are.
    rows
        Rows of the source: the sum of the counts that follow.
    scored, refused
        Rows with a prediction, and rows with an error in its place.
    unchanged
        Rows that were left as they are, since the table has them from the same inputs and the same version.
    repeated
        Rows whose key came again later in the source: the last one counts. (Within a chunk; of rows further apart the
        table keeps the last, and all are counted as scored.)
    without_key
        Rows without an entity or time; they are in `errors` only.
    new, changed, of_other_version
        Why rows were scored, where only those that had to be were.
    chunks, resumed
        Chunks, and those of them that an earlier attempt had finished.
    errors
        The file of rows that have no prediction, if there is one.
    seconds
        What it took.
    dry_run
        Whether nothing was written: then `scored` and `refused` are of the first rows, and `rows` of all.
    """

    model: str
    version: int
    source: str
    target: str
    rows: int
    scored: int = 0
    refused: int = 0
    unchanged: int = 0
    repeated: int = 0
    without_key: int = 0
    new: int = 0
    changed: int = 0
    of_other_version: int = 0
    chunks: int = 0
    resumed: int = 0
    errors: str | None = None
    seconds: float = 0.0
    dry_run: bool = False


@dataclass(slots=True)
class _Job:
    """One scoring under way."""

    id: str
    version: ModelVersion
    rows: Rows
    layout: Layout
    folder: Path
    incremental: bool
    keep_errors: bool
    counts: dict[str, Any] = field(default_factory=dict)
    resumed: int = 0


def score(
    reference: str,
    source: str | Source,
    to: str,
    *,
    entity: str,
    at: str | None = None,
    incremental: bool = False,
    errors: str | Path | None = None,
    chunk_rows: int = CHUNK_ROWS,
    workers: int = 1,
    dry_run: bool = False,
    store: Store | None = None,
    allow: Sequence[str] = (),
    progress: Callable[[int, int], object] | None = None,
) -> Scoring:
    """Predict every row of a source into a table, one row for each entity and time.

    Run the same again after a crash and it goes on where it ended; run it on other rows and they are added, or take the
    place of those with the same key. A row that cannot be scored stands in the table with its error.

    Parameters
    ----------
    reference
        ``flight-delay@champion``, or a number in the place of the alias.
    source
        A ``[sources.NAME]`` of the project, a file, a URI; of a database with ``#table``.
    to
        ``sqlite:///scores.db#table``, ``postgresql://…#table``, ``duckdb:///scores.duckdb#table``,
        ``redis://…#prefix``, a folder, or a file that ends with ``.parquet``. The table is ``predictions`` by default.
    entity
        The column that says whom a row is about.
    at
        The column that says as of when; by default the source's event time. Without one there is a row for each entity.
    incremental
        Leave rows alone that the table has from the same inputs and the same version.
    errors
        A file (NDJSON) for the rows that have no prediction, besides their rows in the table.
    chunk_rows
        Rows that are in memory, and written, at a time.
    workers
        Processes that score; with more than one, call it under ``if __name__ == "__main__":``.
    dry_run
        Check everything, score the first rows, and write nothing.
    store
        Where the model is registered; the project's by default.
    allow
        Classes of your own that the model may be of.
    progress
        Called with the rows that are done and all rows, after each chunk.

    Raises
    ------
    SchemaError
        If the source lacks the entity, the time or an input of the model.
    ConfigError
        If the table has another key, or is another model's or of entities from another column; or if `to` or `errors`
        ends as another kind of file than can be written.
    ConflictError
        If another process is writing to the same table.
    """
    started, project = clock.elapsed(), current_project()
    if chunk_rows < 1 or workers < 1:
        raise UsageError("give at least one", value={"chunk_rows": chunk_rows, "workers": workers})
    place = _target(to, errors, project)
    where = store or open_project_store(project)
    version = resolve(where, parse_reference(reference))
    package = load_package(where, version)
    folder = project.hidden / "scoring" / digest_value([place.identity, place.table])[:24]
    with _alone(folder, place):
        rows = open_rows(project, source, package.signature, entity, at, folder / "source")
        told = _about(version, rows, place)
        try:
            if dry_run:
                return _tried(package, rows, allow, told, -(-rows.height // chunk_rows))
            what = [package.digest, version.version, rows.fingerprint, entity, rows.at, chunk_rows, incremental]
            job = _Job(
                digest_value(what)[:32], version, rows, _layout(rows, package, version.model), folder,
                incremental, errors is not None,
            )  # fmt: skip
            _forget_others(job)
            with closing(open_table(place, job.layout)) as table:
                many = -(-rows.height // chunk_rows)
                made = _scoring(project, package, job, min(workers, many), allow)
                _run(job, table, chunks(rows, chunk_rows), made, progress or _quiet)
                file = _errors_file(job, errors, project)
                table.finish(job.id)
            shutil.rmtree(folder / job.id, ignore_errors=True)
        finally:
            shutil.rmtree(folder / "source", ignore_errors=True)
    return Scoring(
        **told, **job.counts, rows=rows.height, chunks=many, resumed=job.resumed,
        errors=file, seconds=clock.elapsed() - started,
    )  # fmt: skip


def _target(to: str, errors: str | Path | None, project: Project) -> Place:
    """Where the table is to be, unless it or the file of errors is called like what it is not."""
    place = place_of(to, project.root, revealed=reveal(to, root=project.root))
    check_target(place)
    if errors is not None:
        check_errors_file(errors)
    return place


def _run(
    job: _Job,
    table: Table,
    given: Iterable[Chunk],
    scored: Callable[[Iterable[Chunk]], _Scored],
    progress: Callable[[int, int], object],
) -> None:
    done = dict(table.begin(job.id))
    job.counts = dict.fromkeys(("scored", "refused", "unchanged", "repeated", "without_key"), 0)
    job.counts |= dict.fromkeys(("new", "changed", "of_other_version"), 0)
    counted: dict[int, dict[str, int]] = {}
    read = 0

    def to_do() -> Iterator[Chunk]:
        nonlocal read
        for chunk in given:
            before = done.get(chunk.place)
            if before is not None and before.digest == chunk.digest:
                _count(job, before.counts)
                job.resumed += 1
                read += chunk.read
                continue
            counts = {"repeated": chunk.repeated, "without_key": chunk.lacking.height}
            left = chunk
            if job.incremental:
                left, why = _only_new(chunk, table, job.version.version)
                counts |= why
            counted[chunk.place] = counts
            yield left

    for chunk, answers in scored(to_do()):
        counts = counted.pop(chunk.place)
        counts["refused"] = _refused(answers)
        counts["scored"] = answers.height - counts["refused"]
        _keep_errors(job, chunk, answers)
        table.write(job.id, chunk.place, _predictions(job, chunk, answers), Done(chunk.digest, counts))
        _count(job, counts)
        read += chunk.read
        progress(read, job.rows.height)


def _about(version: ModelVersion, rows: Rows, place: Place) -> dict[str, Any]:
    """What a scoring is of."""
    target = shown(place.shown)
    return {"model": version.model, "version": version.version, "source": rows.name, "target": target}


def _forget_others(job: _Job) -> None:
    """Remove what a job left here that was cut off and that nobody will go on with."""
    for other in job.folder.iterdir():
        if other.is_dir() and other.name not in ("source", job.id):
            shutil.rmtree(other)


def _scoring(
    project: Project, package: Package, job: _Job, workers: int, allow: Sequence[str]
) -> Callable[[Iterable[Chunk]], _Scored]:
    """Who scores chunks: this process, or several."""
    texts = job.rows.texts
    if workers <= 1:
        scorer = Scorer(Predictor(package, allow=allow))
        return lambda given: scored_here(scorer, given, texts)
    folder = job.folder / "model"
    shutil.rmtree(folder, ignore_errors=True)
    model = Model(str(package.write(folder)), tuple(allow), str(project.root), project.profile)
    return lambda given: scored_by(workers, model, given, texts)


def _layout(rows: Rows, package: Package, model: str) -> Layout:
    moment = pl.Datetime("us")
    kinds: dict[str, pl.DataType] = {"entity": entity_type(rows.frame.collect_schema()[rows.entity])}
    kinds |= {"as_of": moment} if "as_of" in rows.keys else {}
    kinds |= {"model": pl.String(), "version": pl.Int64(), "scored_at": moment}
    return Layout(rows.keys, kinds | answer_columns(package.signature) | {"row_digest": pl.Int64()}, model, rows.entity)


def _predictions(job: _Job, chunk: Chunk, answers: pl.DataFrame) -> pl.DataFrame:
    """A chunk as the table has it."""
    about = [
        pl.lit(job.version.model).alias("model"),
        pl.lit(job.version.version, dtype=pl.Int64).alias("version"),
        pl.lit(clock.now_us(), dtype=pl.Int64).cast(pl.Datetime("us")).alias("scored_at"),
    ]
    whole = pl.concat([chunk.keys, answers], how="horizontal").with_columns(*about, chunk.digests)
    return whole.select(list(job.layout.columns))


def _only_new(chunk: Chunk, table: Table, version: int) -> tuple[Chunk, dict[str, int]]:
    """The rows that the table does not have from these inputs and this version, and why they are scored."""
    names = chunk.keys.columns
    known = table.known(chunk.keys).rename({"version": "known_version", "row_digest": "known_digest"})
    found = chunk.keys.with_columns(chunk.digests).join(known, on=names, how="left", maintain_order="left")
    is_new = found["known_digest"].is_null()
    other = (found["known_version"] != version).fill_null(value=False)
    changed = (found["known_digest"] != found["row_digest"]).fill_null(value=False) & ~other
    wanted = is_new | other | changed
    why = {"new": is_new, "changed": changed, "of_other_version": other, "unchanged": ~wanted}
    return chunk.only(wanted), {name: int(mask.sum()) for name, mask in why.items()}


def _tried(package: Package, rows: Rows, allow: Sequence[str], told: Mapping[str, Any], many: int) -> Scoring:
    """What a scoring of the first rows would give."""
    first = replace(rows, frame=rows.frame.head(_TRIED))
    chunk = next(chunks(first, _TRIED), None)
    if chunk is None:
        return Scoring(**told, rows=0, dry_run=True)
    answers = Scorer(Predictor(package, allow=allow)).score(chunk.inputs, rows.texts)
    refused = _refused(answers)
    return Scoring(
        **told, rows=rows.height, scored=answers.height - refused, refused=refused, repeated=chunk.repeated,
        without_key=chunk.lacking.height, chunks=many, dry_run=True,
    )  # fmt: skip


def _refused(answers: pl.DataFrame) -> int:
    return answers.height - answers["error"].null_count()


def _count(job: _Job, counts: Mapping[str, int]) -> None:
    for name, count in counts.items():
        job.counts[name] += count


def _keep_errors(job: _Job, chunk: Chunk, answers: pl.DataFrame) -> None:
    """Write what has no prediction to a file of the chunk; before the chunk counts as done."""
    told = chunk.lacking
    if job.keep_errors:
        refused = chunk.keys.cast(pl.String).with_columns(chunk.numbers, answers["error"])
        told = pl.concat([told, refused.filter(answers["error"].is_not_null())], how="diagonal").sort("row")
    if told.height:
        folder = job.folder / job.id
        folder.mkdir(parents=True, exist_ok=True)
        told.select(["row", *job.rows.keys, "error"]).write_ndjson(folder / f"{chunk.place:06d}.tmp")
        (folder / f"{chunk.place:06d}.tmp").replace(folder / f"{chunk.place:06d}.ndjson")


def _errors_file(job: _Job, errors: str | Path | None, project: Project) -> str | None:
    """The chunks' files as one, if there are any or it was asked for."""
    parts = sorted((job.folder / job.id).glob("*.ndjson"))
    if errors is None and not parts:
        return None
    target = job.folder / "errors.ndjson" if errors is None else project.root / errors
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.tmp")
    with temporary.open("wb") as file:
        for part in parts:
            file.write(part.read_bytes())
    temporary.replace(target)
    return str(target)


@contextmanager
def _alone(folder: Path, place: Place) -> Iterator[None]:
    """Let nobody else write to the same table meanwhile, as far as processes of this project go."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            hint = "Wait for it, or end it: what it has written stays."
            raise ConflictError(
                "another process is scoring into this table", value=shown(place.shown), hint=hint
            ) from error
        yield


def _quiet(done: int, rows: int) -> None:
    """Nobody is told."""
    del done, rows
