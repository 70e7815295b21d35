"""The models that a server has open: opened at its start, replaced when an alias moves, loaded and unloaded on request.

What is served is a table that is never changed, only replaced: a request that has found its endpoint keeps it, whatever
happens to the table meanwhile, so a new version takes over between two requests and no request fails for it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tidemill.core import clock
from tidemill.core.errors import ModelError, NotFoundError, TidemillError, UsageError
from tidemill.data.personal_forms import looks_personal
from tidemill.packaging.package import open_folder
from tidemill.project import Project
from tidemill.registry.versions import load_package, resolve
from tidemill.serving.endpoint import Endpoint
from tidemill.serving.journal import Journal
from tidemill.serving.log.privacy import OPEN, Privacy
from tidemill.serving.log.writer import PredictionLog
from tidemill.serving.metrics import served, swapped
from tidemill.serving.options import ServerOptions
from tidemill.serving.plans import EndpointPlan, VariantPlan, plan_endpoints
from tidemill.serving.predictor import Predictor
from tidemill.serving.variants import Traffic, Variant, shares_of, variant_of
from tidemill.store import Store

#: A version that could not be opened is tried again after so many seconds, in case its files come back.
_RETRY_SECONDS = 60.0
_log = logging.getLogger("tidemill.serving")


@dataclass(slots=True)
class _Place:
    """What stands at one variant's place: who answers, and what went wrong with whoever should have."""

    plan: VariantPlan
    variant: Variant | None = None
    error: str = ""
    failed: tuple[int, float] = (0, 0.0)


@dataclass(slots=True)
class _Entry:
    """One planned name with its places, and its endpoint once one of them can answer."""

    plan: EndpointPlan
    places: list[_Place] = field(default_factory=list)
    endpoint: Endpoint | None = None


class Repository:
    """The models of a server.

    Parameters
    ----------
    plans
        What is to be served.
    options
        How; the log's folder above all.
    store
        Where the models are registered; None if only folders are served.
    journal
        Where other workers of the same server tell what they were asked to load and unload.
    privacy
        What the prediction log may keep, by name; of a name that is not there, everything.
    project
        Whose ``[endpoints]`` say how a name is served that is loaded later.
    """

    def __init__(
        self,
        plans: Sequence[EndpointPlan],
        options: ServerOptions,
        store: Store | None = None,
        journal: Journal | None = None,
        privacy: Mapping[str, Privacy] | None = None,
        project: Project | None = None,
    ) -> None:
        self._project = project
        self._known: dict[str, EndpointPlan] = {}
        self._journal = journal
        self._privacy = privacy or {}
        self._plans = list(plans)
        self._options = options
        self._store = store
        self._entries: dict[str, _Entry] = {}
        self._lock = threading.RLock()
        #: Name to endpoint; replaced as a whole.
        self.endpoints: Mapping[str, Endpoint] = {}

    @classmethod
    def of(cls, *endpoints: Endpoint) -> Repository:
        """A repository of endpoints that are open already and stay as they are."""
        made = cls((), ServerOptions())
        for endpoint in endpoints:
            places = [
                _Place(VariantPlan(f"{endpoint.name}@{one.name or 'champion'}"), one) for one in endpoint.traffic.live
            ]
            made._entries[endpoint.name] = _Entry(EndpointPlan(endpoint.name), places, endpoint)
        made._publish()
        return made

    def open(self) -> None:
        """Open all that is planned.

        Raises
        ------
        TidemillError
            When a name has nobody who can answer; another variant that cannot is told in `index` and tried again.
        """
        for plan in self._plans:
            self._open(plan)
        self._publish()

    def load(self, name: str) -> Endpoint:
        """Serve a name, or look at once whether its aliases have moved.

        Raises
        ------
        NotFoundError
            If the registry has no such model or no champion of it.
        TidemillError
            If it cannot be opened; what was served before still is.
        """
        endpoint = self._load(name)
        if self._journal is not None:
            self._journal.tell("load", name)
        return endpoint

    def _load(self, name: str) -> Endpoint:
        with self._lock:
            if name in self._entries:
                entry = self._entries[name]
                for place in entry.places:
                    place.failed = (0, 0.0)
                self._follow(entry, loudly=True)
            else:
                self._open(self._known.get(name) or plan_endpoints([name], (), self._project)[0])
            self._publish()
            return self.endpoints[name]

    def unload(self, name: str) -> None:
        """Serve a name no longer; requests under way are answered."""
        self._unload(name)
        if self._journal is not None:
            self._journal.tell("unload", name)

    def _unload(self, name: str) -> None:
        with self._lock:
            entry = self._entries.pop(name, None)
            if entry is None:
                raise NotFoundError("no such model is served here", value=name, hint="See the index.")
            self._publish()
            for place in entry.places:
                _tell(name, place.variant, now=False)
            if entry.endpoint is not None:
                entry.endpoint.close()

    def follow(self) -> None:
        """Let versions take over that an alias has moved to; where one cannot be opened, the old one stays."""
        with self._lock:
            for what, name in self._journal.news() if self._journal is not None else ():
                self._as_told(what, name)
            for entry in self._entries.values():
                self._follow(entry)

    def _as_told(self, what: str, name: str) -> None:
        try:
            if what == "load":
                self._load(name)
            elif name in self._entries:
                self._unload(name)
        except TidemillError as error:  # whoever was asked has told the client
            _log.warning("%s could not be %sed here as elsewhere: %s", name, what, error)

    def index(self) -> list[dict[str, Any]]:
        """Every name with its variants: version, share, whether it is ready, and why not."""
        return [
            {"name": name, "variants": [_described(place, entry) for place in entry.places]}
            for name, entry in list(self._entries.items())  # without the lock: a version may be on its way in for long
        ]

    def plan_of(self, name: str) -> EndpointPlan:
        """What was planned for a name."""
        entry = self._entries.get(name)
        return EndpointPlan(name) if entry is None else entry.plan

    def close(self) -> None:
        """Finish the logs."""
        with self._lock:
            for entry in self._entries.values():
                if entry.endpoint is not None:
                    entry.endpoint.close()

    def _publish(self) -> None:
        self.endpoints = {name: entry.endpoint for name, entry in self._entries.items() if entry.endpoint is not None}

    def _open(self, plan: EndpointPlan) -> None:
        entry = _Entry(plan, [_Place(variant) for variant in plan.variants])
        if plan.folder is not None:
            predictor = Predictor(open_folder(plan.folder), allow=self._options.allow)
            place = _Place(VariantPlan(predictor.model), variant_of(predictor, together=self._options.together))
            entry = _Entry(EndpointPlan(predictor.model, folder=plan.folder), [place])
        name = entry.plan.name
        if name in self._entries:
            raise UsageError("a name can be served once", value=name, hint="Give each model once.")
        failed: list[tuple[_Place, TidemillError]] = []
        for place in entry.places:
            if place.variant is None:
                try:
                    self._renew(entry, place, told=False)
                except TidemillError as error:
                    failed.append((place, error))
        is_answered = any(place.variant is not None and not place.plan.shadow for place in entry.places)
        for place, reason in failed:
            if is_answered or not isinstance(reason, NotFoundError):  # that one says itself who is missing
                _tell_why(place, reason)
        if not is_answered:
            raise failed[0][1] if failed else NotFoundError("nobody can answer under this name", value=name)
        self._route(entry)
        self._entries[name], self._known[name] = entry, plan

    def _follow(self, entry: _Entry, *, loudly: bool = False) -> None:
        """Renew the variants of a name; `loudly`, what kept one that answers from being renewed is raised."""
        changed, kept = False, list[TidemillError]()
        for place in entry.places if entry.plan.folder is None else ():
            try:
                changed = self._renew(entry, place) or changed
            except TidemillError as error:
                if place.variant is not None and not place.plan.shadow:
                    kept.append(error)
        if changed:
            self._route(entry)
        if loudly and kept:
            raise kept[0]

    def _renew(self, entry: _Entry, place: _Place, *, told: bool = True) -> bool:
        """Open the version that a variant's reference names now, unless it answers already; says whether it did.

        When it cannot be opened, that is raised and, if `told`, written into the server's log.
        """
        name, plan, together = entry.plan.name, place.plan, self._options.together
        if self._store is None:
            raise NotFoundError("a registered model needs a store", value=place.plan.reference)
        before, number = place.variant, 0
        try:
            version = resolve(self._store, place.plan.reference)
            number = version.version
            if before is not None and before.predictor.version == number:
                place.error = ""
                return False
            if place.failed[0] == number and clock.elapsed() - place.failed[1] < _RETRY_SECONDS:
                return False
            package = load_package(self._store, version)
            alias = None if place.plan.name == f"v{number}" else place.plan.name
            predictor = Predictor(package, version=number, alias=alias, allow=self._options.allow)
            variant = variant_of(predictor, name=plan.name, share=plan.share, together=together)
            if entry.endpoint is not None:
                others = [one.variant for one in entry.places if one is not place and one.variant is not None]
                self._private(name, [variant], others)
        except Exception as raised:  # whatever a library raises over a file, the version is not served
            error = raised if isinstance(raised, TidemillError) else _cannot_open(place.plan.reference, raised)
            known, place.error = place.failed[0] if place.error else -1, _reason(error)
            place.failed = (number, clock.elapsed())
            if known != number:  # said once of each version, and once of an alias that is not there
                swapped(name, place.plan.name, well=False)
                if told:
                    _tell_why(place, error)
            raise error from raised
        place.variant, place.error, place.failed = variant, "", (0, 0.0)
        _tell(name, before, now=False)
        _tell(name, variant, now=True)
        if before is not None:
            swapped(name, place.plan.name, well=True)
            _log.info("%s is version %s now, it was %s", place.plan.reference, number, before.predictor.version)
        return True

    def _route(self, entry: _Entry) -> None:
        """Send the traffic to the variants that are ready."""
        ready = [place.variant for place in entry.places if place.variant is not None and not place.plan.shadow]
        shadows = [place.variant for place in entry.places if place.variant is not None and place.plan.shadow]
        if not sum(variant.share for variant in ready) > 0:  # only those without a share are there: better than nobody
            ready = [replace(one, share=1.0) for one in ready]
        traffic = Traffic(tuple(ready), tuple(shadows), salt=entry.plan.name)
        if entry.endpoint is None:
            name, options = entry.plan.name, self._options
            privacy = self._private(name, (*ready, *shadows))
            log = PredictionLog(options.log, name, durable=options.durable, privacy=privacy)
            entry.endpoint = Endpoint(name, traffic, log, refuse_unlogged=options.when_log_fails == "refuse")
        else:
            entry.endpoint.traffic = traffic

    def _private(self, name: str, new: Sequence[Variant], others: Sequence[Variant] = ()) -> Privacy:
        """What the log of an endpoint keeps of variants that are new, beside others; tells what it keeps in the clear.

        Raises
        ------
        ConfigError
            When a column is to be private that none of them takes.
        """
        privacy = self._privacy.get(name, OPEN)
        privacy.check(name, [column for one in (*new, *others) for column in one.predictor.columns])
        for column, why in _in_the_clear(new, privacy).items():
            hint = f"list it under hash or redact of [endpoints.{name}] if it is"
            _log.warning("the log of %s keeps %r as it is, which looks personal (%s): %s", name, column, why, hint)
        return privacy


def _in_the_clear(variants: Sequence[Variant], privacy: Privacy) -> dict[str, str]:
    """Inputs that look personal and are neither hashed nor left out, and why they do."""
    found = {}
    for predictor in (one.predictor for one in variants):
        example = predictor.example()
        for column in predictor.signature.inputs:
            why = looks_personal(column.name, [example.get(column.name), *(column.categories or ())])
            if why and column.name not in privacy.names:
                found[column.name] = why
    return found


class Follower:
    """Has a repository follow its aliases, in a thread, while its ``with`` block runs."""

    def __init__(self, repository: Repository, every: float, also: Callable[[], object] = lambda: None) -> None:
        self._repository, self._every, self._also = repository, every, also
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="aliases", daemon=True)

    def __enter__(self) -> Follower:
        if self._every > 0:
            self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(5.0)

    def _run(self) -> None:
        while not self._stopped.wait(self._every):
            try:
                self._repository.follow()
                self._also()
            except Exception:  # the registry may be away for a while: what is served goes on
                _log.exception("the registry could not be looked at")


def _tell_why(place: _Place, error: TidemillError) -> None:
    """Write into the server's log why a variant is not served as it should be."""
    if place.variant is not None:
        version = place.variant.predictor.version
        _log.warning("%s cannot be opened, version %s stays: %s", place.plan.reference, version, error)
    elif isinstance(error, NotFoundError):  # an alias may be planned before any version has it
        _log.info("nobody answers for %s yet: %s", place.plan.reference, error)
    else:
        _log.warning("%s cannot be opened, nobody answers for it: %s", place.plan.reference, error)


def _cannot_open(reference: str, error: Exception) -> ModelError:
    return ModelError(f"{reference} cannot be opened: {error}", hint="Package and register it again.")


def _reason(error: TidemillError) -> str:
    """What clients are told: an alias that is missing by name, but no paths of this machine."""
    if isinstance(error, NotFoundError):
        return str(error)
    return f"{type(error).__name__}: the log of the server says more"


def _tell(name: str, variant: Variant | None, *, now: bool) -> None:
    if variant is not None:
        served(name, variant.name, variant.predictor.version, now=now)


def _described(place: _Place, entry: _Entry) -> dict[str, Any]:
    variant = place.variant
    live = () if entry.endpoint is None else entry.endpoint.traffic.live
    share = 0.0 if variant is None else shares_of(live).get(variant.name, 0.0)
    return {
        "variant": place.plan.name,
        "version": None if variant is None else variant.predictor.version,
        "share": share,
        "shadow": place.plan.shadow,
        "state": "READY" if variant is not None else "UNAVAILABLE",
        "reason": place.error,
    }
