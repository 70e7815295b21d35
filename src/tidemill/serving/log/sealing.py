"""Turn finished segments into Parquet, beside the server and not in it: a server loads no table library."""

from __future__ import annotations

import fcntl
import sys
from pathlib import Path

from tidemill.serving.log.decoding import decode
from tidemill.serving.log.reading import days_of


def seal(root: str | Path, model: str | None = None) -> list[Path]:
    """Turn segments without a living writer into Parquet; safe to repeat and to interrupt at any point.

    Returns
    -------
    list of Path
        The files that were written.
    """
    written: list[Path] = []
    for folder in days_of(Path(root), model, None, None):
        for path in sorted(folder.glob("*.log")):
            with path.open("rb") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                target = path.with_suffix(".parquet")
                if not target.exists():
                    draft = path.with_suffix(".sealing")
                    decode(file.read()).frame.write_parquet(draft)
                    draft.replace(target)
                    written.append(target)
                path.unlink(missing_ok=True)
    return written


def main() -> None:
    """Seal the log in the folder that is the first argument."""
    seal(sys.argv[1])


if __name__ == "__main__":
    main()
