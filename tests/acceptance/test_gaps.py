"""A short run of the soak `gaps`: a live tail misses nothing and sees nothing twice."""

from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from tests.soak import gaps
from tests.support.processes import cluster


@pytest.mark.timeout(180)
async def test_a_live_tail_sees_exactly_what_is_committed(tmp_path: Path) -> None:
    # The other is of the same version: an older one cannot read a newer one's dump. Its
    # roles are there, made by the migrations of its own database.
    with cluster() as postgres, cluster() as other:
        with psycopg.connect(other.url, autocommit=True) as connection:
            connection.execute("create database fresh")
        fresh_url = make_conninfo(other.url, dbname="fresh")
        score = await gaps.run(
            postgres, fresh_url, tmp_path, events=8000, processes=2, rounds=1
        )
    assert score.events > 8000
    assert score.refused > 0
    assert score.moved_at < score.events
