"""The record of a project."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tidemill.project.secrets import reveal
from tidemill.project.settings import Setting


@dataclass(frozen=True, slots=True)
class Place:
    """What opens a store: the URLs of its metadata (with any password) and artifacts, options of their file system."""

    store: str
    artifacts: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Project:
    """A folder with a purpose.

    Parameters
    ----------
    root
        The folder, absolute.
    profile
        The profile that was applied, if any.
    settings
        Every setting with its origin.
    canvas, requirements, sources, registry, serving, endpoints
        The tables of ``tidemill.toml`` as written, the profile merged in; the rooms that they are about read them.
        References to secrets in them stay references until `reveal_all`.
    file
        The ``tidemill.toml``, or None for a folder without one.
    raw
        The whole file as written.
    place
        The store of a run that was told to use another than the settings say.
    """

    root: Path
    profile: str | None
    settings: Mapping[str, Setting]
    canvas: Mapping[str, Any] = field(default_factory=dict)
    requirements: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    sources: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    file: Path | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)
    place: Place | None = field(default=None, repr=False)
    registry: Mapping[str, Any] = field(default_factory=dict)
    serving: Mapping[str, Any] = field(default_factory=dict)
    endpoints: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def renamed(self, name: str) -> Project:
        """The same project under another name."""
        return replace(self, settings={**self.settings, "name": Setting("name", name, "the run")})

    @property
    def name(self) -> str:
        """The project's name."""
        return str(self.settings["name"].value)

    @property
    def store(self) -> str:
        """URL of the metadata store, secrets revealed, a relative path made absolute."""
        if self.place is not None:
            return self.place.store
        url = reveal(str(self.settings["store"].value), root=self.root)
        scheme, separator, path = url.partition(":///")
        if scheme == "sqlite" and separator and path and not path.startswith(("/", "~", ":")):
            return f"sqlite:///{self.root / path}"
        return url

    @property
    def artifacts(self) -> str:
        """Folder or URL of the artifact store, secrets revealed, a relative path made absolute."""
        if self.place is not None:
            return self.place.artifacts
        place = reveal(str(self.settings["artifacts"].value), root=self.root)
        return place if "://" in place else str(self.root / Path(place).expanduser())

    @property
    def hidden(self) -> Path:
        """The project's own folder for what Tidemill keeps: ``.tidemill``."""
        return self.root / ".tidemill"
