"""The API of vast.ai with nothing but httpx: what the simulator's own tests are driven with."""

import json
from types import TracebackType
from typing import Any

import httpx

from tests.simulators.vastai import VastSimulator

PORTAL = "localhost:1111:11111:/:Instance Portal|localhost:7865:17865:/:SwarmUI"
ENV = {"-p 1111:1111": "1", "-p 7865:7865": "1", "WEB_PASSWORD": "secret", "PORTAL_CONFIG": PORTAL}
BEARER = {"Authorization": "Bearer secret"}
BOOT_SECONDS = 80.0  # until everything is ready, with the fixture's knobs


class Market:
    """One renter. `rent` answers the id of a new instance."""

    def __init__(self, vast: VastSimulator, key: str | None = None) -> None:
        self.vast = vast
        headers = {"Authorization": f"Bearer {key or vast.api_key}"}
        self.http = httpx.Client(base_url=vast.url, headers=headers, timeout=20, trust_env=False)

    def __enter__(self) -> "Market":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.http.close()

    def offers(self, **query: Any) -> list[dict[str, Any]]:
        answer = self.http.post("/api/v0/bundles/", json={"order": [["dph_total", "asc"]]} | query)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["offers"]
        return found

    def single(self) -> dict[str, Any]:
        """The cheapest offer of one GPU of 24 GB."""
        return self.offers(gpu_ram={"gte": 24000}, num_gpus={"eq": 1}, rentable={"eq": True})[0]

    def create(self, offer_id: int | None = None, **changes: Any) -> httpx.Response:
        wanted = {"client_id": "me", "image": "vastai/swarmui:latest", "disk": 60, "env": ENV, "runtype": "args"}
        number = offer_id or self.single()["id"]
        return self.http.put(f"/api/v0/asks/{number}/", json=wanted | {"label": "a label"} | changes)

    def rent(self, offer_id: int | None = None, **changes: Any) -> int:
        answer = self.create(offer_id, **changes)
        assert answer.json()["success"], answer.text
        return int(answer.json()["new_contract"])

    def show(self, number: int) -> dict[str, Any]:
        record: dict[str, Any] = self.get(f"v0/instances/{number}/", owner="me").json()["instances"]
        return record

    def list(self, **query: Any) -> dict[str, Any]:
        page: dict[str, Any] = self.get("v1/instances/", **query).json()
        return page

    def get(self, path: str, **query: Any) -> httpx.Response:
        texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in query.items()}
        return self.http.get(f"/api/{path}", params=texts)

    def put(self, path: str, **body: Any) -> httpx.Response:
        return self.http.put(f"/api/{path}", json=body)

    def destroy(self, number: int) -> httpx.Response:
        return self.http.delete(f"/api/v0/instances/{number}/")

    def address(self, number: int, port: int = 7865) -> str:
        """Where a port of the instance is reached."""
        shown = self.show(number)
        outer = shown["ports"][f"{port}/tcp"][0]["HostPort"]
        return f"http://{shown['public_ipaddr'].strip()}:{outer}"
