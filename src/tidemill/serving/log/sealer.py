"""While a server runs, have finished segments sealed now and then by a process of their own."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType

from tidemill.serving.log.framing import is_finished

_EVERY_SECONDS = 60.0
_log = logging.getLogger("tidemill.serving")


class Sealer:
    """Looks for finished segments once a minute, while its ``with`` block runs.

    Parameters
    ----------
    root
        The log's folder.
    every
        Seconds between looks.
    """

    def __init__(self, root: Path, *, every: float = _EVERY_SECONDS) -> None:
        self._root, self._every = root, every
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
        while not self._stopped.wait(self._every):
            if not any(map(is_finished, self._root.glob("model=*/day=*/*.log"))):
                continue
            command = [sys.executable, "-m", "tidemill.serving.log.sealing", str(self._root)]
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
            if done.returncode:
                _log.warning("sealing the prediction log failed: %s", done.stderr.strip()[-500:])
