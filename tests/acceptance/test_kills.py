"""A short run of the soak `kills`: nothing acknowledged is lost."""

from pathlib import Path

import pytest

from tests.soak import kills
from tests.support.processes import cluster, product


@pytest.mark.timeout(120)
async def test_five_kills_of_api_and_postgres_lose_nothing(tmp_path: Path) -> None:
    with cluster() as postgres, product(postgres.url, tmp_path) as made:
        ledger = await kills.run(5, made, postgres)
        assert kills.judge(ledger, postgres.url) >= len(ledger.acknowledged) > 500
