"""A process that has used HDFS must be able to fork, as `multiprocessing` does; the child must not wait for ever."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import contextlib, os
from tidemill.integrations.hdfs import Hdfs

system = Hdfs(host="127.0.0.1", port=1)
with contextlib.suppress(OSError):
    system.exists("/nothing")  # starts the threads of the client
del system  # what would be left of it is in a cache of fsspec
child = os.fork()
if child == 0:
    os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_process_that_has_used_hdfs_can_fork():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout == "7\n"
