"""Files of a stranger: bits flipped, bytes gone, lengths that are not; a library that ends the process is seen to."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_PROGRAM = """
import random, resource, signal, sys
import numpy as np
from tidemill.core.errors import UnsafeModelError
from tidemill.packaging.formats import native_format

framework, path, times = sys.argv[1], sys.argv[2], int(sys.argv[3])
resource.setrlimit(resource.RLIMIT_CPU, (300, 300))  # a walk in a circle ends here
form, whole = native_format(framework), open(path, "rb").read()
rows = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)
WORDS = [b"\\x7f\\xff\\xff\\xff", bytes(4), b"\\xff" * 4, b"\\xff\\xff\\xff\\x7f", b"\\0\\0\\x0f\\xff"]


def bitten(draw):
    data, how = bytearray(whole), draw.randrange(4)
    for _ in range(draw.choice([1, 1, 2, 5])):
        place = draw.randrange(len(data))
        if how == 0:
            data[place] ^= 1 << draw.randrange(8)
        elif how == 1:
            data[place] = draw.choice([0, 255, 127, 128])
        elif how == 2:
            data[place : place + 4] = draw.choice(WORDS)
        else:
            del data[place : place + draw.choice([1, 4, len(data)])]
            data = data or bytearray(b"x")
    return bytes(data)


refused = 0
for seed in range(times):
    print(seed, flush=True)
    try:
        estimator = form.load({form.FILE: bitten(random.Random(seed))})
    except UnsafeModelError:
        refused += 1
        continue
    try:
        form.predict(estimator, rows, "binary")
    except Exception as error:  # said, and not the end of the process
        print(type(error).__name__)
assert refused > times / 3, refused
print("alive")
"""


def check_survives(framework: str, data: bytes, folder: Path, times: int) -> None:
    """Another process reads what became of a native file many times, and refuses it or answers; it never ends."""
    path = folder / "model"
    path.write_bytes(data)
    command = [sys.executable, "-W", "ignore", "-c", _PROGRAM, framework, str(path), str(times)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.returncode} at seed {done.stdout.split()[-1:]}: {done.stderr[-2000:]}"
    assert done.stdout.endswith("alive\n")
