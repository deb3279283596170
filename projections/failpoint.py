"""Named stops for crash tests; nothing at all unless the test harness arms them.

`DAYBOOK_FAILPOINTS=name=kill` (or `stop`; several with commas between them), together with
`DAYBOOK_TEST_HARNESS=1`, makes the process end itself, or stop, the first time it comes by
that name. Without the harness's flag the variable is refused, so it cannot be left armed by
accident; so is a name that is not listed here, which would test nothing.
"""

import os
import signal
import threading
from collections.abc import Mapping
from types import MappingProxyType

SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}

# Every stop there is, and what is done and what is not when a process ends there.
NAMES: Mapping[str, str] = MappingProxyType(
    {
        "append.call": "a group is taken from the queue; nothing is sent",
        "append.called": "the group is committed; nobody is told",
        "command.call": "a command is decided; nothing is sent",
        "command.called": "the command is committed; nobody is told",
        "projection.owned": "the checkpoint is locked; nothing is applied",
        "projection.applied": "a batch is applied; its checkpoint has not moved",
        "projection.advanced": "the checkpoint has moved; nothing is committed",
        "projection.committed": "the batch is committed; nobody is told",
        "handoff.owed": "deliveries are owed; nothing is committed",
        "handoff.tell": "deliveries are owed and committed; no lane is woken",
        "lanes.taken": "lanes are taken and recovered; nothing is committed",
        "lanes.begun": "first attempts are marked as begun; none is sent",
        "lanes.begun_again": "retries are marked as begun; none is sent",
        "lanes.answered": "a receiver has answered; nothing is written down",
        "lanes.settled": "the outcome is committed; the slot is not free yet",
        "replays.owed": "a piece of a replay is owed and committed; nobody goes on",
        "rebuild.batch": "a batch of new rows is written; nothing is committed",
        "rebuild.batched": "a batch of new rows is committed; more are missing",
        "rebuild.switch": "the pointer has moved; nothing is committed",
        "rebuild.switched": "the new rows are live; the old ones are not swept yet",
    }
)


def parse(text: str, *, in_harness: bool) -> dict[str, signal.Signals]:
    """What the variable asks for; raises RuntimeError when it may not, or cannot be."""
    if not text:
        return {}
    if not in_harness:
        raise RuntimeError("DAYBOOK_FAILPOINTS is for the test harness only: unset it")
    armed = {}
    for part in text.split(","):
        name, _, action = part.partition("=")
        if name not in NAMES or action not in SIGNALS:
            raise RuntimeError(f"DAYBOOK_FAILPOINTS: there is no failpoint {part!r}")
        armed[name] = SIGNALS[action]
    return armed


_ARMED = parse(
    os.environ.get("DAYBOOK_FAILPOINTS", ""),
    in_harness=os.environ.get("DAYBOOK_TEST_HARNESS") == "1",
)


def failpoint(name: str) -> None:
    """A place where a crash is tested."""
    if _ARMED and (action := _ARMED.pop(name, None)) is not None:
        # To this very thread: sent to the process, another could take it, and this one
        # would go on for a moment.
        signal.pthread_kill(threading.get_ident(), action)
