"""An ask as the search shows it: the fields of the API and the identities between them."""

import hashlib
from typing import Any

from tests.simulators.vastai.inventory import Ask

DAY = 86400.0
MONTH_HOURS = 720.0
BID_FLOOR = 0.45


def offer(
    ask: Ask, *, now: float, disk_gb: float, bid: bool = False, factor: float = 1.0, max_days: float = 0.0
) -> dict[str, Any]:
    """The offer with `dph_total` for a disk of that size."""
    facts = ask.machine.facts
    days = min(facts["rental_days"], max_days) if max_days else facts["rental_days"]
    duration = days * DAY - now % DAY  # the host gets the machine back at a midnight
    min_bid = round(ask.price_per_gpu * factor * len(ask.gpus) * BID_FLOOR, 6)
    on_demand = round(ask.price_per_gpu * factor * len(ask.gpus), 6)
    return (
        _who(ask)
        | _hardware(ask)
        | {name: facts[name] for name in ("inet_up", "inet_down", "inet_up_cost", "inet_down_cost", "storage_cost")}
        | {
            "internet_up_cost_per_tb": facts["inet_up_cost"] * 1024,
            "internet_down_cost_per_tb": facts["inet_down_cost"] * 1024,
            "rentable": ask.on_market,
            "rented": not ask.on_market,
            "external": False,
            "is_bid": bid,
            "min_bid": min_bid,
            "duration": duration,
            "start_date": now - 12 * DAY,
            "end_date": now + duration,
            "rn": 1,
        }
        | prices(ask, base=min_bid if bid else on_demand, disk_gb=disk_gb)
    )


def prices(ask: Ask, *, base: float, disk_gb: float) -> dict[str, Any]:
    """Everything that follows from the price and the disk; the identities hold exactly."""
    disk_hour = ask.machine.facts["storage_cost"] * disk_gb / MONTH_HOURS
    total = base + disk_hour
    gpu, count = ask.machine.gpu, len(ask.gpus)
    no_discount = {"discountTotalHour": 0, "discountedTotalPerHour": total}
    return {
        "dph_base": base,
        "dph_total": total,
        "dph_total_adj": total,
        "storage_total_cost": disk_hour,
        "dlperf_per_dphtotal": gpu.dlperf * count / total,
        "flops_per_dphtotal": gpu.tflops * count / total,
        "vram_costperhour": total / gpu.ram_mb,
        "score": gpu.dlperf * count / total * ask.machine.facts["reliability"],
        "discount_rate": 0.0,
        "discounted_hourly": 0.0,
        "discounted_dph_total": total,
        "credit_discount_max": 0.4,
        "search": {"gpuCostPerHour": base, "diskHour": disk_hour, "totalHour": total} | no_discount,
        "instance": {"gpuCostPerHour": 0, "diskHour": disk_hour, "totalHour": disk_hour}
        | {"discountTotalHour": 0, "discountedTotalPerHour": disk_hour},
    }


def _who(ask: Ask) -> dict[str, Any]:
    machine, facts = ask.machine, ask.machine.facts
    place = facts["geolocation"]
    return {
        "id": ask.id,
        "ask_contract_id": ask.id,
        "bundle_id": 900000000 + machine.id,
        "bundled_results": None,
        "machine_id": machine.id,
        "host_id": facts["host_id"],
        "hosting_type": facts["hosting_type"],
        "cluster_id": None,
        "resource_type": "gpu",
        "verification": facts["verification"],
        "vericode": int(facts["verification"] == "verified"),
        "reliability": facts["reliability"],
        "reliability2": facts["reliability"],
        "expected_reliability": round(facts["reliability"] * 0.994, 7),
        "reliability_mult": 0.98,
        "geolocation": place,
        "geolocode": int(hashlib.sha256(place.encode()).hexdigest()[:7], 16),
        "country_code": place[-2:],
        "public_ipaddr": facts["public_ipaddr"],
        "static_ip": facts["static_ip"],
        "direct_port_count": facts["direct_port_count"],
        "hostname": None,
        "logo": None,
        "webpage": None,
        "time_remaining": "",
        "time_remaining_isbid": "",
    }


def _hardware(ask: Ask) -> dict[str, Any]:
    machine, facts, count = ask.machine, ask.machine.facts, len(ask.gpus)
    gpu, share = machine.gpu, len(ask.gpus) / machine.num_gpus
    major, minor, patch = (int(part) for part in facts["driver_version"].split("."))
    return {
        "num_gpus": count,
        "gpu_name": gpu.name,
        "gpu_arch": "nvidia",
        "gpu_ids": list(ask.gpus),
        "gpu_frac": share,
        "gpu_ram": gpu.ram_mb,
        "gpu_total_ram": gpu.ram_mb * count,
        "gpu_totalram": gpu.ram_mb * count,
        "gpu_mem_bw": gpu.mem_bw,
        "gpu_lanes": 16,
        "gpu_max_power": float(gpu.power_w),
        "gpu_max_temp": facts["max_temp"],
        "gpu_display_active": False,
        "compute_cap": gpu.compute_cap,
        "total_flops": gpu.tflops * count,
        "dlperf": gpu.dlperf * count,
        "bw_nvlink": 0.0,
        "pci_gen": facts["pci_gen"],
        "pcie_bw": facts["pcie_bw"],
        "cuda_max_good": facts["cuda_max_good"],
        "driver_version": facts["driver_version"],
        "driver_vers": major * 1000000 + minor * 1000 + patch,
        "cpu_name": facts["cpu_name"],
        "cpu_cores": facts["cpu_cores"],
        "cpu_cores_effective": facts["cpu_cores"] * share,
        "cpu_ghz": facts["cpu_ghz"],
        "cpu_ram": facts["cpu_ram"],
        "cpu_arch": "amd64",
        "has_avx": 1,
        "disk_space": round(facts["disk_space"] * share, 1),
        "disk_bw": facts["disk_bw"],
        "disk_name": facts["disk_name"],
        "mobo_name": "H12SSL-i",
        "os_version": "22.04",
        "vms_enabled": False,
        "is_vm_deverified": False,
        "avail_vol_ask_id": ask.id + 1,
        "avail_vol_dph": 0.0002,
        "avail_vol_size": 400.0,
        "nw_disk_min_bw": None,
        "nw_disk_max_bw": None,
        "nw_disk_avg_bw": None,
    }
