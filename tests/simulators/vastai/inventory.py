"""The machines for rent, made from a seed: GPUs, prices, places and hosts in realistic proportions."""

import random
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Gpu(NamedTuple):
    name: str
    ram_mb: int
    mem_bw: float  # GB/s
    tflops: float
    dlperf: float
    compute_cap: int
    power_w: int
    price: float  # $ per hour
    weight: int  # how common it is


GPUS = (
    Gpu("RTX 3060", 12288, 320.0, 12.7, 13.1, 860, 170, 0.07, 6),
    Gpu("RTX 3090", 24576, 830.0, 35.6, 29.0, 860, 350, 0.18, 12),
    Gpu("RTX 4080", 16376, 640.0, 48.7, 49.0, 890, 320, 0.26, 5),
    Gpu("RTX 4090", 24564, 3532.4, 82.58, 92.4, 890, 450, 0.40, 30),
    Gpu("RTX 5090", 32607, 1510.0, 104.8, 196.0, 1200, 575, 0.75, 16),
    Gpu("RTX A6000", 49140, 620.0, 38.7, 38.0, 860, 300, 0.42, 5),
    Gpu("L40S", 46068, 720.0, 91.6, 80.0, 890, 350, 0.60, 5),
    Gpu("A100 PCIE", 40960, 1300.0, 19.5, 40.0, 800, 250, 0.62, 4),
    Gpu("A100 SXM4", 81920, 1800.0, 19.5, 55.0, 800, 400, 1.00, 6),
    Gpu("H100 SXM", 81559, 2900.0, 66.9, 190.0, 900, 700, 2.20, 6),
    Gpu("H200", 143771, 4200.0, 66.9, 210.0, 900, 700, 3.50, 3),
    Gpu("B200", 183359, 7000.0, 75.0, 380.0, 1000, 1000, 4.49, 2),
)
PLACES = (
    *("Texas, US", "California, US", "Washington, US", "Quebec, CA", "Sweden, SE", "Norway, NO", "Germany, DE"),
    *("France, FR", "Czechia, CZ", "Poland, PL", "Bulgaria, BG", "Iceland, IS", "Taiwan, TW", "Japan, JP"),
    *("South Korea, KR", "Thailand, TH", "China, CN", "Ukraine, UA", "Brazil, BR", "South Africa, ZA"),
)
CPUS = ("AMD EPYC 7543 32-Core Processor", "AMD EPYC 9354", "Xeon® E5-2680 v4", "AMD Ryzen 9 7950X", "Xeon® Gold 6248")
DRIVERS = (("535.183.01", 12.2), ("550.127.05", 12.4), ("565.57.01", 12.7), ("570.133.07", 12.8), ("580.82.09", 13.0))
DISKS = ("SAMSUNG MZQL2", "WD_BLACK SN850X", "nvme", "KINGSTON SNV2S")
BLACKWELL = 1000
FIRST_ASK = 31000000
STRANGER = "stranger"  # somebody else holds a GPU


@dataclass(eq=False)
class Machine:
    """One box. `taken` says for each GPU who holds it: an instance's id, or STRANGER."""

    id: int
    facts: dict[str, Any]
    gpu: Gpu
    num_gpus: int
    taken: dict[int, int | str] = field(default_factory=dict)
    cached_images: set[str] = field(default_factory=set)

    def free(self, gpus: tuple[int, ...]) -> bool:
        return not any(gpu in self.taken for gpu in gpus)

    def hold(self, gpus: tuple[int, ...], holder: int | str) -> None:
        for gpu in gpus:
            self.taken[gpu] = holder

    def let_go(self, holder: int | str) -> None:
        self.taken = {gpu: who for gpu, who in self.taken.items() if who != holder}


@dataclass(eq=False)
class Ask:
    """What can be rented: some GPUs of a machine, at a price per GPU and hour."""

    id: int
    machine: Machine
    gpus: tuple[int, ...]
    price_per_gpu: float
    gone: bool = False

    @property
    def on_market(self) -> bool:
        return not self.gone and self.machine.free(self.gpus)


class Inventory:
    """All machines and asks; the same ones for the same seed."""

    def __init__(self, *, seed: int, machines: int) -> None:
        self._random = random.Random(f"inventory {seed}")
        self.machines: dict[int, Machine] = {}
        self.asks: dict[int, Ask] = {}
        for number in range(machines):
            self._add_machine(number)

    def _add_machine(self, number: int) -> None:
        draw = self._random
        gpu = draw.choices(GPUS, [each.weight for each in GPUS])[0]
        num_gpus = draw.choices((1, 2, 4, 8), (50, 20, 20, 10))[0]
        machine_id = 20000 + number * 7 + draw.randrange(7)
        machine = Machine(machine_id, _facts(draw, gpu, num_gpus, number), gpu, num_gpus)
        self.machines[machine_id] = machine
        discount = 0.88 if machine.facts["verification"] != "verified" else 1.0
        price = round(gpu.price * draw.lognormvariate(0.0, 0.22) * discount, 4)
        for gpus in _shapes(num_gpus):
            self.add_ask(machine, gpus, price)

    def add_ask(self, machine: Machine, gpus: tuple[int, ...], price_per_gpu: float) -> Ask:
        ask = Ask(FIRST_ASK + len(self.asks) * 13, machine, gpus, price_per_gpu)
        self.asks[ask.id] = ask
        return ask


def _shapes(num_gpus: int) -> list[tuple[int, ...]]:
    """Singles, pairs, quads and the whole: offers of one machine share its GPUs."""
    sizes = [size for size in (1, 2, 4, 8) if size <= num_gpus]
    return [tuple(range(first, first + size)) for size in sizes for first in range(0, num_gpus, size)]


def _facts(draw: random.Random, gpu: Gpu, num_gpus: int, number: int) -> dict[str, Any]:
    """What a machine is, whatever part of it is rented; named as the API names it."""
    datacenter = draw.random() < 0.3
    fresh = draw.random() < 0.08
    driver, cuda = draw.choice(DRIVERS[3:] if gpu.compute_cap >= BLACKWELL else DRIVERS)
    threads = draw.choice((16, 32, 48, 64)) * max(1, num_gpus // 2)
    down = round(draw.choice((90, 240, 520, 780, 934, 1800, 4200, 8100)) * draw.uniform(0.85, 1.1), 1)
    return {
        "host_id": 10000 + number // 3,
        "hosting_type": int(datacenter),
        "verification": "unverified" if fresh else draw.choices(("verified", "deverified"), (95, 5))[0],
        "reliability": round(0.60 if fresh else min(0.9999, 1 - draw.expovariate(90)), 7),
        "geolocation": draw.choice(PLACES),
        "cpu_name": draw.choice(CPUS),
        "cpu_cores": threads,
        "cpu_ghz": draw.choice((2.4, 2.8, 3.2, 4.5)),
        "cpu_ram": draw.choice((32, 64, 128, 258)) * 1000 * max(1, num_gpus // 2) - 160,
        "disk_space": float(draw.choice((120, 350, 800, 1600, 3400))),
        "disk_bw": round(draw.uniform(400, 6500), 1),
        "disk_name": draw.choice(DISKS),
        "driver_version": driver,
        "cuda_max_good": cuda,
        "inet_down": down,
        "inet_up": round(down * draw.uniform(0.4, 1.0), 1),
        "inet_down_cost": draw.choice((0.0, 0.0, 0.0025, 0.005, 0.01, 0.02)),
        "inet_up_cost": draw.choice((0.0, 0.0, 0.005, 0.01, 0.02)),
        "storage_cost": draw.choice((0.10, 0.12, 0.15, 0.20)),
        "direct_port_count": draw.choice((0, 20, 100, 249)) if not datacenter else 249,
        "static_ip": draw.random() < 0.7,
        "public_ipaddr": f"203.0.113.{1 + number % 254}",
        "rental_days": draw.choice((2, 9, 30, 90, 180)),
        "pcie_bw": round(draw.uniform(6, 25), 1),
        "pci_gen": draw.choice((3.0, 4.0, 5.0)),
        "max_temp": round(draw.uniform(70, 90), 1),
    }
