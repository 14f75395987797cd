# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Docker Engine as the engine sees it: containers, their health, images and networks."""

from __future__ import annotations

import inspect
import io
import tarfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from ..common.errors import SlipwayError
from ..common.require import load

PROJECT = "com.docker.compose.project"
SERVICE = "com.docker.compose.service"
ONE_OFF = "com.docker.compose.oneoff"
DEFAULT_GRACE = 10
API_SECONDS = 120
STOP_WORKERS = 8
# The Engine keeps every core busy while it starts or takes down several containers at once, and visitors feel it. Each
# is given this head start; one that takes longer, such as a slow stop, does not keep the others waiting.
HEAD_START_SECONDS = 0.5


@dataclass(frozen=True)
class Container:
    """One container, as inspected."""

    id: str
    name: str
    service: str
    status: str  # created | running | restarting | exited | dead | paused
    health: str  # none | starting | healthy | unhealthy
    exit_code: int
    restarts: int
    started_at: str
    image: str
    networks: tuple[str, ...]
    ports: tuple[int, ...]
    grace: int
    health_log: tuple[str, ...] = field(default=(), repr=False)
    cpu_shares: int = 0  # 0: never set, which is the normal share
    labels: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)

    @property
    def running(self) -> bool:
        return self.status == "running"


class Daemon:
    """A thin layer over the Docker library: values in, values out, sentences when it fails."""

    def __init__(self) -> None:
        self._docker = load("docker", "python3-docker")
        self._client: Any = None

    @property
    def client(self) -> Any:
        if self._client is None:
            try:
                self._client = self._docker.from_env(timeout=API_SECONDS)
                self._client.ping()
            except Exception as error:
                self._client = None
                raise SlipwayError(
                    f"The Docker Engine does not answer ({error}).",
                    hint="Look at it with: systemctl status docker",
                ) from error
        return self._client

    @property
    def errors(self) -> Any:
        return self._docker.errors

    def containers(self, project: str, *, one_off: bool = False) -> list[Container]:
        """The project's containers, by name."""
        labels = [f"{PROJECT}={project}", f"{ONE_OFF}={one_off}"]
        found = self.client.api.containers(all=True, filters={"label": labels})
        inspected = (self._inspect(entry["Id"]) for entry in found)
        return sorted((entry for entry in inspected if entry), key=lambda entry: entry.name)

    def _inspect(self, identifier: str) -> Container | None:
        try:
            return container(self.client.api.inspect_container(identifier))
        except self.errors.NotFound:
            return None  # it went away between the listing and now

    def logs(self, identifier: str, lines: int) -> str:
        raw = self.client.api.logs(identifier, tail=lines, stdout=True, stderr=True)
        return bytes(raw).decode(errors="replace")

    def log_stream(
        self, identifier: str, *, since: int | None = None, tail: int | None = None, follow: bool = False
    ) -> Iterator[bytes]:
        """What a container wrote, each line with its moment, in pieces of any size; nothing if it is gone."""
        wanted = "all" if tail is None else tail
        try:
            yield from self.client.api.logs(
                identifier, timestamps=True, stream=True, follow=follow, since=since, tail=wanted
            )
        except self.errors.NotFound:
            return

    def volumes(self, project: str) -> set[str]:
        """Names of the volumes that were made for a project."""
        found = self.client.api.volumes(filters={"label": f"{PROJECT}={project}"})
        return {entry["Name"] for entry in found.get("Volumes") or []}

    def volume_users(self, volume: str) -> dict[str, str]:
        """Containers that have the volume, also those that are stopped, and the Compose project of each."""
        found = self.client.api.containers(all=True, filters={"volume": volume})
        return {
            str(entry["Names"][0]).lstrip("/"): (entry.get("Labels") or {}).get(PROJECT, "")
            for entry in found
            if entry.get("Names")
        }

    def remove_volumes(self, names: Iterable[str]) -> None:
        for name in sorted(names):
            try:
                self.client.api.remove_volume(name)
            except self.errors.NotFound:
                continue
            except self.errors.APIError as error:
                raise SlipwayError(f"The volume {name} cannot be removed: {error.explanation}") from error

    def memory(self, containers: Sequence[Container]) -> dict[str, int]:
        """Bytes in use by container, without the page cache that the kernel would give back."""

        def one(entry: Container) -> int:
            seen = stats(entry.id, stream=False, **at_once).get("memory_stats") or {}
            cache = seen.get("stats") or {}
            idle = cache.get("inactive_file", cache.get("total_inactive_file", 0))
            return max(0, int(seen.get("usage") or 0) - int(idle))

        stats = self.client.api.stats
        # Without it (Debian 12's library) the Engine takes a second to compare two readings.
        at_once = {"one_shot": True} if "one_shot" in inspect.signature(stats).parameters else {}
        with ThreadPoolExecutor(STOP_WORKERS) as pool:
            return dict(zip((entry.name for entry in containers), pool.map(one, containers), strict=True))

    def wait(self, identifier: str) -> int:
        """The exit status of a container, once it has ended."""
        return int(self.client.api.wait(identifier)["StatusCode"])

    def start(self, containers: list[Container]) -> None:
        self._each(containers, lambda entry: self.client.api.start(entry.id))

    def stop(self, containers: list[Container]) -> None:
        """SIGTERM to one after the other, each with its own grace period."""
        self._each(containers, lambda entry: self.client.api.stop(entry.id, timeout=entry.grace))

    def remove(self, containers: list[Container]) -> None:
        """Stop and remove them with their anonymous volumes; named volumes stay."""
        self.stop([entry for entry in containers if entry.running or entry.status == "restarting"])
        self._each(containers, self._remove)

    def _remove(self, entry: Container) -> None:
        try:
            self.client.api.remove_container(entry.id, v=True, force=True)
        except self.errors.APIError as error:
            # A container that removes itself (docker run --rm) may be at it: its name is free once it is gone.
            if "already in progress" not in str(error.explanation):
                raise
            self.client.api.wait(entry.id, condition="removed", timeout=API_SECONDS)

    def _each(self, containers: list[Container], act: Any) -> None:
        def one(entry: Container) -> None:
            try:
                act(entry)
            except self.errors.NotFound:
                return
            except self.errors.APIError as error:
                raise SlipwayError(f"The Docker Engine refuses to change {entry.name}: {error.explanation}") from error

        with ThreadPoolExecutor(STOP_WORKERS) as pool:
            working = []
            for entry in containers:
                working.append(pool.submit(one, entry))
                wait(working[-1:], timeout=HEAD_START_SECONDS)
            for future in working:
                future.result()

    def set_cpu_shares(self, entry: Container, shares: int) -> None:
        """Of a running container, without a restart."""
        self._each([entry], lambda chosen: self.client.api.update_container(chosen.id, cpu_shares=shares))

    def networks(self, project: str) -> Iterator[Any]:
        yield from self.client.networks.list(filters={"label": f"{PROJECT}={project}"})

    def addresses(self, identifier: str) -> list[str]:
        """A container's own IPv4 addresses."""
        networks = self.client.api.inspect_container(identifier)["NetworkSettings"]["Networks"] or {}
        return [str(network["IPAddress"]) for network in networks.values() if network.get("IPAddress")]

    def read_file(self, identifier: str, path: str) -> str:
        """A text file inside of a container."""
        chunks, _about = self.client.api.get_archive(identifier, path)
        with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
            content = archive.extractfile(archive.getmembers()[0])
            return content.read().decode() if content else ""

    def write_file(self, identifier: str, path: str, text: str) -> None:
        """Replace a file inside of a container; owner and mode stay."""
        chunks, _about = self.client.api.get_archive(identifier, path)
        with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
            member = archive.getmembers()[0]
        data = text.encode()
        member.size = len(data)
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            archive.addfile(member, io.BytesIO(data))
        self.client.api.put_archive(identifier, str(PurePosixPath(path).parent), packed.getvalue())

    def volume_names(self) -> list[str]:
        """All volumes of this host."""
        return sorted(entry["Name"] for entry in self.client.api.volumes().get("Volumes") or [])

    def remove_networks(self, project: str, keep: Mapping[str, Collection[str]] | None = None) -> None:
        """The project's networks, but for those to `keep`; containers are taken off them first, but for those named."""
        kept = keep or {}
        for network in self.networks(project):
            network.reload()
            for member in set(network.attrs.get("Containers") or {}).difference(kept.get(network.name, ())):
                network.disconnect(member, force=True)
            if network.name not in kept:
                network.remove()

    def connect(self, network_name: str, entry: Container, alias: str) -> bool:
        """Put a container on a network under an alias; False if the network is not there or it is on it already."""
        if network_name in entry.networks:
            return False
        try:
            self.client.networks.get(network_name).connect(entry.id, aliases=[alias])
        except self.errors.NotFound:
            return False
        except self.errors.APIError as error:
            if "already exists" in str(error.explanation):
                return False
            raise SlipwayError(
                f"{entry.name} cannot be put on the network {network_name}: {error.explanation}"
            ) from error
        return True


def container(data: dict[str, Any]) -> Container:
    """A container from the Engine's own description."""
    state, config = data["State"], data["Config"]
    labels = config.get("Labels") or {}
    health = state.get("Health") or {}
    settings = data.get("HostConfig") or {}
    bindings = settings.get("PortBindings") or {}
    live = (data.get("NetworkSettings") or {}).get("Ports") or {}
    return Container(
        id=data["Id"],
        name=data["Name"].lstrip("/"),
        service=labels.get(SERVICE, ""),
        status=state["Status"],
        health=health.get("Status") or "none",
        exit_code=int(state.get("ExitCode") or 0),
        restarts=int(data.get("RestartCount") or 0),
        started_at=state.get("StartedAt") or "",
        image=data.get("Image") or "",
        networks=tuple(sorted((data.get("NetworkSettings") or {}).get("Networks") or {})),
        ports=_host_ports(live) or _host_ports(bindings),
        grace=int(config.get("StopTimeout") or DEFAULT_GRACE),
        health_log=tuple(str(entry.get("Output") or "").strip() for entry in (health.get("Log") or [])[-5:]),
        cpu_shares=int(settings.get("CpuShares") or 0),
        labels=labels,
    )


def _host_ports(bindings: dict[str, Any]) -> tuple[int, ...]:
    numbers = {
        int(binding["HostPort"])
        for entries in bindings.values()
        for binding in entries or ()
        if str(binding.get("HostPort") or "").isdigit()
    }
    return tuple(sorted(numbers))
