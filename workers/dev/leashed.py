"""Runs a program until standard input ends: it ends with whoever started it, killed or not.

python -m workers.dev.leashed program.py
"""

import os
import runpy
import sys
import threading
from pathlib import Path


def run(program: Path) -> None:
    """Run the program as if it had been started by itself."""
    threading.Thread(target=_end_with_input, daemon=True).start()
    sys.argv = [str(program)]
    sys.path[0] = str(program.parent)
    runpy.run_path(str(program), run_name="__main__")


def _end_with_input() -> None:
    sys.stdin.buffer.read()
    os._exit(0)  # at once: such a program outlives kills by its own means


if __name__ == "__main__":
    run(Path(sys.argv[1]))
