"""A bare endpoint on the API's server: decodes an event and answers 202, nothing more.

What publishing is measured against: the same server, framework and types, without keys,
checks, limits, a log, or the headers that every response carries.
`python -m benchmarks.rig.bare PORT`.
"""

import sys
from typing import Any

import uvloop
from litestar import Litestar, Request, post

from api import answers, reading
from api.answers import Answer
from api.log.schemas import Published, PublishEvent
from workers import serve

PATH = "/api/v1/events"
_PUBLISHED = Published("evt_" + "0" * 26, 1, "site/7", 1, "2026-11-20T07:59:58.120000Z")


@post(PATH, status_code=202)
async def publish(request: Request[Any, Any, Any]) -> Answer:
    """Decode, and say that it is done."""
    reading.decode(await request.body(), PublishEvent)
    return answers.json(_PUBLISHED, status=202)


def create() -> Litestar:
    """The application, for `benchmarks.rig.bare:create`."""
    return Litestar([publish], openapi_config=None, logging_config=None)


async def main(port: int) -> None:
    """Serve until told to stop."""
    serve.APPLICATION = "benchmarks.rig.bare:create"
    await serve.server().serve(sockets=[serve.listen("127.0.0.1", port)])


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
