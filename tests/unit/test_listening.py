"""A port that cannot be had is told with the reason, and with what to do."""

import pytest
from click.testing import CliRunner

from workers import serve
from workers.cli import main


def test_a_taken_port_is_not_taken_twice() -> None:
    with serve.listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(serve.PortsTaken, match=f"port {port} is taken"):
            serve.listen("127.0.0.1", port)


def test_an_address_of_another_machine_is_not_called_taken() -> None:
    with pytest.raises(serve.PortsTaken, match="cannot be listened on: Cannot assign"):
        serve.listen("203.0.113.1", 0)


def test_the_receiver_says_so_as_well() -> None:
    with serve.listen("127.0.0.1", 0) as taken:
        port = str(taken.getsockname()[1])
        words = ["receive", "--secret", "whsec_x", "--port", port]
        answer = CliRunner().invoke(main, words)
    assert answer.exit_code == 1
    assert f"port {port} cannot be listened on" in answer.output


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--port", "65536", "not in the range"),
        ("--port", "-1", "not in the range"),
        ("--data-dir", __file__, "choose another --data-dir"),
    ],
)
def test_dev_says_what_it_cannot_use(option: str, value: str, said: str) -> None:
    answer = CliRunner().invoke(main, ["dev", option, value])
    assert answer.exit_code in (1, 2)
    assert said in answer.output
