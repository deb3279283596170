"""Cases made from the document surprise nobody; `start.py soak api` has more of them."""

from api.settings import ApiSettings
from projections.vault import generate_keys
from tests.integration.http_api.conftest import Account, running
from tests.support import fuzzing


def test_cases_of_every_operation(account: Account) -> None:
    # given: a server that does not say "too many" to most of them
    rates = dict.fromkeys(("limit_default", "limit_test", "limit_retry"), 10**6)
    settings = ApiSettings(
        database_url=account.server.database_url,
        secret_keys=generate_keys(),
        operator_key="operator-key-of-nobody",
        **rates,
    )
    with running(settings) as url:
        # when
        report = fuzzing.run(
            url,
            account.key,
            examples=4,
            seed=1,
            phases=("examples", "fuzzing"),
            but=f"{fuzzing.LIVE}|/test$",  # which waits for a worker
        )
    # then
    assert not report.failures, report.failures
    assert report.operations > 50
    assert report.cases > 200
