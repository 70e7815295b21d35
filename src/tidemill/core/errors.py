"""Every error that Tidemill raises on purpose.

::

    TidemillError
    ├── UsageError                 the caller asked for something that cannot be
    │   ├── ConfigError            tidemill.toml, a profile, a flag or a TIDEMILL_* variable
    │   ├── NotFoundError          a name, id or digest that is in no store
    │   ├── PipelineError          a pipeline or step is declared wrongly
    │   └── MissingExtraError      an optional dependency is not installed
    ├── DataError                  the data is not what it was declared to be
    │   ├── SchemaError            columns, types or nullability differ
    │   ├── ContractError          rows break a contract's failing rules
    │   ├── LeakError              a column is not available at prediction time
    │   └── InvalidRequestError    a row sent to a model cannot be scored
    ├── ModelError                 a model cannot be trained, packaged, verified or loaded
    │   ├── UnsafeModelError       a foreign, tampered or pickled model folder
    │   └── GateError              a requirement was broken or not measured
    ├── RunError                   a run or a step did not succeed
    │   ├── StepError              the user's function raised
    │   ├── StepTimeoutError       a step ran longer than it declared
    │   ├── CancelledError         somebody asked the run to stop
    │   ├── WorkerDiedError        the process that ran a step is gone
    │   └── LeaseLostError         another process took over the run
    ├── MaterialiserError          a value cannot be stored or read back
    └── StoreError                 the store cannot do what it was asked
        ├── StoreUnavailableError  the database or file system does not answer
        ├── StoreVersionError      the store's schema is newer, or older and not upgraded
        ├── CorruptArtifactError   bytes do not match their digest, or are gone
        ├── ConflictError          another writer was first
        └── OutOfSpaceError        the disk or the quota is full

A message has three parts: *what happened*, *the offending value*, *what to do*.
"""

from __future__ import annotations


class TidemillError(Exception):
    """The root: what happened, the offending value, what to do.

    Parameters
    ----------
    what
        One sentence: what happened, with the offending value in it or given as `value`.
    value
        The offending value; shown as ``repr`` and shortened to one line.
    hint
        One sentence: what the reader can do about it.

    Examples
    --------
    >>> print(ConfigError("port is not a number", value="80a", hint="Write port = 8080."))
    port is not a number: '80a'. Write port = 8080.
    """

    #: Exit code of the command line for this family.
    exit_code = 1
    #: What else is known, in lines of their own below the hint.
    details = ""

    def __init__(self, what: str, *, value: object = None, hint: str = "") -> None:
        self.what = what
        self.value = value
        self.hint = hint
        super().__init__(what, value, hint)

    def __str__(self) -> str:
        shown = "" if self.value is None else f": {shorten(self.value)}"
        message = f"{self.what.rstrip('.')}{shown}"
        message += "" if message.endswith("?") else "."
        return "\n".join(part for part in (f"{message} {self.hint}".rstrip(), self.details) if part)

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.what, self.value, self.hint, self.__dict__))


def _rebuild(kind: type[TidemillError], what: str, value: object, hint: str, state: dict[str, object]) -> TidemillError:
    error = kind.__new__(kind)
    Exception.__init__(error, what, value, hint)
    error.__dict__.update(state)
    return error


def shorten(value: object, limit: int = 200) -> str:
    """The ``repr`` of a value on one line, cut in the middle to `limit` characters.

    >>> shorten("x" * 30, limit=11)
    "'xxx…xxxx'"
    """
    try:
        text = " ".join(repr(value).split())
    except Exception:  # in the middle of an error message, a broken __repr__ must not hide the error
        text = f"<{type(value).__qualname__} that cannot be shown>"
    if len(text) <= limit:
        return text
    half = (limit - 1) // 2
    return f"{text[: limit - 2 - half]}…{text[-half:]}"


def message_of(error: BaseException) -> str:
    """The text of any exception, also of one whose own ``__str__`` raises.

    >>> message_of(ValueError("no rows"))
    'no rows'
    """
    try:
        return str(error)
    except Exception:  # somebody else's exception class
        return f"<{type(error).__qualname__} that cannot be shown>"


class UsageError(TidemillError):
    """The caller asked for something that cannot be."""

    exit_code = 2


class ConfigError(UsageError):
    """`tidemill.toml`, a profile, a flag or a `TIDEMILL_*` variable is wrong."""


class NotFoundError(UsageError):
    """A name, an id or a digest that is in no store."""

    exit_code = 3


class PipelineError(UsageError):
    """A pipeline or a step is declared wrongly."""


class MissingExtraError(UsageError):
    """An optional dependency is not installed; the message names the extra."""

    def __init__(self, package: str, extra: str, *, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs the package {package!r}, which is not installed",
            hint=f'Run: pip install "tidemill[{extra}]"',
        )


class DataError(TidemillError):
    """The data is not what it was declared to be."""

    exit_code = 4


class SchemaError(DataError):
    """Columns, types or nullability differ from what was declared."""


class ContractError(DataError):
    """Rows break a contract's failing rules."""


class LeakError(DataError):
    """A column is not available at prediction time."""


class InvalidRequestError(DataError):
    """A row sent to a model cannot be scored."""


class ModelError(TidemillError):
    """A model cannot be trained, packaged, verified or loaded."""

    exit_code = 5


class UnsafeModelError(ModelError):
    """A foreign, tampered or pickled model folder was refused."""


class GateError(ModelError):
    """A requirement was broken or not measured."""

    exit_code = 6


class RunError(TidemillError):
    """A run or a step did not succeed."""


class StepError(RunError):
    """The user's function raised."""


class StepTimeoutError(RunError):
    """A step ran longer than it declared."""


class CancelledError(RunError):
    """Somebody asked the run to stop."""

    exit_code = 130


class WorkerDiedError(RunError):
    """The process that ran a step is gone."""


class LeaseLostError(RunError):
    """Another process took over the run."""


class MaterialiserError(TidemillError):
    """A value cannot be stored or read back."""


class StoreError(TidemillError):
    """The store cannot do what it was asked."""

    exit_code = 7


class StoreUnavailableError(StoreError):
    """The database or the file system does not answer."""


class StoreVersionError(StoreError):
    """The store's schema is newer than this Tidemill, or older and not upgraded."""


class CorruptArtifactError(StoreError):
    """Stored bytes do not match their digest, or are gone."""


class ConflictError(StoreError):
    """Another writer was first."""


class OutOfSpaceError(StoreError):
    """The disk or the quota is full."""
