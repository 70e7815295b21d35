"""Find and read `tidemill.toml`: strictly, since a setting that is silently ignored is worse than none."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tidemill.core.errors import ConfigError
from tidemill.project.project import Project
from tidemill.project.settings import SETTINGS, nearest, resolve_settings

#: The name of a project's file.
FILE = "tidemill.toml"
_SECTIONS = ("project", "canvas", "requirements", "sources", "registry", "serving", "endpoints")


def find_project(start: Path | str | None = None) -> Path | None:
    """The nearest ``tidemill.toml`` in a folder or above it; None if there is none."""
    here = Path(start or Path.cwd()).resolve()
    return next((folder / FILE for folder in (here, *here.parents) if (folder / FILE).is_file()), None)


def load_project(
    path: Path | str | None = None, profile: str | None = None, overrides: Mapping[str, Any] | None = None
) -> Project:
    """Read a project.

    Parameters
    ----------
    path
        A folder or a ``tidemill.toml``; by default the nearest one here or above. A folder without one is a project
        with default settings.
    profile
        A profile to apply; by default ``TIDEMILL_PROFILE``.
    overrides
        Settings given as flags.

    Raises
    ------
    ConfigError
        For what cannot be read, an unknown key (with the nearest known one and its line), a wrong type, a requirement
        without metric or bound, a source without URI, or a profile that is not declared.
    """
    file = _file(path)
    root = file.parent if file is not None else Path(path or Path.cwd()).resolve()
    raw = _read(file) if file is not None else {}
    chosen = profile or os.environ.get("TIDEMILL_PROFILE") or None
    extra = _profile(raw, chosen, file)
    base = {section: raw.get(section, {}) for section in _SECTIONS}
    merged = _merged(base, extra)
    _check_shapes(merged, file)
    settings = resolve_settings(
        base["project"], extra.get("project", {}), overrides or {}, folder_name=root.name, profile_name=chosen
    )
    return Project(
        root,
        chosen,
        settings,
        merged["canvas"],
        merged["requirements"],
        merged["sources"],
        file,
        raw,
        registry=merged["registry"],
        serving=merged["serving"],
        endpoints=merged["endpoints"],
    )


def _file(path: Path | str | None) -> Path | None:
    if path is None:
        return find_project()
    given = Path(path).expanduser().resolve()
    if given.is_dir():
        return given / FILE if (given / FILE).is_file() else None
    if not given.is_file():
        raise ConfigError("there is no such project folder", value=str(path), hint="Make one with: tidemill init")
    return given


def _read(file: Path) -> dict[str, Any]:
    try:
        text = file.read_text(encoding="utf-8-sig")
        raw = tomllib.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{FILE} cannot be read: {error}", value=str(file), hint="Check the file.") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{FILE} is not valid TOML: {error}", value=str(file), hint="Correct that line.") from error
    _check_sections(raw, (*_SECTIONS, "profiles"), text, "")
    for name, body in raw.get("profiles", {}).items():
        if not isinstance(body, dict):
            raise _wrong(text, f"profiles.{name}", "must be a table", body)
        _check_sections(body, _SECTIONS, text, f"profiles.{name}.")
    return raw


def _check_sections(raw: Mapping[str, Any], known: tuple[str, ...], text: str, prefix: str) -> None:
    for section, body in raw.items():
        if section not in known:
            raise _unknown(text, f"{prefix}{section}", nearest(section, list(known)))
        if not isinstance(body, dict):
            raise _wrong(text, f"{prefix}{section}", "must be a table", body)
    for key in raw.get("project", {}):
        if key not in SETTINGS:
            raise _unknown(text, f"{prefix}project.{key}", nearest(key, SETTINGS))
    for section in ("requirements", "sources", "endpoints"):
        for name, body in raw.get(section, {}).items():
            if not isinstance(body, dict):
                raise _wrong(text, f"{prefix}{section}.{name}", f"must be a table: [{section}.{name}]", body)


def _check_shapes(merged: Mapping[str, Any], file: Path | None) -> None:
    """What a requirement and a source cannot do without; their own rooms read the rest."""
    for name, body in merged["requirements"].items():
        if not isinstance(body.get("metric"), str):
            raise _incomplete(file, f"requirements.{name}", 'names no metric: write metric = "…"', body)
        bounds = [body[key] for key in ("at_least", "at_most") if key in body]
        numbers = all(isinstance(bound, int | float) and not isinstance(bound, bool) for bound in bounds)
        if not numbers or not (bounds or "better_than" in body):
            needed = "needs at_least or at_most with a number, or better_than"
            raise _incomplete(file, f"requirements.{name}", needed, body)
    for name, body in merged["sources"].items():
        if not isinstance(body.get("uri"), str) or not body["uri"]:
            raise _incomplete(file, f"sources.{name}", 'says not where the data is: write uri = "…"', body)


def _incomplete(file: Path | None, section: str, problem: str, body: Mapping[str, Any]) -> ConfigError:
    text = "" if file is None else file.read_text(encoding="utf-8")
    return ConfigError(f"[{section}] in {FILE}{_line(text, section)} {problem}", value=dict(body))


def _profile(raw: Mapping[str, Any], name: str | None, file: Path | None) -> Mapping[str, Any]:
    if name is None:
        return {}
    profiles: Mapping[str, Any] = raw.get("profiles", {})
    if name not in profiles:
        known = nearest(name, list(profiles)) if profiles else f"Add [profiles.{name}.project] to {file or FILE}."
        raise ConfigError("there is no such profile", value=name, hint=known)
    found: Mapping[str, Any] = profiles[name]
    return found


def _merged(base: Mapping[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """Tables merged key by key, the profile's values last."""
    out = dict(base)
    for key, value in extra.items():
        both_tables = isinstance(value, Mapping) and isinstance(out.get(key), Mapping)
        out[key] = _merged(out[key], value) if both_tables else value
    return out


def _unknown(text: str, key: str, hint: str) -> ConfigError:
    return ConfigError(f"{FILE} has an unknown key{_line(text, key)}", value=key, hint=hint)


def _wrong(text: str, key: str, expected: str, value: Any) -> ConfigError:
    return ConfigError(f"{key} in {FILE}{_line(text, key)} {expected}", value=value)


def _line(text: str, key: str) -> str:
    """Where a key is probably written, as ``, line 7``; nothing if it cannot be found."""
    table, _, last = key.rpartition(".")
    header = re.compile(r"^\s*\[+\s*([^\]]+?)\s*\]+")
    assigned = re.compile(rf"""^\s*["']?{re.escape(last)}["']?\s*[=.]""")
    current, likely = "", ""
    for number, line in enumerate(text.splitlines(), start=1):
        opened = header.match(line)
        if opened is not None:
            current = re.sub(r"[\s\"']", "", opened[1])
            if current == key or current.startswith(f"{key}."):
                return f", line {number}"
        elif assigned.match(line):
            if current == table:
                return f", line {number}"
            likely = likely or f", line {number}"
    return likely
