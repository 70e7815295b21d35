"""Take everything about one entity out of the prediction log, and keep a proof of it that does not name the entity."""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from tidemill.core import clock
from tidemill.core.errors import ConflictError, UsageError
from tidemill.core.ids import new_id
from tidemill.serving.log.decoding import decode, decode_labels
from tidemill.serving.log.labelling import FOLDER
from tidemill.serving.log.privacy import ENTITY, OPEN, Privacy, hashed
from tidemill.serving.log.proofs import ErasedFile, Erasure, Proof, erasures
from tidemill.serving.log.reading import check_logged, days_of
from tidemill.serving.log.requests import asking_to_finish
from tidemill.serving.log.sealing import seal, write_whole

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
        When a segment is still being written after `patience`; nothing is erased then.
    """
    where = Path(root)
    check_logged(where, model)
    keys = [entity, *([hashed(privacy.key, ENTITY, entity)] if privacy.key else [])]
    salt = secrets.token_hex(16)
    told = Erasure(new_id(), model, _digest(privacy.key, salt, entity), salt, by, clock.now(), bool(privacy.key))
    if not really:
        return told.with_files(list(_found(where, model, keys)))
    with _alone(where), asking_to_finish(where, model) as before:
        _finished(where, model, before, patience)
        _clear_drafts(where, model)
        proof = Proof(where, told)
        done: list[ErasedFile] = []
        labels, rows = _masks(where, model, keys)
        for tree, mask in ((where / FOLDER, labels), (where, rows)):
            for path in list(_files(tree, model, "*.parquet")):
                done += _rewritten(path, mask, where, proof)
        return proof.finish(done)


def erasures_about(root: str | Path, entity: str | None = None, key: str = "") -> list[Erasure]:
    """The proofs of a log, the oldest first; with `entity` those that are about it.

    Parameters
    ----------
    root
        The log's folder.
    entity
        The key as it was sent.
    key
        Of the hashes, for proofs that were made with it.
    """
    found = erasures(Path(root))
    if entity is None:
        return found
    return [one for one in found if one.entity == _digest(key if one.keyed else "", one.salt, entity)]


def _found(root: Path, model: str, keys: list[str]) -> Iterator[ErasedFile]:
    labels, rows = _masks(root, model, keys)
    for tree, mask, decoder in ((root / FOLDER, labels, decode_labels), (root, rows, decode)):
        segments = (path for path in _files(tree, model, "*.log") if not path.with_suffix(".parquet").exists())
        for path in [*_files(tree, model, "*.parquet"), *segments]:
            frame = pl.read_parquet(path) if path.suffix == ".parquet" else decoder(path.read_bytes()).frame
            hit = int(mask(frame).sum())
            if hit:
                yield ErasedFile(str(path.relative_to(root)), frame.height, hit)


def _masks(root: Path, model: str, keys: list[str]) -> tuple[Mask, Mask]:
    """Which labels and which predictions are about the entity."""
    gone = [pl.DataFrame(schema={"request_id": pl.String, "row": pl.Int32})]
    for path in _files(root, model, "*.parquet"):
        frame = pl.scan_parquet(path, hive_partitioning=False).filter(pl.col("entity").is_in(keys))
        gone.append(frame.select("request_id", "row").collect())
    for path in _files(root, model, "*.log"):
        frame_ = decode(path.read_bytes()).frame.filter(pl.col("entity").is_in(keys))
        gone.append(frame_.select("request_id", "row"))
    requests = pl.concat(gone).unique()
    whole = requests["request_id"].unique()

    def of_rows(frame: pl.DataFrame) -> pl.Series:
        return frame["entity"].is_in(keys).fill_null(value=False)

    def of_labels(frame: pl.DataFrame) -> pl.Series:
        exact = frame.join(
            requests.with_columns(pl.lit(value=True).alias("_gone")), on=["request_id", "row"], how="left"
        )
        unsaid = frame["row"].is_null() & frame["request_id"].is_in(whole.implode()).fill_null(value=False)
        return of_rows(frame) | exact["_gone"].fill_null(value=False) | unsaid

    return of_labels, of_rows


def _files(tree: Path, model: str, pattern: str) -> Iterator[Path]:
    for folder in days_of(tree, model, None, None, also_nobody=tree.name == FOLDER):
        yield from sorted(folder.glob(pattern))


def _finished(root: Path, model: str, before: str, patience: float) -> None:
    """Wait until all that was begun before is sealed."""
    until = clock.elapsed() + patience
    while True:
        seal(root, model)
        left = [path for tree in (root, root / FOLDER) for path in _files(tree, model, "*.log") if path.stem < before]
        if not left:
            return
        if clock.elapsed() > until:
            hint = "Nothing was erased. Stop whoever writes there, and try again."
            raise UsageError(f"{len(left)} segments are still being written", value=str(left[0]), hint=hint)
        threading.Event().wait(_PAUSE)


def _rewritten(path: Path, mask: Mask, root: Path, proof: Proof) -> Iterator[ErasedFile]:
    """Put a file without the entity's rows in the place of one with them; the proof is written before."""
    frame = pl.read_parquet(path, hive_partitioning=False)
    hit = mask(frame)
    if not hit.any():
        return
    draft = path.with_suffix(".erasing")
    kept = frame.filter(~hit)
    before, after = _digest_of(path), ""
    if kept.height:
        write_whole(kept, draft, draft.with_suffix(".erasing-draft"))
        after = _digest_of(draft)
    told = ErasedFile(str(path.relative_to(root)), frame.height, int(hit.sum()), before, after)
    proof.tell(told)
    if kept.height:
        draft.replace(path)
    else:
        path.unlink()
    yield told


def _clear_drafts(root: Path, model: str) -> None:
    """Delete what an interrupted erasure or sealing left: it may hold what is to go."""
    for tree in (root, root / FOLDER):
        for pattern in ("*.erasing", "*.erasing-draft", "*.sealing"):
            for path in _files(tree, model, pattern):
                if not path.with_suffix(".log").exists():
                    path.unlink(missing_ok=True)


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    root.mkdir(parents=True, exist_ok=True)
    with (root / "erasing.lock").open("wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConflictError("another erasure is under way", value=str(root), hint="Wait for it.") from None
        yield


def _digest(key: str, salt: str, entity: str) -> str:
    return hmac.digest(f"{key}\x1f{salt}".encode(), entity.encode(), "sha256").hex()


def _digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
