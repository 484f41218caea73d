"""Run a command, and end it with all its children if whoever started it ends, even by `kill -9`.

Start `python -m cyborg.grid.guard COMMAND …` in a session of its own, with a pipe as its standard
input. The system closes the pipe when the starting process ends in any way. The guard then
interrupts the whole process group, waits for a short time and kills it.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys

# Seconds that Snakemake has to cancel the jobs of a cluster. Local cells end at once.
GRACE = 15.0
# Seconds between two looks at the command and the pipe.
INTERVAL = 0.2


def guard_command(command: list[str]) -> int:
    """Run a command until it or its starter ends. Return its exit code.

    If the command is killed or the starter ends, this kills the whole group, itself included.
    """
    # Snakemake ends its cells only if it is interrupted. A shell's background job ignores that.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while process.poll() is None:
        ended, _, _ = select.select([sys.stdin], [], [], INTERVAL)
        if ended:
            os.killpg(0, signal.SIGINT)
            try:
                process.wait(GRACE)
            finally:
                os.killpg(0, signal.SIGKILL)
    if process.returncode < 0:  # its children go on without it
        os.killpg(0, signal.SIGKILL)
    return process.returncode


if __name__ == "__main__":
    sys.exit(guard_command(sys.argv[1:]))
