"""While a server runs, have finished segments sealed and old days deleted now and then, by a process of their own."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

from tidemill.core import clock
from tidemill.serving.log.framing import is_finished
from tidemill.serving.log.labelling import FOLDER
from tidemill.serving.log.requests import requests_of
from tidemill.serving.log.segments import is_over

_EVERY_SECONDS = 60.0
#: Somebody who waits for segments to be finished waits about so long.
_SOON_SECONDS = 0.5
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
    """

    def __init__(
        self,
        root: Path,
        *,
        every: float = _EVERY_SECONDS,
        retention: Mapping[str, float] | None = None,
        finish: Callable[[str, str], object] | None = None,
    ) -> None:
        self._root, self._every, self._finish = root, every, finish
        self._retention = {name: days for name, days in (retention or {}).items() if days > 0}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._look, name="prediction-log-sealer", daemon=True)

    def __enter__(self) -> Sealer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.join(1.0)  # a sealing under way finishes without us

    def _look(self) -> None:
        looked = clock.elapsed()
        while not self._stopped.wait(min(self._every, _SOON_SECONDS)):
            try:
                if self._finish is not None:
                    for model, before in requests_of(self._root):
                        self._finish(model, before)
                if clock.elapsed() - looked >= self._every:
                    looked = clock.elapsed()
                    self._tidy()
            except Exception:  # the disk may be full or away for a while: what is served goes on
                _log.exception("the prediction log could not be looked after")

    def _tidy(self) -> None:
        if not any(map(is_finished, self._all("*.log"))) and not self._has_expired():
            return
        command = [sys.executable, "-m", "tidemill.serving.log.sealing", str(self._root), json.dumps(self._retention)]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode:
            _log.warning("sealing the prediction log failed: %s", done.stderr.strip()[-500:])

    def _has_expired(self) -> bool:
        trees = (self._root, self._root / FOLDER)
        return any(
            is_over(path.parent, days)
            for name, days in self._retention.items()
            for tree in trees
            for path in tree.glob(f"model={quote(name, safe='')}/day=*/*.parquet")
        )

    def _all(self, pattern: str) -> Iterator[Path]:
        for tree in (self._root, self._root / FOLDER):
            yield from tree.glob(f"model=*/day=*/{pattern}")
