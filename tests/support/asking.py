"""A process that asks for a quota: `python -m tests.support.asking URL HOW SIZE TIMES`.

Says `ready`, waits for a line, asks as often as it is told, 50 at a time, and prints how
much it was granted.
"""

import asyncio
import sys

from projections.postgres import Link
from projections.rates import Quota, Rates

AT_ONCE = 50


async def ask(url: str, how: str, size: int, times: int) -> int:
    """How much of `times` was granted."""
    link = Link(url, "daybook_edge", "asking")
    rates, quota = Rates(link), Quota("asked for", size)
    await link.connection()
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    granted = 0
    for start in range(0, times, AT_ONCE):
        count = min(AT_ONCE, times - start)
        asked = [getattr(rates, how)(quota) for _ in range(count)]
        granted += sum(taken.is_granted for taken in await asyncio.gather(*asked))
    await link.close()
    return granted


if __name__ == "__main__":
    url, how, size, times = sys.argv[1:]
    print(asyncio.run(ask(url, how, int(size), int(times))))
