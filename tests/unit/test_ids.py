"""Ids: text and value are the same thing, they sort, and a malformed one is none."""

import os
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import ids
from domain.ids import DeliveryKey, MalformedId

KEYS = st.builds(
    DeliveryKey,
    position=st.integers(1, 2**50 - 1),
    webhook_number=st.integers(1, 2**28 - 1),
    replay=st.integers(0, 2**28 - 1),
    number=st.just(0),
)


@given(st.uuids())
def test_an_id_is_its_uuid(value: UUID) -> None:
    text = ids.encode("wh", value)
    assert len(text) == len("wh_") + ids.LENGTH
    assert ids.decode("wh", text) == value


@given(st.lists(st.uuids(), min_size=2))
def test_texts_sort_as_values_do(values: list[UUID]) -> None:
    assert [
        ids.decode("evt", t) for t in sorted(ids.encode("evt", v) for v in values)
    ] == (sorted(values))


def test_a_new_id_is_later_than_an_older_one() -> None:
    older, newer = ids.new().int >> 80, ids.new().int >> 80
    assert older <= newer


def test_a_fresh_id_is_a_new_one_written_out() -> None:
    before = ids.new().int >> 80
    fresh = [ids.fresh("evt") for _ in range(1000)]
    after = ids.new().int >> 80
    numbers = [ids.decode("evt", text).int for text in fresh]
    assert all(before <= number >> 80 <= after for number in numbers)
    assert len(set(numbers)) == 1000
    # The noise is noise: each of its 80 bits is set about half the time.
    for bit in range(80):
        assert 350 < sum(number >> bit & 1 for number in numbers) < 650


def test_a_forked_process_has_noise_of_its_own() -> None:
    ids.fresh("evt")
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, ids.fresh("evt").encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert ids.fresh("evt")[-16:] != os.read(reader, 64).decode()[-16:]
    os.close(reader)
    os.close(writer)


@given(KEYS)
def test_a_delivery_id_names_its_delivery(key: DeliveryKey) -> None:
    assert ids.parse_delivery(ids.delivery(key)) == key
    assert ids.attempt(key._replace(number=3)) != ids.attempt(key._replace(number=4))


@given(KEYS, KEYS)
def test_delivery_ids_sort_by_position(one: DeliveryKey, other: DeliveryKey) -> None:
    if one.position < other.position:
        assert ids.delivery(one) < ids.delivery(other)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "wh_",
        "evt_01m7wjyjm5sdp7pg7vnk69x68x",
        "wh_01m7wjyjm5sdp7pg7vnk69x68",
        "wh_01m7wjyjm5sdp7pg7vnk69x68xx",
        "wh_01M7WJYJM5SDP7PG7VNK69X68X",
        "wh_uuuuuuuuuuuuuuuuuuuuuuuuuu",
        "wh_zzzzzzzzzzzzzzzzzzzzzzzzzz",
        "wh_01m7wjyjm5sdp7pg7vnk69x6é8",
    ],
)
def test_what_is_malformed_is_no_id(text: str) -> None:
    with pytest.raises(MalformedId):
        ids.decode("wh", text)


def test_an_attempts_id_is_no_deliverys() -> None:
    text = ids.attempt(DeliveryKey(7, 1, 0, 1)).replace("att_", "dlv_")
    with pytest.raises(MalformedId):
        ids.parse_delivery(text)
