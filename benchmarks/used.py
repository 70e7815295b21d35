"""What a process has used: a script imports its tool, then calls `report` with what is to be measured."""

import json
import os
import resource
from collections.abc import Callable


def cpu() -> float:
    """CPU seconds of this process, all threads."""
    times = os.times()
    return times.user + times.system


def report(work: Callable[..., object], load: Callable[[], object] | None = None) -> None:
    """Do the work and print its CPU seconds, those of the imports before it, and the peak memory in MiB.

    With `load`, the work is done on what it returns, and its seconds count apart.
    """
    imported = cpu()
    given = () if load is None else (load(),)
    loaded = cpu()
    work(*given)
    numbers = {
        "cpu_s": cpu() - loaded,
        "with_load_cpu_s": cpu() - imported,
        "import_cpu_s": imported,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    print(json.dumps(numbers))
