"""Write down labels, the truth that arrives later: checked one by one, on the disk before anybody is told so."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, NoReturn
from urllib.parse import quote

import orjson

from tidemill.core.clock import to_us
from tidemill.core.errors import InvalidRequestError
from tidemill.project.settings import nearest
from tidemill.serving.log.framing import frame
from tidemill.serving.log.privacy import ENTITY, Privacy
from tidemill.serving.log.segments import DAY_US, SEGMENT_BYTES, Segments
from tidemill.serving.log.shapes import Shape, label_text
from tidemill.serving.log.writer import LABELS

#: The folder beside the predictions; in it, the layout is theirs.
FOLDER = "labels"
#: Where labels are kept that name no model: readers of partitioned files take it for a missing value.
NOBODY = "__HIVE_DEFAULT_PARTITION__"
_KEYS = ("request_id", "row", "entity", "as_of", "label", "at", "model", "unseen")
_LONGEST = 4096
#: The first moment that UTC has, in microseconds since 1970.
FIRST = to_us(datetime(1, 1, 1, tzinfo=UTC))

#: From a model's name to what its log may keep; raises for a name that is not known.
PrivacyOf = Callable[[str], Privacy]
#: From a model's name to what its labels look like; None where that is not known.
ShapeOf = Callable[[str], Shape | None]


class Told(NamedTuple):
    """One label as it is written: of a row of a request, or of the last prediction about an entity before a moment."""

    request_id: str | None
    row: int | None
    entity: str | None
    as_of: int | None
    label: str
    at: int


def read_labels(
    items: Iterable[Any],
    now: int,
    privacy_of: PrivacyOf,
    model: str | None = None,
    shape_of: ShapeOf = lambda _: None,
) -> dict[str | None, list[Told]]:
    """Labels by the model that they are about.

    Parameters
    ----------
    items
        Mappings with ``label`` and either ``request_id`` (and ``row``) or ``entity`` (and ``as_of``); ``at``, the
        moment of the truth; ``model``; ``unseen``, whether the label may be a class that the model does not know.
    now
        The moment of their arrival, which is also the default of ``at``.
    privacy_of
        What the log of a model may keep.
    model
        The model of those that name none.
    shape_of
        What the labels of a model look like; asked once for each.

    Raises
    ------
    InvalidRequestError
        For the first that cannot be taken; none is then.

    Examples
    --------
    >>> from tidemill.serving.log.privacy import OPEN
    >>> read_labels([{"request_id": "01kg", "label": True}], 5, lambda name: OPEN)
    {None: [Told(request_id='01kg', row=None, entity=None, as_of=None, label='true', at=5)]}
    """
    found: dict[str | None, list[Told]] = {}
    known = cache(shape_of)
    for place, item in enumerate(items):
        name, told = _label(item, place, now, model, known)
        if name is not None:
            privacy = privacy_of(name)
            if told.entity is not None:
                if ENTITY in privacy.redact:
                    _refuse(place, f"the log of {name} keeps no entities", None, "Send the request's id.")
                told = told._replace(entity=privacy.of_value(ENTITY, told.entity))
        found.setdefault(name, []).append(told)
    return found


class LabelLog:
    """The labels that this process takes; safe with several threads.

    Parameters
    ----------
    root
        The log's folder.
    segment_bytes
        From this size on a new segment is begun.
    """

    def __init__(self, root: str | Path, *, segment_bytes: int = SEGMENT_BYTES) -> None:
        self._root, self._limit = Path(root) / FOLDER, segment_bytes
        self._lock = threading.Lock()
        self._segments: dict[str, Segments] = {}

    def append(self, labels: Mapping[str | None, list[Told]], now: int) -> None:
        """Write labels down.

        Raises
        ------
        OutOfSpaceError
            When they cannot be written. Those of other models may have been: to send them again does no harm.
        """
        for model, told in labels.items():
            record = frame(orjson.dumps((LABELS, now, model, [tuple(one) for one in told])))
            self._of(model).append(now, record)

    async def settled(self) -> None:
        """Return once all that was appended is on the disk."""
        for segments in list(self._segments.values()):
            await segments.settled()

    def finish(self, model: str, before: str) -> None:
        """Finish the segments that can hold labels of a model, if they were begun before that identifier was made."""
        for name in (model, NOBODY):
            if name in self._segments:
                self._segments[name].finish(before)

    def close(self) -> None:
        """Finish all segments, synced."""
        for segments in self._segments.values():
            segments.close()

    def _of(self, model: str | None) -> Segments:
        name = NOBODY if model is None else model
        with self._lock:
            if name not in self._segments:
                folder = self._root / f"model={quote(name, safe='')}"
                self._segments[name] = Segments(folder, durable=True, segment_bytes=self._limit)
            return self._segments[name]


def _label(item: Any, place: int, now: int, model: str | None, shape_of: ShapeOf) -> tuple[str | None, Told]:
    if not isinstance(item, Mapping):
        _refuse(place, "a label is an object", item, 'Send {"request_id": "…", "label": …}.')
    given = {key: _plain(value) for key, value in item.items()}
    for key in given:
        if key not in _KEYS:
            _refuse(place, "a label has an unknown key", key, nearest(str(key), _KEYS))
    name = given.get("model") or model
    if name is not None and not isinstance(name, str):
        _refuse(place, "the model is no text", name, "Send its name.")
    request, entity = given.get("request_id"), given.get("entity")
    if (request is None) == (entity is None):
        _refuse(place, "a label needs request_id or entity, one of them", dict(item), "Say what it is the truth of.")
    if entity is not None and name is None:
        _refuse(place, "a label of an entity needs the model", entity, 'Send "model" too.')
    told = _of_entity if request is None else _of_request
    unseen = given.get("unseen") or False
    if not isinstance(unseen, bool):
        _refuse(place, "unseen takes true or false", unseen, "Leave it out, unless the class is new.")
    shape = None if name is None else shape_of(name)
    return name, told(given, place, now, _text(given.get("label"), place, shape, unseen=unseen))


def _of_request(given: Mapping[str, Any], place: int, now: int, label: str) -> Told:
    request, row = given["request_id"], given.get("row")
    if not isinstance(request, str) or not 0 < len(request) <= _LONGEST:
        _refuse(place, "the request_id is no text", request, "Send the one of the answer.")
    if row is not None and (not isinstance(row, int) or isinstance(row, bool) or not 0 <= row < 2**31):
        _refuse(place, "the row is no place in a request", row, "Send 0 for the first row.")
    if given.get("as_of") is not None:
        _refuse(place, "as_of goes with an entity", str(given["as_of"]), 'Send "at", the moment of the truth.')
    return Told(request, row, None, None, label, _moment(given.get("at"), "at", place, now))


def _of_entity(given: Mapping[str, Any], place: int, now: int, label: str) -> Told:
    entity, at = given["entity"], _moment(given.get("at"), "at", place, now)
    if not isinstance(entity, str | int) or isinstance(entity, bool) or entity == "" or len(str(entity)) > _LONGEST:
        _refuse(place, "the entity is neither text nor whole number", entity, "Send the key as it was sent.")
    if given.get("row") is not None:
        _refuse(place, "row goes with a request_id", given["row"], "Leave it out.")
    as_of = at if given.get("as_of") is None else _moment(given["as_of"], "as_of", place, now)
    return Told(None, None, str(entity), as_of, label, at)


def _text(label: Any, place: int, shape: Shape | None, *, unseen: bool) -> str:
    """A label as the log has predictions: as text."""
    try:
        return label_text(label, shape, unseen=unseen)
    except InvalidRequestError as error:
        raise InvalidRequestError(f"label {place}: {error.what}", value=error.value, hint=error.hint) from None


def _moment(value: Any, key: str, place: int, now: int) -> int:
    if value is None:
        return now
    moment: datetime | None = None
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            moment = None
    elif isinstance(value, datetime):
        moment = value
    elif isinstance(value, date):
        moment = datetime(value.year, value.month, value.day, tzinfo=UTC)
    if moment is None:
        _refuse(place, f"{key} is no moment", value, 'Send "2026-03-01T12:00:00Z".')
    found = to_us(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    if found < FIRST:
        _refuse(place, f"{key} is before the year 1 in UTC", str(value), "Leave it out if it is not known.")
    if found > now + DAY_US:
        _refuse(place, f"{key} is in the future", str(value), "A label is known when it is sent.")
    return found


def _plain(value: Any) -> Any:
    """NumPy's scalars as Python's."""
    return value.item() if hasattr(value, "item") and hasattr(value, "dtype") else value


def _refuse(place: int, problem: str, value: Any, hint: str) -> NoReturn:
    raise InvalidRequestError(f"label {place}: {problem}", value=value, hint=hint)
