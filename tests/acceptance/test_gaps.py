"""A short run of the soak `gaps`: a live tail misses nothing and sees nothing twice."""

from pathlib import Path

import pytest

from tests.soak import gaps
from tests.support.postgres import database
from tests.support.processes import cluster


@pytest.mark.timeout(180)
async def test_a_live_tail_sees_exactly_what_is_committed(
    tmp_path: Path, server_url: str, template: str
) -> None:
    # The restored log's roles are the server's, made for the template.
    with cluster() as postgres, database(server_url) as fresh_url:
        score = await gaps.run(
            postgres, fresh_url, tmp_path, events=8000, processes=2, rounds=1
        )
    assert score.events > 8000
    assert score.refused > 0
    assert score.moved_at < score.events
