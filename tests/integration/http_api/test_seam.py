"""No gap and no double between catching up and being live, whoever listens and however.

`start.py soak streams` does the same with ten times as many, for longer, on two processes.
"""

import pytest

from projections.log import live
from tests.integration.http_api.conftest import Account
from tests.support import seam


@pytest.mark.parametrize("ring", [4 * 1024 * 1024, 20_000], ids=["wide", "narrow"])
async def test_each_sees_every_event_once_and_in_order(
    account: Account, ring: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a narrow ring nearly everybody falls behind, and reads on by itself."""
    monkeypatch.setattr(live, "RING_BYTES", ring)
    report = await seam.run(
        [account.server.url],
        account.key,
        clients={seam.Sse: 20, seam.WebSocket: 8, seam.Consumer: 4},
        events=600,
        seed=ring,
        mean=150,
    )
    assert "600 events, 32 clients" in report
