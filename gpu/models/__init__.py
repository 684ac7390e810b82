"""Where videos are rendered on GPUs, and what everything costs."""

from gpu.models.config import FleetStatus, GpuConfig, GpuProvider
from gpu.models.machines import (
    INSTANCE_OVER,
    Host,
    Instance,
    InstanceEvent,
    InstanceKind,
    InstanceQuerySet,
    InstanceState,
    ModelFile,
)
from gpu.models.money import Book, DayTotal, LedgerEntry, PersonBudget, Purse
from gpu.models.watching import Alarm, AlarmNotice, FleetSample

__all__ = [
    "INSTANCE_OVER",
    "Alarm",
    "AlarmNotice",
    "Book",
    "DayTotal",
    "FleetSample",
    "FleetStatus",
    "GpuConfig",
    "GpuProvider",
    "Host",
    "Instance",
    "InstanceEvent",
    "InstanceKind",
    "InstanceQuerySet",
    "InstanceState",
    "LedgerEntry",
    "ModelFile",
    "PersonBudget",
    "Purse",
]
