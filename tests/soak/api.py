"""Twenty thousand requests and more, made from the document: none may surprise.

`python3 start.py soak api` starts the product, and asks as a tenant and as the operator.
The suite does a hundredth of it.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.support import fuzzing
from tests.support.processes import OPERATOR_KEY, cluster, product

# Who asks that much is not who the limits are for.
SETTINGS = {
    f"DAYBOOK_LIMIT_{name}": "1000000"
    for name in ("DEFAULT", "PUBLISH", "AUTH", "TEST", "RETRY")
} | {"DAYBOOK_LOG_FORMAT": "none"}
OPERATORS = "/(tenants|keys|projections|me)"


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=200, help="of each operation")
    parser.add_argument("--seed", type=int, default=1)
    wanted = parser.parse_args()
    with (
        cluster() as postgres,
        tempfile.TemporaryDirectory() as folder,
        product(postgres.url, Path(folder), SETTINGS) as made,
    ):
        made.serve()
        made.work()
        _, key = made.tenant()
        failed = False
        for who, its_key, only in [
            ("a tenant", key, ""),
            ("the operator", OPERATOR_KEY, OPERATORS),
        ]:
            begun = time.monotonic()
            report = fuzzing.run(
                made.api_url,
                its_key,
                examples=wanted.examples,
                seed=wanted.seed,
                only=only,
            )
            failed |= bool(report.failures) or not report.cases
            print(
                f"{who}: {report.cases:,} cases of {report.operations} operations in"
                f" {time.monotonic() - begun:.0f} s\n{report.failures}",
                flush=True,
            )
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
