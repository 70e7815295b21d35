"""Find a model in the registry and make it ready to answer."""

from __future__ import annotations

from collections.abc import Sequence

from tidemill.packaging.validator import Policy
from tidemill.project import current_project, open_project_store
from tidemill.registry.names import parse_reference
from tidemill.registry.versions import load_package, resolve
from tidemill.serving.predictor import Predictor
from tidemill.store import Store


def load(
    reference: str, *, store: Store | None = None, policy: Policy | None = None, allow: Sequence[str] = ()
) -> Predictor:
    """A predictor of a registered model, for use in this process.

    Parameters
    ----------
    reference
        ``flight-delay@champion``, ``flight-delay@3``, or ``flight-delay`` for its champion.
    store
        Where it is registered; the current project's store by default.
    policy
        How rows unlike the training rows are met.
    allow
        Classes of your own that the model may be of, as ``"module:Class"``: they are imported to read it.

    Raises
    ------
    NotFoundError
        If there is no such version; the message says which there are.
    UnsafeModelError
        If its package is not what was registered.
    """
    wanted = parse_reference(reference)
    where = store or open_project_store(current_project())
    version = resolve(where, wanted)
    package = load_package(where, version)
    return Predictor(package, policy=policy, version=version.version, alias=wanted.alias, allow=allow)
