"""Named stops for crash tests; nothing at all unless the test harness arms them.

`DAYBOOK_FAILPOINTS=name=kill` (or `stop`), together with `DAYBOOK_TEST_HARNESS=1`, makes
the process end itself, or stop, the first time it comes by that name. Without the harness's
flag the variable is refused, so it cannot be left armed by accident.
"""

import os
import signal

SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}


def _armed() -> dict[str, signal.Signals]:
    text = os.environ.get("DAYBOOK_FAILPOINTS")
    if not text:
        return {}
    if os.environ.get("DAYBOOK_TEST_HARNESS") != "1":
        raise RuntimeError("DAYBOOK_FAILPOINTS is for the test harness only: unset it")
    return {
        name: SIGNALS[action]
        for name, _, action in (part.partition("=") for part in text.split(","))
    }


_ARMED = _armed()


def failpoint(name: str) -> None:
    """A place where a crash is tested."""
    if _ARMED and (action := _ARMED.pop(name, None)) is not None:
        os.kill(os.getpid(), action)
