"""How a server runs: addresses, limits, keys; read from flags and the ``[serving]`` table of `tidemill.toml`."""

from __future__ import annotations

import importlib
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from tidemill.core.errors import ConfigError, UsageError
from tidemill.core.sizes import bytes_of
from tidemill.project import Project
from tidemill.project.secrets import reveal_all
from tidemill.project.settings import nearest
from tidemill.store.artifacts import local_path


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """How a server runs.

    Parameters
    ----------
    host, port, grpc_port
        Where to listen; port 0 takes a free one; without `grpc_port` there is no gRPC.
    workers
        Processes that answer. Each has its models and its log segments; the system spreads connections over them.
    log
        The prediction log's folder; ``.tidemill/predictions`` in the project by default.
    archive, storage_options
        Where sealed files of the log go, ``s3://bucket/prefix`` or any other that fsspec knows, and the options of that
        file system; they stay in the folder without.
    durable
        Whether an answer waits until its log record is on the disk rather than with the kernel.
    when_log_fails
        ``"refuse"`` (503) what cannot be written down, or ``"serve"`` it and count it.
    body_limit
        Bytes of the largest request body; larger ones are refused with 413.
    requests
        Requests under way in a worker; more are refused with 503 and ``Retry-After``.
    together
        Rows of waiting requests that a slow model (2 ms a row) is asked about at once; 1 asks about each request alone.
    timeout
        Seconds after which nobody waits for an answer: a request that did not get its turn by then is refused with 504,
        and one whose body did not arrive with 408. A client may ask for less (``x-request-timeout-ms``).
    idle
        Seconds that a connection is kept on which nothing is asked.
    drain
        Seconds that requests under way have to finish after SIGTERM.
    follow
        Seconds between looks at the registry for versions that an alias has moved to; 0 looks never.
    certificate, private_key, client_authority
        PEM files of TLS; with the last one, clients must show a certificate of that authority.
    keys, admin_keys
        API keys; without any, everybody is answered. A key of the second kind may also load and unload models.
    traces
        Where spans of requests go, over OTLP and HTTP: ``http://collector:4318``; empty for nowhere.
    hash_key
        Key of the hashes that the prediction log keeps instead of private values: ``${env:NAME}``.
    allow
        Classes of the user's own that models may be read into, as ``"module:Class"``.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    grpc_port: int | None = None
    workers: int = 1
    log: str = ""
    archive: str = ""
    storage_options: Mapping[str, Any] = field(default_factory=dict)
    durable: bool = False
    when_log_fails: str = "refuse"
    body_limit: int = 32 << 20
    requests: int = 1000
    together: int = 64
    timeout: float = 30.0
    idle: float = 75.0
    drain: float = 20.0
    follow: float = 1.0
    certificate: str = ""
    private_key: str = ""
    client_authority: str = ""
    keys: tuple[str, ...] = ()
    admin_keys: tuple[str, ...] = ()
    traces: str = ""
    hash_key: str = ""
    allow: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, least, most in _RANGES:
            value = getattr(self, name)
            if value is not None and not least <= value <= most:
                raise ConfigError(f"{name} is out of range", value=value, hint=f"Give {least:g} to {most:g}.")
        if self.when_log_fails not in ("refuse", "serve"):
            hint = "Write refuse or serve."
            raise ConfigError("when_log_fails is neither", value=self.when_log_fails, hint=hint)
        _check_archive(self)
        if bool(self.certificate) != bool(self.private_key):
            raise ConfigError("TLS needs both files", hint="Give certificate and private_key, or neither.")
        if self.client_authority and not self.certificate:
            raise ConfigError("client_authority asks for TLS", hint="Give certificate and private_key too.")
        for file in (self.certificate, self.private_key, self.client_authority):
            if file and not Path(file).is_file():
                raise ConfigError("there is no such file", value=file, hint="Give the path of a PEM file.")
        _check_tls(self)
        if self.traces and not self.traces.startswith(("http://", "https://")):
            raise ConfigError("traces is no address", value=self.traces, hint="Write http://collector:4318.")
        if any(len(key) < _SHORTEST_KEY for key in (*self.keys, *self.admin_keys)):
            raise ConfigError("a key is too short to be secret", hint=f"Use {_SHORTEST_KEY} characters or more.")


_RANGES = (
    ("port", 0, 65535), ("grpc_port", 0, 65535), ("workers", 1, 256), ("body_limit", 1, 1 << 40),
    ("requests", 1, 10**6), ("together", 1, 4096), ("timeout", 0.001, 86400), ("idle", 0.001, 86400),
    ("drain", 0, 3600), ("follow", 0, 86400),
)  # fmt: skip
_SHORTEST_KEY = 16
# Named by string: fsspec is loaded for logs that have an archive only.
_FILE_SYSTEMS = "tidemill.store.file_systems"
_FILES = ("certificate", "private_key", "client_authority", "log")
_TYPES: Mapping[str, tuple[type, ...]] = {
    "str": (str,), "int": (int,), "int | None": (int,), "bool": (bool,), "float": (int, float),
    "tuple[str, ...]": (list, tuple), "Mapping[str, Any]": (dict,),
}  # fmt: skip
_EXPECTED = {bool: "true or false", str: "text", int: "a whole number", list: "a list of texts", dict: "a table"}


def server_options(project: Project | None = None, **given: Any) -> ServerOptions:
    """The options of a server: what is given (None means not given), else what ``[serving]`` says, else the defaults.

    Raises
    ------
    ConfigError
        For a key that there is not, a wrong type, a value out of range, a file that is not there.

    Examples
    --------
    >>> server_options(port=0, workers=None).workers
    1
    """
    kinds = {one.name: _TYPES[str(one.type)] for one in fields(ServerOptions)}
    values: dict[str, Any] = {}
    if project is not None:
        for name, value in project.serving.items():
            if name not in kinds:
                raise ConfigError("[serving] has an unknown key", value=name, hint=nearest(name, kinds))
            values[name] = _typed(name, reveal_all(value, root=project.root), kinds[name])
            if name in _FILES or (name == "archive" and values[name] and "://" not in values[name]):
                values[name] = str(project.root / values[name])
        values.setdefault("log", str(project.hidden / "predictions"))
    values |= {name: value for name, value in given.items() if value is not None}
    return ServerOptions(**values)


def _typed(name: str, value: Any, kinds: tuple[type, ...]) -> Any:
    if name == "body_limit":
        try:
            return bytes_of(value)
        except UsageError as error:
            raise ConfigError(f"{name} in [serving] is not a size", value=value, hint=error.hint) from None
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        expected = "a number" if float in kinds else _EXPECTED[kinds[0]]
        raise ConfigError(f"{name} in [serving] takes {expected}", value=value)
    if isinstance(value, list):
        if not all(isinstance(item, str) for item in value):
            raise ConfigError(f"{name} in [serving] takes a list of texts", value=f"{len(value)} values")
        return tuple(value)
    return value


def _check_tls(options: ServerOptions) -> None:
    """Refuse files that no connection could be made with."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        if options.certificate:
            context.load_cert_chain(
                options.certificate, options.private_key, password=""
            )  # else it asks at the terminal
    except (ssl.SSLError, ValueError, OSError) as error:
        hint = "Give the certificate and the key that belongs to it, as PEM files, the key without a password."
        pair = f"{options.certificate}, {options.private_key}"
        raise ConfigError(f"these are no certificate and key for TLS: {error}", value=pair, hint=hint) from error
    try:
        if options.client_authority:
            context.load_verify_locations(options.client_authority)
    except (ssl.SSLError, OSError) as error:
        hint = "Give its certificate as a PEM file."
        raise ConfigError(f"this is no authority: {error}", value=options.client_authority, hint=hint) from error


def _check_archive(options: ServerOptions) -> None:
    if options.storage_options and not options.archive:
        raise ConfigError("storage_options are those of an archive", hint='Write archive = "s3://bucket/prefix".')
    if not options.archive:
        return
    local = local_path(options.archive.replace("local://", "file://", 1))
    if local is None:
        require: Callable[[str, str], None] = importlib.import_module(_FILE_SYSTEMS).require_client
        require(options.archive, "an archive of the prediction log")
    if local is None or not options.log:
        return
    here, there = Path(options.log).resolve(), local.resolve()
    if here.is_relative_to(there) or there.is_relative_to(here):
        hint = "Give a place of its own, on another disk."
        raise ConfigError("the archive is in the folder of the log, or around it", value=options.archive, hint=hint)
