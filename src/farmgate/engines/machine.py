"""The devices of this machine and which model is on which: where one may go, what it is promised, what it uses."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from types import MappingProxyType

from farmgate.core.errors import EngineUnavailable
from farmgate.core.model import DeviceState
from farmgate.core.ports import Clock
from farmgate.engines.devices import HOST, Devices
from farmgate.engines.engine import Engine, Gpus, Spec
from farmgate.engines.eviction import Tenant
from farmgate.engines.needs import expected_bytes, family, resident_bytes
from farmgate.engines.rooms import Held, Rooms, Want
from farmgate.engines.shards import weights_bytes
from farmgate.engines.states import State
from farmgate.engines.supervisor import Supervisor
from farmgate.engines.surroundings import Keep
from farmgate.engines.threads import in_daemon_thread
from farmgate.engines.timing import Sleep

__all__ = ["Machine", "NoSuchDevice", "Place", "allowed"]

GPU = "gpu"
LEAVES_WITHIN_S = 600.0
"""How long those who are at a model may take before it leaves for another."""


class NoSuchDevice(Exception):
    """The device that is asked for is not there, or its engine cannot use it; the text says which there are."""


def allowed(device: str, runs_on: frozenset[str], there: Iterable[str]) -> frozenset[str]:
    """The devices a model may go to: for `auto` the GPUs, where there are any and its engine can use them."""
    usable = [name for name in there if kind_of(name) in runs_on]
    match device:
        case "auto":
            gpus = [name for name in usable if kind_of(name) == GPU]
            found = gpus or usable
        case "gpu" | "cuda":
            found = [name for name in usable if kind_of(name) == GPU]
        case _:
            found = [name for name in usable if name == device]
    if not found:
        raise NoSuchDevice(f"there is no device {device!r} for it here: there is {', '.join(usable) or 'none'}")
    return frozenset(found)


def runs_on(spec: Spec, kinds: frozenset[str], there: Iterable[str]) -> frozenset[str]:
    """The kinds of devices for this model. Raises NoSuchDevice where it needs a GPU and there is none."""
    if spec.quantize == "none":
        return kinds
    if not any(kind_of(name) == GPU for name in there):
        raise NoSuchDevice(f"`quantize: {spec.quantize}` needs a GPU, and there is none here")
    return kinds - {HOST}


def kind_of(device: str) -> str:
    return HOST if device == HOST else GPU


@dataclass(frozen=True, slots=True)
class Place:
    """Where one process is. `has_gpus`: whether there are any to hide from it. `gpu_bytes`: what its program has on
    each beside the model, and keeps when it sleeps. `weights`: bytes it has in the memory of the machine then."""

    held: Held
    devices: Devices
    rooms: Rooms
    has_gpus: bool
    gpu_bytes: int = 0
    weights: int = 0
    priority: int = 0

    def placed(self, spec: Spec) -> Spec:
        """With what it was given."""
        memories = {device.name: device.memory for device in self.devices.read()}
        gpus = [(share, memories[name]) for name, share in self.held.shares.items() if name != HOST if name in memories]
        return replace(
            spec,
            gpus=Gpus(
                count=sum(name != HOST for name in self.held.shares),
                share=max((part(share, gpu.total) for share, gpu in gpus), default=0.0),
                # Where its owner leaves less than that, half of it is the model's.
                share_of_free=max(
                    (part(max(share - self.gpu_bytes, share // 2), gpu.free) for share, gpu in gpus), default=0.0
                ),
            ),
        )

    @property
    def environment(self) -> Mapping[str, str]:
        """Shows a process the devices it has room on and no other."""
        if not self.has_gpus:
            return {}
        numbers = [name.removeprefix(GPU) for name in self.held.shares if name != HOST]
        return {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": ",".join(numbers)}

    def settle(self, pid: int) -> None:
        """It is loaded. It may have more than was expected, and is never taken to have less: room for keys and values
        is touched when a context first grows so long. What nobody tells is as expected.
        """
        used = self._used(pid)
        if HOST in self.held.shares:
            used[HOST] = resident_bytes(pid) or 0
        self.held.settle({device: max(share, used.get(device, 0)) for device, share in self.held.shares.items()})
        # From now on it can leave for who waits.
        self.rooms.stir()

    def may_sleep(self) -> bool:
        """Whether the memory of the machine has room for its weights; if so, that is its own from now on."""
        return self.rooms.add(self.held.name, HOST, self.weights)

    def asleep(self, pid: int) -> None:
        """It keeps a rest of each GPU, of all the most that it has on one, so that it lacks as much on each to wake; as
        much as its program had there, where nobody tells."""
        used = self._used(pid)
        most = max(used.get(device, self.gpu_bytes) for device in self.held.shares)
        self.held.settle(
            {**{device: kept(share, most) for device, share in self.held.shares.items()}, HOST: self.weights}
        )
        self.rooms.stir()

    @asynccontextmanager
    async def waking(self, pid: int) -> AsyncIterator[None]:
        """A process cannot change its GPUs: it gets room on those, for which others leave as for a load."""
        has = self.rooms.ledger.holdings[self.held.name].bytes
        shares = self.held.shares
        want = Want(
            name=f"{self.held.name}, waking",
            needed=sum(share - has[device] for device, share in shares.items()),
            priority=self.priority,
            devices=frozenset(shares),
            counts=(len(shares),),
            spares=frozenset({self.held.name}),
        )
        async with self.rooms.room(want):
            yield
            self.settle(pid)

    def _used(self, pid: int) -> dict[str, int]:
        return self.devices.used_by(family(pid))


def kept(share: int, count: int) -> int:
    """What one that sleeps keeps of its share of a GPU: no more than it."""
    return min(share, count)


def part(count: int, whole: int) -> float:
    return min(1.0, count / whole) if whole else 1.0


class Machine:
    """Gives processes their room. `supervisors`: every process there may be. `answers`: whether callers are sent to
    a process now. `environment`: what engines see of the gate's own."""

    def __init__(
        self,
        devices: Devices,
        *,
        supervisors: Callable[[], Iterable[Supervisor]],
        answers: Callable[[Spec], bool],
        clock: Clock,
        sleep: Sleep,
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._devices = devices
        self._environment = environment
        self._supervisors = supervisors
        self._answers = answers
        self._specs: dict[str, Spec] = {}
        self._rooms = Rooms(
            lambda: [device.memory for device in devices.read()],
            tenants=self._tenants,
            leave=self._leave,
            clock=clock,
            sleep=sleep,
        )

    @asynccontextmanager
    async def room(self, spec: Spec, keep: Keep, *, engine: Engine) -> AsyncIterator[Place]:
        """Memory for one process as long as this is open. Raises ModelTooLarge, and EngineUnavailable."""
        there = [device.name for device in self._devices.read()]
        try:
            devices = allowed(spec.device, runs_on(spec, await self._kinds(engine, there), there), there)
            on_host = devices == {HOST}
            needed = expected_bytes(spec, on_host=on_host, gpu_bytes=engine.gpu_bytes)
        except (NoSuchDevice, OSError) as error:
            raise EngineUnavailable(f"{spec.model} cannot be loaded: {error}") from error
        name = self._name(spec)
        spares = frozenset(other for other, one in self._specs.items() if self._is_successor(spec, one))
        want = Want(
            name=name,
            needed=needed,
            priority=keep.priority,
            devices=devices,
            counts=(1,) if on_host else engine.gpu_counts(spec),
            # What its owner says is for all of it together.
            each=engine.gpu_bytes if spec.memory_bytes is None else 0,
            spares=spares,
        )
        self._specs[name] = spec
        try:
            async with self._rooms.room(want) as held:
                yield Place(
                    held,
                    self._devices,
                    self._rooms,
                    has_gpus=len(there) > 1,
                    gpu_bytes=engine.gpu_bytes,
                    weights=weights_bytes(spec.path) if spec.sleeps else 0,
                    priority=keep.priority,
                )
        finally:
            del self._specs[name]

    def stir(self) -> None:
        """Who may stay has changed."""
        self._rooms.stir()

    def held(self, spec: Spec) -> Mapping[str, int]:
        """What one process has or was promised, in bytes, by device."""
        for name, one in self._specs.items():
            if one is spec and name in self._rooms.ledger.holdings:
                return dict(self._rooms.ledger.holdings[name].bytes)
        return {}

    def states(self) -> tuple[DeviceState, ...]:
        """Every device as it is now, with the models on it."""
        holdings = self._rooms.ledger.holdings
        return tuple(
            DeviceState(
                name=device.name,
                title=device.title,
                total=device.memory.total,
                free=device.memory.free,
                models={name: one.bytes[device.name] for name, one in holdings.items() if device.name in one.bytes},
                utilisation=device.utilisation,
                temperature_c=device.temperature_c,
                power_w=device.power_w,
            )
            for device in self._devices.read()
        )

    def close(self) -> None:
        self._devices.close()

    async def _kinds(self, engine: Engine, there: Collection[str]) -> frozenset[str]:
        """The kinds of devices that an engine can use as it is installed; it looks where there are GPUs, and no
        sooner."""
        if len(there) == 1 or GPU not in engine.runs_on:
            return engine.runs_on
        return await in_daemon_thread(lambda: engine.runs_here(self._environment))

    def _is_successor(self, spec: Spec, other: Spec) -> bool:
        """Whether `spec` is to take over from `other`, which answers until then."""
        return spec.model == other.model and spec is not other and self._answers(other) and not self._answers(spec)

    def _name(self, spec: Spec) -> str:
        """A version that is started anew beside itself has the same label."""
        name, count = spec.label, 1
        while name in self._specs:
            count += 1
            name = f"{spec.label} #{count}"
        return name

    def _on(self, name: str) -> Iterator[Supervisor]:
        spec = self._specs.get(name)
        return (one for one in self._supervisors() if one.spec is spec)

    def _tenants(self) -> Iterator[Tenant]:
        for name, holding in self._rooms.ledger.holdings.items():
            for one in self._on(name):
                if one.state in {State.READY, State.ASLEEP}:
                    gpu_bytes = one.engine.gpu_bytes if one.may_sleep and one.state is State.READY else 0
                    rest = {device: kept(count, gpu_bytes) for device, count in holding.bytes.items() if gpu_bytes}
                    yield Tenant(
                        name=name,
                        held={device: count - rest.get(device, 0) for device, count in holding.bytes.items()},
                        priority=one.keep.priority,
                        used_at=one.used_at,
                        in_flight=one.leases.in_flight,
                        pinned=one.keep.pinned,
                        rest=rest,
                        asleep=one.state is State.ASLEEP,
                    )

    async def _leave(self, tenant: Tenant) -> None:
        for one in list(self._on(tenant.name)):
            await one.leave(LEAVES_WITHIN_S, rest=bool(tenant.rest))
