"""Events to publish in quantity: real ones when a file of them is named, else made up.

`DAYBOOK_PAYLOADS` names an NDJSON file of {"type", "stream", "data"} lines. The made-up
ones hold what re-encoding would change: number spellings, escapes, blanks, member order.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ODD = (
    rb'{"n":1e2,"m":1.10,"zero":-0,"long":0.1000000000000000055,"b":1,"a":2}',
    rb'{ "spaced" : [ 1,  2 ,3 ], "escaped":"\u00e9\/\ud83d\ude00" }',
    '{"plain":"é 😀 \u2028"}'.encode(),
    rb'{"deep":{"er":{"est":[{"x":null},{"y":true},{"z":"\"quoted\""}]}},"empty":{}}',
    rb'{"text":"line\nbreak\ttab","html":"<a href=\"x\">&amp;</a>","big":9007199254740991}',
)
TYPES = ("github.push", "github.issues.opened", "chantier.created", "heures.validated")


@dataclass(frozen=True)
class Payload:
    """An event's type and stream, and its data as the bytes that are sent."""

    type: str
    stream: str | None
    data: bytes

    def body(self, event_id: str) -> bytes:
        """The request body, with `data` spliced in untouched."""
        head: dict[str, Any] = {"id": event_id, "type": self.type}
        if self.stream:
            head["stream"] = self.stream
        return json.dumps(head)[:-1].encode() + b', "data": ' + self.data + b"}"


def payloads(count: int) -> list[Payload]:
    """So many, in a fixed order."""
    named = os.environ.get("DAYBOOK_PAYLOADS")
    pool = _read(Path(named)) if named else _made_up()
    return [pool[number % len(pool)] for number in range(count)]


def _read(path: Path) -> list[Payload]:
    found = []
    for line in path.read_text("utf-8").splitlines():
        event = json.loads(line)
        # As it stands in the file, not as json would write it again.
        start = line.index('"data":') + len('"data":')
        found.append(
            Payload(event["type"], event.get("stream"), line[start:-1].strip().encode())
        )
    return found


def _made_up() -> list[Payload]:
    return [
        Payload(event_type, f"made/{number}", data)
        for number, data in enumerate(ODD)
        for event_type in TYPES
    ]
