"""From a contract to a running container, and everything that goes wrong on the way."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.simulators.clock import DAY, Action
from tests.simulators.vastai.instance import Instance
from tests.simulators.vastai.inventory import STRANGER
from tests.simulators.vastai.machine import Machine

if TYPE_CHECKING:
    from tests.simulators.vastai.world import World

OCI_ERROR = (
    "Error response from daemon: failed to create task for container: failed to create shim task: OCI runtime create "
    "failed: could not apply required modification to OCI specification: error modifying OCI spec: failed to inject "
    "CDI devices: unresolvable CDI devices D.{id}/gpu=0: unknown"
)
PULL_ERROR = (
    "Error response from daemon: pull access denied for {image}, repository does not exist or may require "
    "'docker login'"
)
DISK_FULL = "failed to register layer: write /opt/venv/lib/libtorch_cuda.so: no space left on device"
LAYERS = ("Pulling fs layer", "Downloading", "Verifying Checksum", "Download complete", "Extracting", "Pull complete")
CACHED_PULL_SECONDS = 4.0
REBOOT_SECONDS = 8.0


class Lifecycle:
    def __init__(self, world: "World") -> None:
        self._world, self._clock = world, world.clock
        # Fates that end the boot at a stage, by (stage, fate).
        self._ends: dict[tuple[str, str], Callable[[Instance], None]] = {
            ("null", "stuck_null"): lambda _: None,
            ("created", "stuck_created"): lambda _: None,
            ("created", "oci_error"): self._oci_error,
            ("loading", "stuck_loading"): lambda _: None,
            ("loading", "pull_error"): self._pull_error,
            ("half", "offline"): lambda one: self.lose(one, "offline"),
            ("half", "unknown"): lambda one: self.lose(one, "unknown"),
            ("half", "lost_status"): lambda one: self.lose(one, None),
            ("half", "stopped"): lambda one: self.halt(one, "stopped"),
            ("half", "disk_full"): lambda one: self.halt(one, "exited", DISK_FULL),
            ("pulled", "exited"): lambda one: self.halt(one, "exited", f"Container {one.id} exited with code 1"),
        }

    # the way up

    def begin(self, instance: Instance) -> None:
        """A new contract: nothing is reported yet."""
        instance.ask.machine.hold(instance.ask.gpus, instance.id)
        instance.to(None, at=self._clock.now)
        self._world.set_rates(instance)
        self._clock.at(instance.end_at, lambda: self._expired(instance))
        self._stage(instance, "null", self._world.script.null_seconds, lambda: self._created(instance))

    def never_started(self, instance: Instance) -> None:
        """The contract exists and bills its disk, but nothing runs: a bid below the floor."""
        instance.intended_status = instance.cur_state = instance.next_state = "stopped"
        instance.to("created", at=self._clock.now)
        self._world.set_rates(instance)
        self._clock.at(instance.end_at, lambda: self._expired(instance))

    def _stage(self, instance: Instance, stage: str, seconds: float, then: Action) -> None:
        """Go on after so long, unless this machine's fate is to end here."""
        end = self._ends.get((stage, instance.fate))
        if end is not None:
            end(instance)
            return
        instance.plans.append(self._clock.after(seconds, then))

    def _created(self, instance: Instance) -> None:
        instance.to("created", at=self._clock.now)
        self._stage(instance, "created", self._world.script.created_seconds, lambda: self._loading(instance))

    def _loading(self, instance: Instance) -> None:
        seconds = self._pull_seconds(instance)
        instance.cur_state = "running"
        instance.to("loading", at=self._clock.now, message="Pulling from " + instance.image)
        self._bill_pull(instance, seconds)
        for number, layer in enumerate(LAYERS[:3], 1):
            text = f"{number * 7:x}c5e8a7d1b2{number}: {layer}"
            self._stage_message(instance, seconds / 2 * number / 4, text)
        self._stage(instance, "loading", seconds / 2, lambda: self._half(instance, seconds / 2))

    def _half(self, instance: Instance, seconds: float) -> None:
        self._say(instance, f"9c5e8a7d1b24: {LAYERS[4]}")
        self._stage(instance, "half", seconds, lambda: self._pulled(instance))

    def _pulled(self, instance: Instance) -> None:
        self._end_pull(instance)
        instance.ask.machine.cached_images.add(instance.image)
        self._stage(instance, "pulled", self._world.script.start_container_seconds, lambda: self._running(instance))

    async def _running(self, instance: Instance) -> None:
        instance.cur_state = instance.next_state = "running"
        instance.running_since = self._clock.now
        message = f"success, running {instance.image}/{instance.runtype.partition(' ')[0]}"
        instance.machine = instance.machine or Machine(self._world, instance)
        instance.machine.take_ports()
        instance.to("running", at=self._clock.now, message=message)
        self._world.set_rates(instance)
        await instance.machine.power_on()

    def _pull_seconds(self, instance: Instance) -> float:
        if instance.image in instance.ask.machine.cached_images:
            return CACHED_PULL_SECONDS
        script = self._world.script
        return script.loading_seconds or max(5.0, script.image_gb * 8000 / instance.terms["inet_down"])

    def _bill_pull(self, instance: Instance, seconds: float) -> None:
        cached = instance.image in instance.ask.machine.cached_images
        if self._world.script.image_pull_is_billed and not cached:
            cost = self._world.script.image_gb * instance.terms["inet_down_cost"]
            self._world.ledger.meters[instance.id].rates["bwd"] = cost / seconds
            instance.plans.append(self._clock.after(seconds, lambda: self._end_pull(instance)))

    def _end_pull(self, instance: Instance) -> None:
        self._world.ledger.meters[instance.id].rates["bwd"] = 0.0

    def _say(self, instance: Instance, message: str) -> None:
        instance.status_msg = message

    def _stage_message(self, instance: Instance, seconds: float, message: str) -> None:
        instance.plans.append(self._clock.after(seconds, lambda: self._say(instance, message)))

    # trouble

    def _pull_error(self, instance: Instance) -> None:
        instance.cancel_plans()
        self._end_pull(instance)
        self._say(instance, PULL_ERROR.format(image=instance.image))

    def _oci_error(self, instance: Instance) -> None:
        instance.intended_status = instance.cur_state = instance.next_state = "stopped"
        instance.status_msg = OCI_ERROR.format(id=instance.id)

    def lose(self, instance: Instance, status: str | None) -> None:
        """The host's word is lost: offline, unknown or no status at all. What runs there goes on running."""
        instance.cancel_plans()
        self._end_pull(instance)
        instance.to(status, at=self._clock.now)
        self._world.set_rates(instance)
        if status == "offline" and instance.machine:
            self._clock.after(0, instance.machine.power_off)

    def halt(self, instance: Instance, status: str = "exited", message: str | None = None) -> None:
        """The container is down and will not come back by itself."""
        instance.cancel_plans()
        self._end_pull(instance)
        instance.intended_status = instance.cur_state = instance.next_state = "stopped"
        instance.to(status, at=self._clock.now, message=message)
        instance.ask.machine.let_go(instance.id)
        self._world.set_rates(instance)
        if instance.machine:
            self._clock.after(0, instance.machine.power_off)

    def credit_used_up(self) -> None:
        self._world.ledger.broke = True
        for instance in self._world.alive():
            self.stop(instance, "Stopped: account credit is used up")

    def _expired(self, instance: Instance) -> None:
        if instance.alive:
            self.halt(instance, "exited", "Contract expired")
            instance.plans.append(self._clock.after(2 * DAY, lambda: self.destroy(instance, by="host")))

    # what the owner asks for

    def stop(self, instance: Instance, message: str | None = None) -> None:
        instance.queued_start = False
        if instance.actual_status not in ("exited", "stopped", "offline"):
            self.halt(instance, "exited", message)
        instance.intended_status = instance.next_state = "stopped"

    def start(self, instance: Instance, *, queue: bool = False) -> bool:
        """False: the GPUs are somebody else's now; it starts when they are free."""
        if instance.actual_status == "running" and instance.intended_status == "running":
            return True
        gpus, machine = instance.ask.gpus, instance.ask.machine
        taken = any(machine.taken.get(gpu, instance.id) != instance.id for gpu in gpus)
        instance.intended_status = "running"
        if taken or queue or self._now_expired(instance):
            instance.queued_start = True
            return False
        instance.queued_start, instance.next_state = False, "running"
        machine.hold(gpus, instance.id)
        instance.cancel_plans()
        instance.to("loading", at=self._clock.now, message="Starting container")
        self._world.set_rates(instance)
        self._stage(instance, "pulled", self._world.script.start_container_seconds, lambda: self._running(instance))
        return True

    def _now_expired(self, instance: Instance) -> bool:
        return self._clock.now >= instance.end_at

    def retry_queued(self) -> None:
        """GPUs were given back: whoever waits for them starts."""
        for instance in self._world.alive():
            if instance.queued_start:
                self.start(instance)

    async def reboot(self, instance: Instance, status: str = "rebooting") -> None:
        """Down and up again on the same GPU and the same ports; `recycling` makes a new container."""
        instance.cancel_plans()
        if instance.machine:
            await instance.machine.power_off()
            if status == "recycling":
                instance.machine.disk.clear()
        instance.to(status, at=self._clock.now)
        self._world.set_rates(instance)
        instance.plans.append(self._clock.after(REBOOT_SECONDS, lambda: self._running(instance)))

    def destroy(self, instance: Instance, *, by: str) -> None:
        """The end of all billing; `by` is written to the history."""
        if not instance.alive:
            return
        instance.cancel_plans()
        instance.destroyed_at, instance.destroyed_by = self._clock.now, by
        instance.listed_until = self._clock.now + self._world.script.destroy_lag_seconds
        instance.history.append((self._clock.now, f"destroyed by {by}"))
        instance.ask.machine.let_go(instance.id)
        self._world.set_rates(instance)
        self._world.ledger.meters[instance.id].rates["bwd"] = 0.0
        if instance.machine:
            self._clock.after(0, instance.machine.power_off)
        self.retry_queued()

    # strangers

    def start_churn(self) -> None:
        self._clock.after(self._world.script.churn_seconds or 60.0, self._churn)

    def _churn(self) -> None:
        """A stranger takes or returns a machine."""
        draw, machines = self._world.random, list(self._world.inventory.machines.values())
        if self._world.script.churn_seconds and machines:
            machine = draw.choice(machines)
            if STRANGER in machine.taken.values():
                machine.let_go(STRANGER)
                self.retry_queued()
            elif not machine.taken:
                machine.hold(tuple(range(machine.num_gpus)), STRANGER)
        self.start_churn()
