"""What of a request may be written down: values that are hashed or left out, and the share of requests that is kept."""

from __future__ import annotations

import hmac
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tidemill.core.errors import ConfigError
from tidemill.project.settings import nearest
from tidemill.serving.decisions import parts_of
from tidemill.serving.log.spellings import as_hashed

#: What is private although it is no column.
ENTITY, CLIENT = "entity", "client"
#: Stands where a sentence could quote a private value.
WITHHELD = "not kept: it may quote a private value"
_SHORTEST_KEY = 16


@dataclass(frozen=True, slots=True)
class Privacy:
    """How the log of one endpoint keeps what it is told.

    Parameters
    ----------
    hash, redact
        Columns, ``entity`` or ``client``: written as keyed hashes, or not at all.
    key
        Of the hashes (HMAC-SHA-256).
    sample
        The share of requests that is written; one with an error always is.
    retention
        Days that sealed partitions are kept; 0 for ever.

    Examples
    --------
    The same value of the same column has the same hash, so that it can still be counted and joined:

    >>> private = Privacy(hash=("tailnum",), key="a key of sixteen characters")
    >>> private.of_value("tailnum", "N14228") == private.of_value("tailnum", "N14228")
    True
    >>> private.of_value("dest", "IAH"), len(private.of_value("tailnum", "N14228"))
    ('IAH', 64)
    """

    hash: tuple[str, ...] = ()
    redact: tuple[str, ...] = ()
    key: str = ""
    sample: float = 1.0
    retention: float = 0.0

    def __post_init__(self) -> None:
        if self.hash and len(self.key) < _SHORTEST_KEY:
            problem = "hashes need a key" if not self.key else "the key of the hashes is too short"
            hint = f'Write hash_key = "${{env:NAME}}" in [serving], with {_SHORTEST_KEY} characters or more.'
            raise ConfigError(problem, value=list(self.hash), hint=hint)
        both = sorted(set(self.hash) & set(self.redact))
        if both:
            raise ConfigError("a value is hashed or left out, not both", value=both, hint="Choose one.")

    @property
    def names(self) -> tuple[str, ...]:
        """All that is private."""
        return self.hash + self.redact

    def keeps(self, request_id: str) -> bool:
        """Whether a request is in the sample: the same answer for the same id, wherever it is asked."""
        return zlib.crc32(request_id.encode()) < self.sample * 2**32

    def of_value(self, name: str, value: Any) -> Any:
        """A value as it is written."""
        if value is None or value == "" or name in self.redact:
            return None if name in self.redact else value
        return hashed(self.key, name, value) if name in self.hash else value

    def of_entities(self, entities: Sequence[Any] | None) -> list[Any] | None:
        """The keys of a request's rows as they are written."""
        return None if entities is None else [self.of_value(ENTITY, one) for one in entities]

    def of_schema(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        """What the columns are once they are written."""
        kept = [
            {**column, "type": "string", "semantic": "id"} if column["name"] in self.hash else column
            for column in schema["columns"]
        ]
        return {**schema, "columns": kept}

    def of_rows(
        self, names: Sequence[str], target: str, rows: Sequence[Any], predictions: Sequence[Any]
    ) -> tuple[list[Any], list[Any]]:
        """Rows and what was told about them as they are written; those that came in are left alone."""
        private = [names.index(name) for name in self.names if name in names]
        kept, told = [], []
        for row, prediction in zip(rows, predictions, strict=True):
            secrets = [] if row is None else [row[place] for place in private if row[place] not in (None, "")]
            told.append(self._told(names, target, secrets, prediction))
            if row is not None and private:
                row = list(row)
                for place in private:
                    row[place] = self.of_value(names[place], row[place])
            kept.append(row)
        return kept, told

    def check(self, endpoint: str, columns: Sequence[str]) -> None:
        """Refuse names that no version of an endpoint has: a misspelt one would keep nothing private.

        Raises
        ------
        ConfigError
            With the nearest name that there is.
        """
        known = (*columns, ENTITY, CLIENT)
        for name in self.names:
            if name not in known:
                problem = f"[endpoints.{endpoint}] keeps a column private that the model does not take"
                raise ConfigError(problem, value=name, hint=nearest(name, known))

    def _told(
        self, names: Sequence[str], target: str, secrets: list[Any], prediction: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        parts = parts_of(prediction, target)
        error, warnings = parts.get("error"), parts.get("warnings")
        if error is not None:
            kept = self._withheld(names, secrets, error)
            if "others" in error:
                kept["others"] = [self._withheld(names, secrets, one) for one in error["others"]]
            return {**prediction, "error": kept}
        if warnings:
            said = [WITHHELD if self._quotes(str(one), secrets) else one for one in warnings]
            return {**prediction, "warnings": said}
        return prediction

    def _withheld(self, names: Sequence[str], secrets: list[Any], error: Mapping[str, Any]) -> dict[str, Any]:
        """What is wrong with a column, without what may be private."""
        column = error.get("column")
        # An unknown column can be anything, a misspelt private one too; without a column the whole row is quoted.
        if column not in names or column in self.names or self._quotes(str(error.get("error")), secrets):
            return {**error, "value": None, "error": WITHHELD, "allowed": ""}
        return {**error}

    def _quotes(self, sentence: str, secrets: Sequence[Any]) -> bool:
        return any(spelt in sentence for one in (*self.names, *secrets) for spelt in _as_quoted(one))


#: Everything is written as it came.
OPEN = Privacy()


def _as_quoted(value: Any) -> set[str]:
    """How a sentence may spell a value: as it is, or as Python writes it, with escapes, and with single spaces."""
    written = repr(value)[1:-1] if isinstance(value, str) else repr(value)
    return {str(value), written, " ".join(written.split()) or written}


def hashed(key: str, name: str, value: Any) -> str:
    """The keyed hash of a value of a column: HMAC-SHA-256, in hexadecimal digits."""
    return hmac.digest(key.encode(), f"{name}\x1f{as_hashed(value)}".encode(), "sha256").hex()
