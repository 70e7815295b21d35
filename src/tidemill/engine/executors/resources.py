"""What a process may use and what it does use: threads, memory, devices."""

from __future__ import annotations

import math
import os
import subprocess
from pathlib import Path

from tidemill.core.errors import PipelineError
from tidemill.engine.tasks import StepTask, peak_rss

#: Whether the system tells about processes in files (Linux).
HAS_PROC = Path("/proc/self/statm").exists()
#: Variables that numeric libraries read, when they are loaded or first used, for their number of threads.
THREAD_VARIABLES = (
    "BLIS_NUM_THREADS",
    "LOKY_MAX_CPU_COUNT",
    "MKL_NUM_THREADS",
    "NUMEXPR_MAX_THREADS",
    "NUMEXPR_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "POLARS_MAX_THREADS",
    "RAYON_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


def thread_environment(cpu: float | None) -> dict[str, str]:
    """The environment that limits numeric libraries to a number of threads; empty for no limit.

    >>> thread_environment(1.5)["OMP_NUM_THREADS"]
    '2'
    """
    return {} if cpu is None else dict.fromkeys(THREAD_VARIABLES, str(max(1, math.ceil(cpu))))


def refuse_missing_resources(task: StepTask) -> None:
    """Raise PipelineError if the task declares more than this machine has."""
    cores = os.cpu_count() or 1
    if task.cpu is not None and task.cpu > cores:
        raise PipelineError(
            f"step {task.node!r} declares cpu={task.cpu:g}, and this machine has {cores} cores",
            hint="Declare fewer, or run it on a larger machine.",
        )
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if task.memory is not None and task.memory > total:
        raise PipelineError(
            f"step {task.node!r} declares memory of {gibibytes(task.memory)}, and this machine has {gibibytes(total)}",
            hint="Declare less, or run it on a larger machine.",
        )
    if task.gpu:
        found = len(devices())
        if task.gpu > found:
            raise PipelineError(
                f"step {task.node!r} declares gpu={task.gpu}, and this machine has {found or 'none'} that can be used",
                hint="Run it on a machine with devices, or declare gpu=0.",
            )


def devices() -> tuple[str, ...]:
    """The NVIDIA devices that this process may use, as ``CUDA_VISIBLE_DEVICES`` names them."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    present = sorted(path.name.removeprefix("nvidia") for path in Path("/dev").glob("nvidia[0-9]*"))
    if visible is None:
        return tuple(present)
    named = [name.strip() for name in visible.split(",") if name.strip() not in ("", "-1", "NoDevFiles")]
    return tuple(named) if present else ()


def gibibytes(size: int) -> str:
    """A size for people.

    >>> gibibytes(3 * 2**29), gibibytes(300 * 2**20)
    ('1.5 GiB', '300 MiB')
    """
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{math.ceil(size / 2**20)} MiB"


def resident(pid: int) -> int:
    """Resident bytes of another process of ours; 0 if it is gone."""
    try:
        if HAS_PROC:
            return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        shown = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, check=False)
        return int(shown.stdout or 0) * 1024
    except (OSError, ValueError, IndexError):
        return 0


def reset_peak() -> bool:
    """Forget this process's peak memory so far, where the system can (Linux)."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def peak() -> int:
    """The peak resident bytes of this process since `reset_peak`."""
    if HAS_PROC:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return peak_rss()
