"""Take everything about one entity out of the prediction log, and keep a proof of it that does not name the entity."""

from __future__ import annotations

import hashlib
import hmac
import io
import secrets
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl

from tidemill.core import clock
from tidemill.core.errors import ConflictError, UsageError
from tidemill.core.ids import new_id
from tidemill.serving.log.archive import archives_of
from tidemill.serving.log.decoding import decode, decode_labels
from tidemill.serving.log.files import check_readable, contents, listed
from tidemill.serving.log.layout import Days, both
from tidemill.serving.log.locks import locked
from tidemill.serving.log.matching import Subject, requests_of
from tidemill.serving.log.places import Folder, Place, table_of
from tidemill.serving.log.privacy import ENTITY, OPEN, Privacy
from tidemill.serving.log.proofs import ErasedFile, Erasure, Proof, erasures
from tidemill.serving.log.reading import check_logged
from tidemill.serving.log.requests import asking_to_finish
from tidemill.serving.log.sealing import ARCHIVING, seal

_PAUSE = 0.1
Mask = Callable[[pl.DataFrame], pl.Series]


def erase_entity(
    root: str | Path,
    model: str,
    entity: str,
    *,
    by: str,
    privacy: Privacy = OPEN,
    really: bool = False,
    patience: float = 60.0,
    column: str = ENTITY,
) -> Erasure:
    """Erase the predictions about an entity and their labels; safe to repeat, and to interrupt at any point.

    Labels go first: they are found by the predictions, which are still there if this is interrupted between.

    Parameters
    ----------
    root, model
        The log's folder, and whose predictions.
    entity
        The key as it was sent; rows that have its hash are found too.
    by
        Who asks for it.
    privacy
        Of the endpoint; its key finds hashed entities.
    really
        Whether to do it, or only to say what would be erased.
    patience
        Seconds to wait for servers to finish the segments that they write.
    column
        What `entity` is a value of: ``entity``, ``client``, or an input of the model that is logged, hashed or not.

    Returns
    -------
    Erasure
        What was erased of which files, or would be.

    Raises
    ------
    NotFoundError
        When the log has nothing of the model.
    ConflictError
        When another erasure is under way in this log.
    UsageError
        When a segment is still being written after `patience`, or there is no such column; nothing is erased then.
    """
    where = Path(root)
    check_logged(where, model)
    subject = Subject(column, entity, privacy.key)
    salt = secrets.token_hex(16)
    told = Erasure(
        new_id(), model, _digest(privacy.key, salt, entity), salt, by, clock.now(), bool(privacy.key), column
    )
    if not really:
        return told.with_files(list(_found(where, model, subject)))
    with locked(where, "erasing") as alone:
        if not alone:
            raise ConflictError("another erasure is under way", value=str(where), hint="Wait for it.")
        with locked(where, ARCHIVING, patience) as still:
            if not still:
                hint = "Nothing was erased. Wait until what has to go there has gone, and try again."
                raise ConflictError("sealed files of this log are being archived", value=str(where), hint=hint)
            with asking_to_finish(where, model) as before:
                _finished(where, model, before, patience)
                return _erase(where, told, subject)


def erasures_about(
    root: str | Path, entity: str | None = None, key: str = "", *, column: str = ENTITY
) -> list[Erasure]:
    """The proofs of a log, the oldest first; with `entity` those that are about it.

    Parameters
    ----------
    root
        The log's folder.
    entity
        The key as it was sent.
    key
        Of the hashes, for proofs that were made with it.
    column
        What `entity` is a value of.
    """
    found = erasures(Path(root))
    if entity is None:
        return found
    of = [one for one in found if one.column == column]
    return [one for one in of if one.entity == _digest(key if one.keyed else "", one.salt, entity)]


def _erase(root: Path, told: Erasure, subject: Subject) -> Erasure:
    places: list[Place] = [Folder(root), *archives_of(root)]
    rows, labels = both(told.model, nobody=True)
    is_label, is_row = _masks(root, told.model, places, subject)
    for place in places:
        place.clear_drafts(rows)
        place.clear_drafts(labels)
    proof = Proof(root, told)
    done: list[ErasedFile] = []
    # The files here first: what is archived again after an interruption is then without the entity.
    for days, mask in ((labels, is_label), (rows, is_row)):
        for place in places:
            for path in place.files(days):
                done += _rewritten(place, path, mask, proof)
    return proof.finish(done)


def _found(root: Path, model: str, subject: Subject) -> Iterator[ErasedFile]:
    places: list[Place] = [Folder(root), *archives_of(root)]
    rows, labels = both(model, nobody=True)
    is_label, is_row = _masks(root, model, places, subject)
    for days, mask, decoder in ((labels, is_label, decode_labels), (rows, is_row, decode)):
        for place in places:
            for path in place.files(days):
                frame = table_of(place.source(path), place.full(path))
                if hit := int(mask(frame).sum()):
                    yield ErasedFile(place.shown(path), frame.height, hit)
        for path_ in _segments(root, days):
            frame = decoder(contents(path_)).frame
            if hit := int(mask(frame).sum()):
                yield ErasedFile(str(path_.relative_to(root)), frame.height, hit)


def _masks(root: Path, model: str, places: list[Place], subject: Subject) -> tuple[Mask, Mask]:
    """Which labels and which predictions are about the entity."""
    for place in places:  # a label that cannot be read is found before anything is erased
        place.schemas(place.files(both(model, nobody=True)[1]))
    requests = _requests(subject, model, places, list(_segments(root, Days(model))))
    whole = requests["request_id"].unique()

    def of_labels(frame: pl.DataFrame) -> pl.Series:
        exact = frame.join(
            requests.with_columns(pl.lit(value=True).alias("_gone")), on=["request_id", "row"], how="left"
        )
        unsaid = frame["row"].is_null() & frame["request_id"].is_in(whole.implode()).fill_null(value=False)
        return subject.labels(frame) | exact["_gone"].fill_null(value=False) | unsaid

    return of_labels, subject.rows


def _requests(subject: Subject, model: str, places: list[Place], segments: list[Path]) -> pl.DataFrame:
    try:
        return requests_of(subject, model, places, segments)
    except pl.exceptions.ComputeError:
        for place in places:
            for path in place.files(Days(model)):
                table_of(place.source(path), place.full(path))  # which file it is
        raise


def _segments(root: Path, days: Days) -> Iterator[Path]:
    """What is written, or not sealed yet."""
    for folder in days.folders(root):
        segments = listed(folder, "*.log")  # listed first: one that is sealed now is then seen at least once
        sealed = set(listed(folder, "*.parquet"))
        for path in (path for path in segments if path.with_suffix(".parquet") not in sealed):
            check_readable(path)
            yield path


def _finished(root: Path, model: str, before: str, patience: float) -> None:
    """Wait until all that was begun before is sealed."""
    until = clock.elapsed() + patience
    while True:
        for path in _written(root, model):
            check_readable(path)
        seal(root, model)
        left = [path for path in _written(root, model) if path.stem < before]
        if not left:
            return
        if clock.elapsed() > until:
            hint = "Nothing was erased. Stop whoever writes there, and try again."
            raise UsageError(f"{len(left)} segments are still being written", value=str(left[0]), hint=hint)
        threading.Event().wait(_PAUSE)


def _written(root: Path, model: str) -> Iterator[Path]:
    for days in both(model, nobody=True):
        for folder in days.folders(root):
            yield from listed(folder, "*.log")


def _rewritten(place: Place, path: str, mask: Mask, proof: Proof) -> Iterator[ErasedFile]:
    """Put a file without the entity's rows in the place of one with them; the proof is written before."""
    data = place.read(path)
    frame = table_of(data, place.full(path))
    hit = mask(frame)
    if not hit.any():
        return
    kept, file = frame.filter(~hit), io.BytesIO()
    if kept.height:
        kept.write_parquet(file)
    new = file.getvalue()
    after = hashlib.sha256(new).hexdigest() if kept.height else ""
    told = ErasedFile(place.shown(path), frame.height, int(hit.sum()), hashlib.sha256(data).hexdigest(), after)
    proof.tell(told)
    if kept.height:
        place.replace(path, new)
    else:
        place.remove(path)
    yield told


def _digest(key: str, salt: str, entity: str) -> str:
    return hmac.digest(f"{key}\x1f{salt}".encode(), entity.encode(), "sha256").hex()
