"""Spark sessions: the one that is there, or one that is started and stopped here; their failures, as errors of ours."""

from __future__ import annotations

import atexit
import os
import re
import shutil
import socket
import threading
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tidemill.core.errors import ConfigError, DataError, MissingExtraError, UsageError
from tidemill.data.sources.shown import shown

_LOCAL = re.compile(r"local(-cluster)?(\[.*\])?")
_PATIENCE = 10.0
_CONNECT_PORT = 15002
_TRIES, _LONGEST_PAUSE_MS = 5, 2000
#: Of sessions that are started here, unless the project or Spark's own configuration says otherwise.
_QUIET = {"spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false", "spark.log.level": "ERROR"}
_lock = threading.RLock()
_remote: dict[tuple[str, tuple[tuple[str, str], ...]], Any] = {}
#: The process that started a session: it is of no use in one that is forked from there.
_owner: int | None = None


def packages() -> Any:
    """What is used of PySpark, by its name; it is loaded when Spark is first asked for.

    Raises
    ------
    MissingExtraError
        If it is not installed.
    """
    try:
        from pyspark.errors import PySparkException  # before what it brings: this is the package to name
        from pyspark.logger import PySparkLogger
        from pyspark.sql import SparkSession

        from py4j.protocol import Py4JError, Py4JJavaError  # isort: skip
    except ImportError as error:
        package = str(error.name).partition(".")[0]
        raise MissingExtraError(package, "spark", purpose="reading from Spark") from error
    return SimpleNamespace(
        SparkSession=SparkSession,
        PySparkException=PySparkException,
        PySparkLogger=PySparkLogger,
        Py4JError=Py4JError,
        Py4JJavaError=Py4JJavaError,
    )


def session_of(uri: str, conf: Mapping[str, Any], name: str) -> Any:
    """The session that a URI means.

    Parameters
    ----------
    uri
        ``spark://`` (the active session, or a new one), ``spark://local[2]``, ``spark://host:7077`` or
        ``sc://host:15002``, without references to secrets.
    conf
        Settings of Spark that the session must have.
    name
        Who asks, for messages.

    Raises
    ------
    ConfigError
        If the URI means no master, there is no Java, or the session that runs has another master or other settings.
    DataError
        If nothing answers there.
    """
    settings = {key: _text(value) for key, value in conf.items()}
    if uri.startswith("sc://"):
        return _connected(uri, settings, name)
    master = _master(uri, name)
    with _lock:
        active = active_session()
        if active is None:
            return _start(master, settings, name)
    _require_master(active, master, name)
    _require_settings(active, settings, name)
    return active


def session_for_steps() -> Any:
    """The session of this process: the active one, or a new one as Spark's own configuration says (else local)."""
    with _lock:
        return active_session() or _start(None, {}, "a step that takes a Spark table")


def active_session() -> Any | None:
    """The session that this process already has."""
    _require_own_process()
    spark = packages()
    try:
        return spark.SparkSession.active()
    except spark.PySparkException:  # it says in this way that there is none
        return None


def is_local(session: Any) -> bool:
    """Whether whatever this session reads and writes is on this machine's disk."""
    return is_classic(session) and _LOCAL.fullmatch(str(session.sparkContext.master)) is not None


def is_classic(session: Any) -> bool:
    """Whether the session is no client of Spark Connect."""
    return isinstance(session, packages().SparkSession)


def _master(uri: str, name: str) -> str | None:
    rest = uri.removeprefix("spark://").rstrip("/")
    if not rest:
        return None
    if _LOCAL.fullmatch(rest) or rest == "yarn":
        return rest
    if re.fullmatch(r"[^/:,]+:\d+(,[^/:,]+:\d+)*", rest):
        return f"spark://{rest}"
    raise ConfigError(
        f"[sources.{name}] has a URI that names no Spark master",
        value=uri,
        hint="Write spark:// for the active session, spark://local[2], spark://HOST:7077, or sc://HOST:15002.",
    )


def _start(master: str | None, settings: Mapping[str, str], name: str) -> Any:
    """A new session in this process; it is stopped when the process ends."""
    spark = packages()
    if "SPARK_REMOTE" not in os.environ:
        _require_java(name)
    builder = spark.SparkSession.builder.appName("tidemill").config(map={**_QUIET, **settings})
    if master is not None:
        if _LOCAL.fullmatch(master):  # nobody else has to reach it
            here = {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
            builder = builder.config(map={key: value for key, value in here.items() if key not in settings})
        elif master.startswith("spark://"):
            _require_answer([_address(one, 7077) for one in master.removeprefix("spark://").split(",")], master, name)
        builder = builder.master(master)
    try:
        session = builder.getOrCreate()
    except (spark.PySparkException, spark.Py4JError, OSError) as error:
        raise ConfigError(
            f"Spark did not start for {name!r}: {str(error).strip().splitlines()[0]}",
            value=master,
            hint="Spark 4 needs Java 17 or newer; see what it wrote to the standard error.",
        ) from error
    _keep(session)
    return session


def _connected(uri: str, settings: Mapping[str, str], name: str) -> Any:
    """A session on a Spark Connect server, one for each address and settings."""
    packages()
    _require_own_process()
    key = (uri, tuple(sorted(settings.items())))
    with _lock:
        known = _remote.get(key)
        if known is not None and not known.is_stopped:
            return known
        _require_answer([_address(uri.removeprefix("sc://").partition("/")[0], _CONNECT_PORT)], shown(uri), name)
        session = _remote[key] = _connect(uri)
    _keep(session)
    for setting, value in settings.items():
        try:
            session.conf.set(setting, value)
        except packages().PySparkException as error:
            raise ConfigError(
                f"the Spark Connect server of {name!r} does not let a client set {setting}",
                value=value,
                hint="Leave it out of conf, or set it where the server is started.",
            ) from error
    return session


def _connect(uri: str) -> Any:
    try:
        with warnings.catch_warnings():  # of pandas, which nothing here goes through
            warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas", FutureWarning)
            from pyspark.sql.connect.session import SparkSession as ConnectSession  # before what it imports in a circle
        from pyspark.sql.connect.client.retries import DefaultPolicy
    except ImportError as error:  # grpcio and its friends
        raise MissingExtraError(str(error.name or "grpcio"), "spark", purpose="Spark Connect") from error
    session = ConnectSession(uri)
    # By itself it tries for ten minutes to reach a server that is gone.
    session.client.set_retry_policies([DefaultPolicy(max_retries=_TRIES, max_backoff=_LONGEST_PAUSE_MS)])
    return session


def _keep(session: Any) -> None:
    global _owner
    _owner = os.getpid()
    atexit.register(_stop, session)


def _require_own_process() -> None:
    if _owner not in (None, os.getpid()):
        raise UsageError(
            "this process was forked from one that has a Spark session, which it cannot use",
            value=os.getpid(),
            hint="Start a fresh process, or read before the fork.",
        )


def _require_java(name: str) -> None:
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java") if home is None else shutil.which("java", path=str(Path(home) / "bin"))
    if found is None:
        raise ConfigError(
            f"Spark needs Java, which {name!r} cannot find",
            value=home,
            hint="Install Java 17 or newer and put it on PATH, or set JAVA_HOME; or use a server: sc://HOST:15002.",
        )


def _require_answer(addresses: list[tuple[str, int]], shown_as: str, name: str) -> None:
    """Ask whether anybody is there: Spark itself would try for minutes."""
    for host, port in addresses:
        try:
            socket.create_connection((host, port), timeout=_PATIENCE).close()
        except OSError as error:
            reason = error
        else:
            return
    raise DataError(
        f"Spark does not answer at {shown_as}, where source {name!r} is: {reason}",
        hint="Start it, or check host and port.",
    ) from reason


def _address(text: str, port: int) -> tuple[str, int]:
    host, colon, given = text.rpartition(":")
    return (host, int(given)) if colon and given.isdigit() else (text, port)


def _require_master(session: Any, master: str | None, name: str) -> None:
    running = str(session.sparkContext.master) if is_classic(session) else "Spark Connect"
    if master is not None and running != master:
        raise ConfigError(
            f"source {name!r} needs Spark at {master}, and this process has a session elsewhere",
            value=running,
            hint="One process has one session: stop it, use its master, or write spark:// for whatever is active.",
        )


def _require_settings(session: Any, settings: Mapping[str, str], name: str) -> None:
    for key, value in settings.items():
        current = session.conf.get(key, None)
        if current != value:
            raise ConfigError(
                f"source {name!r} needs {key} = {value!r}, and the active Spark session has another value",
                value=current,
                hint="Set it on that session, stop the session, or leave it out of conf.",
            )


def _stop(session: Any) -> None:
    if _owner != os.getpid():  # it belongs to the process that forked this one
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            session.stop()
        except (packages().Py4JError, OSError):  # its Java process has ended before
            return


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
