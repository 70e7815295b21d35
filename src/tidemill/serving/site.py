"""What every face of one server stands on."""

from __future__ import annotations

from dataclasses import dataclass, field

from tidemill.core.errors import NotFoundError
from tidemill.serving.endpoint import Endpoint
from tidemill.serving.log.labelling import LabelLog
from tidemill.serving.options import ServerOptions
from tidemill.serving.repository import Repository
from tidemill.serving.tracing import Tracer


@dataclass(slots=True)
class Site:
    """A server's models and options, and whether it takes requests.

    Parameters
    ----------
    repository
        The models.
    options
        How the server runs.
    ready
        Whether new requests should come here: not before the models are open, nor while the server drains.
    shared
        Whether other processes listen at the same ports.
    tracer
        Who makes spans of requests, if anybody does.
    labels
        Where labels are written; None without a log.
    """

    repository: Repository
    options: ServerOptions
    ready: bool = True
    shared: bool = False
    tracer: Tracer | None = None
    labels: LabelLog | None = field(init=False)

    def __post_init__(self) -> None:
        self.labels = LabelLog(self.options.log) if self.options.log else None

    def endpoint(self, name: str) -> Endpoint:
        """The endpoint of a name.

        Raises
        ------
        NotFoundError
            If there is none; it says which there are.
        """
        endpoints = self.repository.endpoints
        if name not in endpoints:
            raise NotFoundError(
                "no such model is served here", value=name, hint=f"Served: {', '.join(endpoints) or 'none'}."
            )
        return endpoints[name]

    def finish_segments(self, name: str, before: str) -> None:
        """Finish a name's segments that were begun before that identifier was made: somebody has to rewrite them."""
        endpoint = self.repository.endpoints.get(name)
        if endpoint is not None and endpoint.log is not None:
            endpoint.log.finish(before)
        if self.labels is not None:
            self.labels.finish(name, before)

    def close(self) -> None:
        """Finish the logs, and send the last spans."""
        self.repository.close()
        if self.labels is not None:
            self.labels.close()
        if self.tracer is not None:
            self.tracer.close()
