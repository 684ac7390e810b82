"""Lists that go over pages: whether a listing is complete is what the life of machines hangs on."""

import datetime
from decimal import Decimal
from typing import Any

import pytest

from gpu.clients.vastai_errors import VastError, VastProtocolError, VastRejected, VastUnauthorized, VastUnavailable
from tests.gpu.vastai import MACHINE, hangs_up, says, vast, writes
from tests.simulators.wire import Handler


def page(*ids: int, total: int | None = None, token: Any = None, **fields: Any) -> Handler:
    rows = [MACHINE | {"id": number, "label": f"i2v/test/{number}"} for number in ids]
    answer = {"success": True, "instances_found": len(rows), "instances": rows, "next_token": token}
    return says(answer | ({} if total is None else {"total_instances": total}) | fields)


def test_a_listing_is_read_page_by_page_until_the_cursor_ends() -> None:
    with vast(page(1, 2, total=3, token="t1"), page(3, total=3)) as server:
        listing = server.client.list_instances()
    assert [machine.id for machine in listing.machines] == [1, 2, 3]
    assert (listing.complete, listing.trouble) == (True, "")
    first, second = server.asked
    assert (first.path, first.query) == (
        "/api/v1/instances/",
        {"limit": "25", "order_by": '[{"col": "id", "dir": "asc"}]'},
    )
    assert second.query == first.query | {"after_token": "t1"}
    assert second.at - first.at >= 1.0


def test_an_account_without_machines_is_a_complete_listing() -> None:
    with vast(page(total=0)) as server:
        listing = server.client.list_instances()
    assert (listing.machines, listing.complete) == ((), True)


def test_the_label_is_compared_by_ourselves() -> None:
    rows = [
        MACHINE | {"id": number, "label": label} for number, label in enumerate(("i2v/a/1", None, "x", "i2v/b/1"), 1)
    ]
    with vast(says({"instances": rows, "total_instances": 4, "next_token": None})) as server:
        listing = server.client.list_instances("i2v/a/")
    assert [machine.id for machine in listing.machines] == [1]
    assert listing.complete
    assert "select_filters" not in server.asked[0].query


@pytest.mark.parametrize(
    "answers",
    [
        [page(1, 2, total=3)],  # a row is missing
        [page(1, 2, total=1)],
        [page(1, 2)],  # nobody says how many there are
        [page(1, 2, total_instances="2 or so")],
        [page(1, 2, total=2, token="t1"), page(2, total=2)],  # a row twice, another perhaps never
        [page(1, 2, total=4, token="t1"), page(4, total=3)],  # one vanished and another slipped through meanwhile
        [page(1, total=2, token="t1"), page(2, total=2, token="t1")],  # the cursor stands still
        [page(1, total=2, token="t1"), page(2, total=2, token=5)],
        [page(1, total=2, token="t1"), writes("", status=502)],
        [page(1, total=2, token="t1"), hangs_up],
        [page(1, total=2, token="t1"), writes("<html>")],
        [page(1, total=2, token="t1"), says({"success": False, "error": "invalid_token"}, status=400)],
        [page(1, total=2, token="t1"), says({"success": True})],
        [says({"instances": [MACHINE | {"id": 1}, {"id": None}], "total_instances": 2})],
        [says({"instances": [MACHINE | {"id": 1}, "row"], "total_instances": 1})],
    ],
)
def test_a_listing_that_is_not_surely_whole_is_incomplete(answers: list[Handler]) -> None:
    with vast(*answers) as server:
        listing = server.client.list_instances()
    assert not listing.complete
    assert listing.trouble
    assert 1 in [machine.id for machine in listing.machines]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (writes("", status=502), VastUnavailable),
        (writes("<html>"), VastProtocolError),
        (says({"success": True}), VastProtocolError),
        (says({"success": False, "error": "odd", "instances": [], "total_instances": 0}), VastRejected),
        (writes("", status=401), VastUnauthorized),
    ],
)
def test_a_listing_without_a_first_page_is_an_error(answer: Handler, kind: type[VastError]) -> None:
    with vast(answer) as server, pytest.raises(VastError) as caught:
        server.client.list_instances()
    assert type(caught.value) is kind


def test_a_cursor_that_always_moves_on_is_given_up() -> None:
    pages = [page(number, total=9999, token=f"t{number}") for number in range(1, 250)]
    with vast(*pages) as server:
        listing = server.client.list_instances()
    assert not listing.complete
    assert len(server.asked) <= 201


# --- charges --------------------------------------------------------------------------------------------------------

SPAN = (datetime.datetime(2026, 11, 1, tzinfo=datetime.UTC), datetime.datetime(2026, 11, 2, tzinfo=datetime.UTC))
CHARGE = {
    "start": 1793491200,
    "end": 1793494800,
    "type": "instance",
    "source": "instance-4242",
    "description": "Instance 4242",
    "amount": 0.412,
    "metadata": {"label": "i2v/test/1"},
    "items": [{"type": "gpu", "amount": 0.4, "description": "1 h"}, {"type": "bwd", "amount": 0.012}],
}


def test_charges_say_what_each_label_has_cost() -> None:
    last = says({"success": True, "results": [CHARGE | {"source": "instance-7"}], "next_token": None})
    with vast(says({"success": True, "results": [CHARGE], "next_token": "t1"}), last) as server:
        first, second = server.client.charges(*SPAN)
    assert (first.instance_id, first.label, first.usd) == (4242, "i2v/test/1", Decimal("0.412"))
    assert [(item.kind, item.usd) for item in first.items] == [("gpu", Decimal("0.4")), ("bwd", Decimal("0.012"))]
    assert second.instance_id == 7
    assert server.asked[0].query["select_filters"] == (
        '{"day": {"gte": 1793491200, "lte": 1793577600}, "type": {"in": ["instance"]}}'
    )
    assert server.asked[1].query["after_token"] == "t1"


@pytest.mark.parametrize(
    "answer",
    [
        says({"success": True}),
        says({"results": [CHARGE, {}]}),
        says({"results": [CHARGE, None]}),
        says({"results": [CHARGE | {"amount": "0.4"}]}),
        says({"results": [CHARGE | {"items": [{"type": "gpu"}]}]}),
        says({"results": [CHARGE], "next_token": 5}),
        says({"results": [CHARGE], "next_token": "t1"}),  # for ever the same page
    ],
)
def test_charges_come_whole_or_not_at_all(answer: Handler) -> None:
    with vast(answer) as server, pytest.raises(VastProtocolError):
        server.client.charges(*SPAN)


def test_a_charge_without_a_label_or_a_machine_still_counts() -> None:
    bare = {"amount": 1, "source": "contract-7", "metadata": None}
    with vast(says({"results": [bare], "next_token": ""})) as server:
        (charge,) = server.client.charges(*SPAN)
    assert (charge.instance_id, charge.label, charge.usd, charge.items) == (None, "", Decimal(1), ())


def test_a_refusal_with_status_200_is_no_empty_list_of_charges() -> None:
    with vast(says({"success": False, "msg": "date range"})) as server, pytest.raises(VastRejected):
        server.client.charges(*SPAN)
