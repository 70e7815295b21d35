"""While a server runs, have finished segments sealed and archived, old days deleted, by a process now and then."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from tidemill.core import clock
from tidemill.serving import metrics
from tidemill.serving.log.files import listed
from tidemill.serving.log.framing import is_finished
from tidemill.serving.log.layout import both
from tidemill.serving.log.requests import requests_of
from tidemill.serving.log.segments import is_over

_EVERY_SECONDS = 60.0
#: Somebody who waits for segments to be finished waits about so long.
_SOON_SECONDS = 0.5
#: So often an archive is looked into although nothing has to go there: it may be away, or have days that are over.
_SELDOM_SECONDS = 3600.0
_log = logging.getLogger("tidemill.serving")


class Sealer:
    """Looks for finished segments once a minute, while its ``with`` block runs.

    Parameters
    ----------
    root
        The log's folder.
    every
        Seconds between looks.
    retention
        By model, how many days are kept.
    finish
        Called with a model's name and an identifier: finish the segments that were begun before that one was made.
    archive
        Where sealed files go: an address with its secrets, and the options of its file system.
    """

    def __init__(
        self,
        root: Path,
        *,
        every: float = _EVERY_SECONDS,
        retention: Mapping[str, float] | None = None,
        finish: Callable[[str, str], object] | None = None,
        archive: tuple[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self._root, self._every, self._finish, self._archive = root, every, finish, archive
        self._retention = {name: days for name, days in (retention or {}).items() if days > 0}
        self._looked_elsewhere = -_SELDOM_SECONDS
        self._stopped = threading.Event()
        # Two, since an archive may take long, and whoever waits for segments to be finished should not.
        self._threads = [
            threading.Thread(target=self._repeat, args=work, name="prediction-log-sealer", daemon=True)
            for work in ((self._finish_asked, min(every, _SOON_SECONDS)), (self._tidy, every))
        ]

    def __enter__(self) -> Sealer:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join(1.0)  # a sealing under way finishes without us

    def _repeat(self, work: Callable[[], None], every: float) -> None:
        while not self._stopped.wait(every):
            try:
                work()
            except Exception:  # the disk may be full or away for a while: what is served goes on
                _log.exception("the prediction log could not be looked after")

    def _finish_asked(self) -> None:
        if self._finish is not None:
            for model, before in requests_of(self._root):
                self._finish(model, before)

    def _tidy(self) -> None:
        if not (any(map(is_finished, self._all("*.log"))) or self._has_expired() or self._has_to_archive()):
            return
        order = {"root": str(self._root), "days": self._retention, "archive": self._archive}
        command = [sys.executable, "-m", "tidemill.serving.log.sealing"]
        # By standard input: what opens the archive is nothing for the list of processes.
        done = subprocess.run(command, input=json.dumps(order), capture_output=True, text=True, check=False)
        waiting = sum(1 for _ in self._all("*.parquet")) if self._archive else 0
        metrics.unarchived(waiting)
        if done.returncode:
            where = f"; {waiting} sealed files wait on this machine" if waiting else ""
            _log.warning("looking after the prediction log failed: %s%s", done.stderr.strip()[-500:], where)

    def _has_to_archive(self) -> bool:
        if self._archive is None:
            return False
        if clock.elapsed() - self._looked_elsewhere >= _SELDOM_SECONDS:
            self._looked_elsewhere = clock.elapsed()
            return True
        return any(True for _ in self._all("*.parquet"))

    def _has_expired(self) -> bool:
        return any(
            is_over(folder.name, kept) and listed(folder, "*.parquet")
            for name, kept in self._retention.items()
            for days in both(name)
            for folder in days.folders(self._root)
        )

    def _all(self, pattern: str) -> Iterator[Path]:
        for days in both():
            for folder in days.folders(self._root):
                yield from listed(folder, pattern)
