"""Programs beside an example: each a process that ends with us, its lines on our screen."""

import asyncio
import contextlib
import os
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import Callable
from pathlib import Path

from workers.serve import listen

_HOST = "127.0.0.1"
_FIRST_WORD_SECONDS = 10.0
_OTHER_PORTS = 50  # how many to try after the wished one


class Programs:
    """What runs; `show` is given each line with the name of its program."""

    def __init__(self, show: Callable[[str, str], None]) -> None:
        self._show = show
        self._running: list[tuple[Process, asyncio.Task[None]]] = []

    async def start(
        self, name: str, program: Path, data: Path, port: int, **environ: str
    ) -> None:
        """Start one, with a folder for its data and a port that is free now.

        Returns when it has said its first line, as programs do that are ready.
        """
        given = {"DATA": str(data), "PORT": str(_free(port)), "PYTHONUNBUFFERED": "1"}
        # None of the secrets that this process has set for its own parts.
        inherited = {k: v for k, v in os.environ.items() if "DAYBOOK_" not in k}
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "workers.dev.leashed",
            str(program),
            stdin=PIPE,
            stdout=PIPE,
            stderr=STDOUT,
            env=inherited | given | environ,
            start_new_session=True,  # Ctrl-C is for us; they end with the pipe
        )
        heard = asyncio.Event()
        reading = asyncio.create_task(self._read(name, process, heard))
        self._running.append((process, reading))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(heard.wait(), _FIRST_WORD_SECONDS)

    async def stop(self) -> None:
        """End them all."""
        for process, _ in self._running:
            if process.returncode is None:
                process.kill()  # whatever they keep outlives that
        for process, reading in self._running:
            await process.wait()
            await reading

    async def _read(self, name: str, process: Process, heard: asyncio.Event) -> None:
        while process.stdout and (line := await process.stdout.readline()):
            self._show(name, line.decode("utf-8", "replace").rstrip())
            heard.set()
        heard.set()


def _free(port: int) -> int:
    with listen(_HOST, port, others=_OTHER_PORTS) as found:
        return int(found.getsockname()[1])
