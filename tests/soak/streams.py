"""Two hundred readers that come, are cut off and come back, for 20,000 events.

Over SSE, WebSockets and consumers, from two API processes, of which one is killed now and
then. At the end each has seen every event it wants once and in order. `python3 start.py
soak streams`; the suite does a tenth of it, without the kills.
"""

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

from tests.support import seam
from tests.support.processes import Process, Product, cluster, product

KINDS = {"sse": seam.Sse, "websockets": seam.WebSocket, "consumers": seam.Consumer}
# Readers ask as often as they like, and are not who is tested.
SETTINGS = {"DAYBOOK_LIMIT_DEFAULT": "1000000", "DAYBOOK_LOG_FORMAT": "none"}


async def trouble(process: Process, made: Product, seconds: float) -> None:
    """Kill the process, and start it again, every so many seconds."""
    while True:
        await asyncio.sleep(seconds)
        await asyncio.to_thread(process.kill)
        process.start()
        await asyncio.to_thread(made.wait_until_ready)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--sse", type=int, default=200)
    parser.add_argument("--websockets", type=int, default=20)
    parser.add_argument("--consumers", type=int, default=10)
    parser.add_argument("--kill-seconds", type=float, default=5.0, help="0: no kills")
    parser.add_argument("--seed", type=int, default=1)
    wanted = parser.parse_args()
    with (
        cluster() as postgres,
        tempfile.TemporaryDirectory() as one,
        tempfile.TemporaryDirectory() as two,
        product(postgres.url, Path(one), SETTINGS) as steady,
        product(postgres.url, Path(two), SETTINGS) as shaken,
    ):
        steady.serve()
        process = shaken.serve()
        _, key = steady.tenant()
        seconds = wanted.kill_seconds
        begun = time.monotonic()
        report = asyncio.run(
            seam.run(
                [steady.api_url, shaken.api_url],
                key,
                clients={kind: getattr(wanted, name) for name, kind in KINDS.items()},
                events=wanted.events,
                seed=wanted.seed,
                mean=wanted.events // 4,
                meanwhile=trouble(process, shaken, seconds) if seconds else None,
            )
        )
    print(f"{report}; {time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    main()
