"""Predictions in Redis: one hash for each entity, its newest; a chunk is one transaction."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import polars as pl

from tidemill.core.errors import ConfigError, MissingExtraError, StoreUnavailableError
from tidemill.serving.scoring.tables import Done, Layout, Place, check_entity

try:
    import redis
except ImportError as error:
    raise MissingExtraError("redis", "redis", purpose="predictions in Redis") from error

_MOMENT = "%Y-%m-%d %H:%M:%S%.6f"
_READERS: Mapping[str, Callable[[str], Any]] = {
    "Float64": float,
    "Int64": int,
    "Boolean": lambda text: text == "true",
    "String": str,
}


def open_table(place: Place, layout: Layout) -> RedisTable:
    """The hashes under a prefix: ``redis://host/0#late`` writes ``late:ENTITY``."""
    return RedisTable(_connect(place), place.table, layout)


def find(place: Place, entity: str) -> dict[str, Any] | None:
    """The hash of an entity."""
    try:
        connection = _connect(place)
        with connection:
            found = connection.hgetall(f"{place.table}:{entity}")
            types = json.loads(connection.hget(f"{place.table}::about", "types") or "{}")
    except redis.RedisError as error:
        raise _failed(error) from error
    if not found:
        return None
    row = {name: _read(kind, found[name]) if name in found else None for name, kind in types.items()}
    return {"entity": entity, **row}


def _read(kind: str, text: str) -> Any:
    if kind.startswith("Datetime"):
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    return _READERS[kind](text)


class RedisTable:
    """Predictions in Redis."""

    def __init__(self, connection: Any, prefix: str, layout: Layout) -> None:
        self._connection, self._prefix, self._layout = connection, prefix, layout

    def begin(self, job: str) -> Mapping[int, Done]:
        """See `tables.Table`."""
        about, layout = f"{self._prefix}::about", self._layout
        types = {name: str(kind) for name, kind in layout.columns.items() if name != "entity"}
        try:
            model, entity = self._connection.hmget(about, "model", "entity")
            if model not in (None, layout.model):
                hint = "Name another prefix after #."
                raise ConfigError(f"{self._prefix!r} holds predictions of {model!r}", hint=hint)
            check_entity(self._prefix, entity or "", layout)
            known = json.loads(self._connection.hget(about, "types") or "{}")
            told = {"model": layout.model, "entity": layout.entity, "types": json.dumps(known | types)}
            self._connection.hset(about, mapping=told)
            if self._connection.hget(self._records, "job") != job:
                with self._connection.pipeline(transaction=True) as pipe:
                    pipe.delete(self._records).hset(self._records, "job", job).execute()
            found = self._connection.hgetall(self._records)
        except redis.RedisError as error:
            raise _failed(error) from error
        return {int(chunk): Done(**json.loads(text)) for chunk, text in found.items() if chunk != "job"}

    def known(self, keys: pl.DataFrame) -> pl.DataFrame:
        """See `tables.Table`."""
        names = [*self._layout.keys[1:], "version", "row_digest"]
        schema = {name: self._layout.columns[name] for name in ("entity", *names)}
        entities = keys["entity"].to_list()
        found = self._fields(entities, names)
        texts = [(entity, *values) for entity, values in zip(entities, found, strict=True) if values[-1] is not None]
        frame = pl.DataFrame(
            texts, schema=dict.fromkeys(schema, pl.String) | {"entity": schema["entity"]}, orient="row"
        )
        if "as_of" in names:
            frame = frame.with_columns(pl.col("as_of").str.to_datetime(_MOMENT, strict=False))
        return frame.cast(schema)  # type: ignore[arg-type]

    def write(self, job: str, place: int, rows: pl.DataFrame, done: Done) -> None:
        """See `tables.Table`; of an entity with several times, the newest is kept."""
        del job
        if "as_of" in self._layout.keys and rows.height:
            rows = self._newest(rows)
        texts = rows.select(
            pl.col(name).dt.strftime(_MOMENT) if kind == pl.Datetime else pl.col(name).cast(pl.String)
            for name, kind in rows.schema.items()
        )
        record = json.dumps({"digest": done.digest, "counts": dict(done.counts)})
        try:
            with self._connection.pipeline(transaction=True) as pipe:
                for row in texts.iter_rows(named=True):
                    key = f"{self._prefix}:{row.pop('entity')}"
                    pipe.delete(key)
                    pipe.hset(key, mapping={name: text for name, text in row.items() if text is not None})
                pipe.hset(self._records, str(place), record)
                pipe.execute()
        except redis.RedisError as error:
            raise _failed(error) from error

    def finish(self, job: str) -> None:
        """See `tables.Table`."""
        del job
        try:
            self._connection.delete(self._records)
        except redis.RedisError as error:
            raise _failed(error) from error

    def close(self) -> None:
        """See `tables.Table`."""
        self._connection.close()

    @property
    def _records(self) -> str:
        return f"{self._prefix}::chunks"

    def _newest(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The newest row of each entity, without those that Redis has a newer one of."""
        rows = rows.sort("as_of", maintain_order=True).unique("entity", keep="last", maintain_order=True)
        there = [values[0] for values in self._fields(rows["entity"].to_list(), ["as_of"])]
        stored = pl.Series("stored", there, dtype=pl.String).str.to_datetime(_MOMENT, strict=False)
        return rows.filter(stored.is_null() | (rows["as_of"] >= stored))

    def _fields(self, entities: list[Any], names: list[str]) -> list[list[str | None]]:
        try:
            with self._connection.pipeline(transaction=False) as pipe:
                for entity in entities:
                    pipe.hmget(f"{self._prefix}:{entity}", names)
                found: list[list[str | None]] = pipe.execute()
        except redis.RedisError as error:
            raise _failed(error) from error
        return found


def _connect(place: Place) -> Any:
    try:
        return redis.Redis.from_url(place.address, decode_responses=True)
    except ValueError as error:
        raise ConfigError("this URL cannot be read", hint="Write redis://host:6379/0#prefix.") from error


def _failed(error: Exception) -> StoreUnavailableError:
    return StoreUnavailableError(f"Redis: {error}", hint="Check the address, and that the server runs.")
