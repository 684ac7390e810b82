"""vast.ai's REST API: offers, machines, money. No httpx exception leaves this module, and no key stands in an error.

Sources: vast-ai/docs (August 2026), the command line vastai 1.9.1, and the clients that others run against it.
"""

import datetime
from collections.abc import Iterator
from enum import StrEnum
from typing import Any, Self

from gpu.clients.vastai_answer import whole
from gpu.clients.vastai_create import CreateOutcome, CreateSpec, OutcomeUnknown, read_outcome
from gpu.clients.vastai_errors import (
    NotFound,
    NotSent,
    VastError,
    VastProtocolError,
    VastRateLimited,
    VastRejected,
    VastUnavailable,
)
from gpu.clients.vastai_limits import Endpoint, RateLimiter
from gpu.clients.vastai_logs import fetch_log
from gpu.clients.vastai_messages import (
    Account,
    Charge,
    Listing,
    Machine,
    Status,
    parse_account,
    parse_charge,
    parse_machine,
)
from gpu.clients.vastai_offers import PAGE_SIZE, OfferQuery, SearchResult, Sieve
from gpu.clients.vastai_transport import VastTransport, require

BASE_URL = "https://console.vast.ai"
LIST_PAGE = 25
CHARGES_PAGE = 100
MAX_PAGES = 200
LOG_LINES = 1000


class Start(StrEnum):
    """What a start did. `QUEUED`: the GPU is let to somebody else; the machine starts, and bills, when it is free."""

    STARTED = "started"
    QUEUED = "queued"


class Destroy(StrEnum):
    """What a destroy did. `ACCEPTED` is a promise; `GONE` says that there is no such machine (any more)."""

    ACCEPTED = "accepted"
    GONE = "gone"


class VastClient:
    """One account at vast.ai. Blocks; usable from any thread. A context manager.

    Calls wait for their turn: one limiter per address and key in the process, unless a `limiter` is given. Reads,
    label, stop, start and destroy are tried three times; create, reboot and recycle are sent once. All methods raise
    VastError; the ones that mean something to a caller are named below.
    """

    def __init__(self, base_url: str, key: str, *, limiter: RateLimiter | None = None) -> None:
        self._transport = VastTransport(base_url, key, limiter=limiter)
        self._ask = self._transport.ask

    def close(self) -> None:
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    # --- offers -----------------------------------------------------------------------------------------------------

    def search_offers(self, query: OfferQuery) -> SearchResult:
        """What can be rented now, cheapest first, judged by ourselves. Raises SearchQuota, VastUnavailable.

        vast.ai shows 64 offers a search: the next page begins at the last price.
        """
        sieve, body = Sieve(query), query.body()
        price_op = "gte"
        for _ in range(query.max_pages):
            page = _rows(self._ask(Endpoint.SEARCH, "POST", "/api/v0/bundles/", body=body), "offers")
            has_news = sieve.add(page)
            if len(page) < PAGE_SIZE or sieve.last_price > query.max_usd_per_hour:
                break
            if not has_news and price_op == "gt":
                break
            # A whole page at one price would come back for ever.
            price_op = "gte" if has_news else "gt"
            body = body | {"dph_total": {"lte": query.max_usd_per_hour, price_op: sieve.last_price}}
        return sieve.result()

    def create(self, offer_id: int, spec: CreateSpec) -> CreateOutcome:
        """Rent an offer on demand. Sent at most once; an outcome that is not known is a value, not an error.

        Raises NotSent, VastRateLimited and VastUnauthorized (TwoFactorKey, PermissionMissing): nothing was rented.
        """
        try:
            answer = self._transport.send(Endpoint.CREATE, "PUT", f"/api/v0/asks/{int(offer_id)}/", body=spec.body())
        except (NotSent, VastRateLimited):
            raise
        except VastError as exc:
            return OutcomeUnknown(str(exc))
        return read_outcome(Endpoint.CREATE, answer)

    # --- reading machines -------------------------------------------------------------------------------------------

    def list_instances(self, label_prefix: str = "") -> Listing:
        """Machines whose label begins with `label_prefix` ("": all), and whether every page was read.

        End the prefix with its slash: "i2v/a" is also how "i2v/ab/..." begins. Raises VastError when not even the first
        page could be read.
        """
        found: dict[int, Machine] = {}
        trouble = self._read_pages(found)
        machines = tuple(machine for machine in found.values() if machine.label.startswith(label_prefix))
        return Listing(machines, complete=not trouble, trouble=trouble)

    def _read_pages(self, found: dict[int, Machine]) -> str:
        """Collect all machines; the reason why they are not all, or ""."""
        rows = 0
        totals: set[int | None] = set()
        pages = self._pages(
            Endpoint.LIST,
            "/api/v1/instances/",
            {"limit": LIST_PAGE, "order_by": [{"col": "id", "dir": "asc"}]},
        )
        try:
            for page in pages:
                totals.add(whole(page.get("total_instances")))
                machines = [_machine_or_none(raw) for raw in _rows(page, "instances")]
                rows += len(machines)
                found.update({machine.id: machine for machine in machines if machine})
        except (VastUnavailable, VastProtocolError, VastRejected) as exc:
            if not rows:
                raise
            return str(exc)
        # Totals that differ between pages: something moved meanwhile, and a row may have slipped through.
        if rows == len(found) and totals == {rows}:
            return ""
        return f"{rows} rows with {len(found)} machines where vast.ai counts {sorted(map(str, totals))}"

    def _pages(self, endpoint: Endpoint, path: str, params: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Every page until the cursor ends. Raises VastProtocolError for a cursor that does not."""
        seen: set[str] = set()
        while len(seen) < MAX_PAGES:
            page = self._ask(endpoint, "GET", path, params=params)
            yield page
            token = page.get("next_token")
            if token is None or token == "":
                return
            if not isinstance(token, str) or token in seen:
                break
            seen.add(token)
            params = params | {"after_token": token}
        raise VastProtocolError(f"{endpoint}: the pages have no end")

    def show(self, instance_id: int) -> Machine | None:
        """One machine; None when vast.ai says that there is none. Just after a create that proves nothing."""
        try:
            data = self._ask(Endpoint.SHOW, "GET", _path(instance_id), params={"owner": "me"})
        except NotFound:
            return None
        machine = _one_machine(data, instance_id)
        if machine and machine.status is Status.RUNNING and not machine.ports:
            return self._with_ports(machine)
        return machine

    def _with_ports(self, machine: Machine) -> Machine:
        """The same machine from the list: a read by id may come without its ports."""
        params = {"select_filters": {"id": {"eq": machine.id}}, "limit": LIST_PAGE}
        try:
            rows = _rows(self._ask(Endpoint.LIST, "GET", "/api/v1/instances/", params=params), "instances")
            return next((each for each in map(parse_machine, rows) if each.id == machine.id), machine)
        except (VastUnavailable, VastProtocolError, VastRejected):
            return machine

    # --- changing machines ------------------------------------------------------------------------------------------

    def label(self, instance_id: int, label: str) -> None:
        """Rename a machine. Raises NotFound."""
        self._ask(Endpoint.UPDATE, "PUT", _path(instance_id), body={"label": label})

    def stop(self, instance_id: int) -> None:
        """Halt a machine, or take back a queued start. Its disk goes on billing. Raises NotFound."""
        self._ask(Endpoint.UPDATE, "PUT", _path(instance_id), body={"state": "stopped"})

    def start(self, instance_id: int) -> Start:
        """Start a stopped machine. Raises NotFound. A queued start that is not wanted: take it back with `stop`."""
        answer = self._transport.exchange(Endpoint.UPDATE, "PUT", _path(instance_id), body={"state": "running"})
        if not answer.succeeded and answer.data is not None and "queued" in answer.said.casefold():
            return Start.QUEUED
        require(Endpoint.UPDATE, answer)
        return Start.STARTED

    def reboot(self, instance_id: int) -> None:
        """Restart the container; the GPU and the ports stay. Raises NotFound."""
        self._ask(Endpoint.REBOOT, "PUT", f"/api/v0/instances/reboot/{int(instance_id)}/", body={}, retry=False)

    def recycle(self, instance_id: int) -> None:
        """Make the container anew from a fresh image; the GPU stays. Raises NotFound."""
        self._ask(Endpoint.RECYCLE, "PUT", f"/api/v0/instances/recycle/{int(instance_id)}/", body={}, retry=False)

    def destroy(self, instance_id: int) -> Destroy:
        """Give a machine back for good. Neither result proves that billing has ended: complete listings do."""
        try:
            self._ask(Endpoint.DESTROY, "DELETE", _path(instance_id))
        except NotFound:
            return Destroy.GONE
        return Destroy.ACCEPTED

    def logs(self, instance_id: int, tail: int = LOG_LINES) -> str:
        """The container's last lines. They hold secrets of the machine. Raises NotFound, VastUnavailable."""
        path = f"/api/v0/instances/request_logs/{int(instance_id)}/"
        url = self._ask(Endpoint.LOGS, "PUT", path, body={"tail": str(int(tail))}).get("result_url")
        if not isinstance(url, str):
            raise VastProtocolError("logs: no address")
        return fetch_log(url, base_url=self._transport.base_url, limiter=self._transport.limiter)

    # --- money ------------------------------------------------------------------------------------------------------

    def account(self) -> Account:
        """Whose key this is and the credit left."""
        return parse_account(self._ask(Endpoint.USER, "GET", "/api/v0/users/current"))

    def charges(self, start: datetime.datetime, end: datetime.datetime) -> list[Charge]:
        """What machines have cost between two moments, all of it or an error. vast.ai books with delay."""
        days = {"gte": int(start.timestamp()), "lte": int(end.timestamp())}
        params = {
            "select_filters": {"day": days, "type": {"in": ["instance"]}},
            "latest_first": False,
            "format": "table",
            "limit": CHARGES_PAGE,
        }
        pages = self._pages(Endpoint.CHARGES, "/api/v0/charges/", params)
        return [parse_charge(row) for page in pages for row in _rows(page, "results")]


def _path(instance_id: int) -> str:
    return f"/api/v0/instances/{int(instance_id)}/"


def _rows(data: dict[str, Any], key: str) -> list[Any]:
    rows = data.get(key)
    if not isinstance(rows, list):
        raise VastProtocolError(f"The answer has no {key}.")
    return rows


def _machine_or_none(raw: object) -> Machine | None:
    try:
        return parse_machine(raw)
    except VastProtocolError:
        return None


def _one_machine(data: dict[str, Any], instance_id: int) -> Machine | None:
    """The record comes as an object under a plural key, as a list of one, or as null."""
    if "instances" not in data:
        raise VastProtocolError("The answer has no instance.")
    record = data["instances"]
    if isinstance(record, list):
        record = record[0] if record else None
    if record is None:
        return None
    machine = parse_machine(record)
    if machine.id != instance_id:
        raise VastProtocolError("The answer is about another instance.")
    return machine
