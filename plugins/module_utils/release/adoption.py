# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A Compose project that runs on this host already becomes a stack: the same volumes, and its first release.

The project's containers are stopped when everything that can be prepared is, and kept until the first release serves.
If that release is given up, or cut off, they are started again and serve as before.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..common.errors import SlipwayError
from ..common.files import read_json, remove, write_json
from . import archive, definitions, upgrade
from .announcement import Difference, difference
from .daemon import PROJECT, SERVICE, Daemon
from .host import Host
from .mirror import forget, mirror
from .model import Model
from .paths import DATA, SLOTS, StackPaths
from .record import Record
from .spec import Settings, Spec
from .state import State

WORKING_DIRECTORY = "com.docker.compose.project.working_dir"
ANONYMOUS = re.compile(r"[0-9a-f]{64}")
NGINX_PORTS = (80, 443)
START_SECONDS = 120
POLL_SECONDS = 0.5
NO_RESTART = {"Name": "no", "MaximumRetryCount": 0}

Problem = tuple[str, str]


@dataclass(frozen=True)
class Mount:
    """What a container has mounted."""

    kind: str  # volume | bind | ...
    source: str  # name of the volume, or path on the host
    target: str


@dataclass(frozen=True)
class Old:
    """A container of the project that is taken over."""

    id: str
    name: str
    service: str
    image: str
    running: bool
    policy: Mapping[str, Any]
    mounts: tuple[Mount, ...]
    ports: tuple[int, ...]
    directory: str
    grace: int


@dataclass(frozen=True)
class Adoption:
    """What is taken over: volumes by their name in the new Compose file, folders by the path of the copy."""

    project: str
    containers: tuple[Old, ...]
    volumes: Mapping[str, str]
    folders: Mapping[str, str]

    def reasons(self) -> list[str]:
        said = [f"The Compose project {self.project} is taken over; its containers are stopped when all is ready."]
        said += [f"Its volume {name} becomes {key}, without being copied." for key, name in self.volumes.items()]
        said += [f"Its folder {old} is copied to {new}." for new, old in self.folders.items()]
        return said

    def diff(self) -> Difference:
        running = "".join(f"container {entry.name}\n" for entry in self.containers)
        volumes = "".join(f"volume {key}: {name}\n" for key, name in sorted(self.volumes.items()))
        folders = "".join(f"folder {new}: copied from {old}\n" for new, old in sorted(self.folders.items()))
        return difference(f"Compose project {self.project}", running, volumes + folders)


# --- looking


def wanted(wish: Settings, current: State) -> bool:
    """Only the first release takes a project over."""
    return bool(wish.adopt_project) and current.active is None


def find(host: Host, spec: Spec, model: Model, wish: Settings) -> Adoption:
    """What the first release takes over, or every reason why it cannot."""
    project = wish.adopt_project
    own = {host.paths.project(slot) for slot in (*SLOTS, DATA)}
    if project in own:
        raise SlipwayError(
            f"The Compose project {project} belongs to the stack {spec.stack} itself.",
            hint="Name the project that was started by hand: docker compose ls",
        )
    containers = look(host.daemon, project)
    files = str(StackPaths(spec.stack).files)
    volumes, folders, problems = match(model, containers, project, files, wish.adopt_without)
    names = sorted(set(volumes.values()))
    problems += _in_use(host.daemon, names, {entry.id for entry in containers}, own)
    problems += _not_of_the_project(host.daemon, project, names)
    problems += _full_disk(host.paths.root, folders)
    if problems:
        raise SlipwayError(
            " ".join(dict.fromkeys(sentence for sentence, _hint in problems)),
            hint=" ".join(dict.fromkeys(hint for _sentence, hint in problems)),
            details={"problems": [f"{text} {hint}" for text, hint in problems]},
        )
    return Adoption(project, tuple(containers), volumes, folders)


def look(daemon: Daemon, project: str) -> list[Old]:
    found = daemon.client.api.containers(all=True, filters={"label": [f"{PROJECT}={project}"]})
    if not found:
        raise SlipwayError(
            f"There is no Compose project {project} on this host, so there is nothing to take over.",
            hint="List the projects with: docker compose ls --all. Leave stack_adopt_project empty for a new stack.",
        )
    return sorted((old(daemon.client.api.inspect_container(entry["Id"])) for entry in found), key=lambda one: one.name)


def announced(daemon: Daemon, project: str) -> Difference:
    """As much as can be told before the new Compose file can be read."""
    running = "".join(f"container {entry.name}\n" for entry in look(daemon, project))
    return difference(f"Compose project {project}", running, "taken over by the first release\n")


def old(data: Mapping[str, Any]) -> Old:
    """From the Engine's own description."""
    labels = data["Config"].get("Labels") or {}
    host_config = data.get("HostConfig") or {}
    bindings = host_config.get("PortBindings") or {}
    ports = {int(one["HostPort"]) for entries in bindings.values() for one in entries or () if one.get("HostPort")}
    return Old(
        id=data["Id"],
        name=data["Name"].lstrip("/"),
        service=labels.get(SERVICE, ""),
        image=data["Image"],
        running=bool(data["State"].get("Running")),
        policy=host_config.get("RestartPolicy") or NO_RESTART,
        mounts=tuple(
            Mount(
                str(entry.get("Type")), str(entry.get("Name") or entry.get("Source") or ""), str(entry["Destination"])
            )
            for entry in data.get("Mounts") or ()
        ),
        ports=tuple(sorted(ports)),
        directory=labels.get(WORKING_DIRECTORY, ""),
        grace=int(data["Config"].get("StopTimeout") or 10),
    )


def match(
    model: Model, containers: Sequence[Old], project: str, files: str, without: Sequence[str]
) -> tuple[dict[str, str], dict[str, str], list[Problem]]:
    """Volumes and folders of the new file, and what they are in the old project; only folders are asked for."""
    volumes: dict[str, str] = {}
    folders: dict[str, str] = {}
    problems: list[Problem] = []
    for entry in containers:
        if entry.service not in model.services:
            if entry.service not in without:
                problems.append(
                    (
                        f"The project {project} has the service {entry.service}, which the new Compose file has not.",
                        "Add it to the file, or name it in stack_adopt_without: then it ends with the project.",
                    )
                )
            continue
        problems += _published(entry, project)
        for mount in entry.mounts:
            problems += _match_one(model, entry, mount, files, volumes, folders)
    return volumes, folders, problems


def _published(entry: Old, project: str) -> list[Problem]:
    taken = sorted(set(entry.ports) & set(NGINX_PORTS))
    if not taken or not entry.running:
        return []
    return [
        (
            f"The container {entry.name} publishes port {taken[0]}, which Nginx needs.",
            f"Publish it elsewhere or stop it first: docker compose -p {project} stop {entry.service}",
        )
    ]


def _match_one(
    model: Model, entry: Old, mount: Mount, files: str, volumes: dict[str, str], folders: dict[str, str]
) -> list[Problem]:
    new = next(
        (one for one in model.services[entry.service].get("volumes") or () if _place(one) == mount.target.rstrip("/")),
        None,
    )
    where = f"{entry.service}:{mount.target}"
    if mount.kind == "volume":
        return _match_volume(model, mount, new, where, volumes)
    if mount.kind == "bind" and Path(mount.source).is_dir():
        return _match_folder(entry, mount, new, where, files, folders)
    return []  # single files come with stack_files


def _place(mount: Mapping[str, Any]) -> str:
    return str(mount.get("target")).rstrip("/")


def _match_volume(
    model: Model, mount: Mount, new: Mapping[str, Any] | None, where: str, volumes: dict[str, str]
) -> list[Problem]:
    if new is None:
        return [
            (
                f"The project has the volume {mount.source} at {where}, where the new Compose file has nothing.",
                "Mount a named volume there, so that its content is taken over.",
            )
        ]
    key = str(new.get("source") or "")
    if new.get("type") != "volume" or not key:
        return [
            (
                f"{where} is the volume {mount.source} in the project and no named volume in the new Compose file.",
                "Make it a named volume, so that it can be taken over without being copied.",
            )
        ]
    volume = model.volumes[key]
    if volume.get("external"):
        if volume.get("name") == mount.source:
            return []
        return [
            (
                f"{where} is the volume {mount.source} in the project; in the new Compose file it is the external "
                f"volume {volume.get('name')}.",
                "Give the external volume that name, or leave `external` out.",
            )
        ]
    if volumes.setdefault(key, mount.source) != mount.source:
        return [
            (
                f"The new Compose file has one volume {key} where the project has two, {volumes[key]} and "
                f"{mount.source}.",
                "Give each of them a name of its own in the new file.",
            )
        ]
    return []


def _match_folder(
    entry: Old, mount: Mount, new: Mapping[str, Any] | None, where: str, files: str, folders: dict[str, str]
) -> list[Problem]:
    if new is None or new.get("type") != "bind":
        return [
            (
                f"The project has the folder {mount.source} at {where}, the new Compose file has no folder there.",
                "Mount a folder there too, written relative to the Compose file, such as ./uploads.",
            )
        ]
    target = str(new.get("source"))
    if target == mount.source:
        return []
    inside = entry.directory and Path(mount.source).is_relative_to(entry.directory)
    if not inside or not Path(target).is_relative_to(files):
        return [
            (
                f"The folder {mount.source} at {where} is not below the project's own directory "
                f"{entry.directory or '(unknown)'}, or not relative in the new Compose file.",
                f"Write its absolute path {mount.source} in the new Compose file: then it stays where it is.",
            )
        ]
    folders[target] = mount.source
    return []


def _in_use(daemon: Daemon, volumes: Sequence[str], old_ids: set[str], own: set[str]) -> list[Problem]:
    """Two servers on one volume destroy it."""
    problems = []
    for volume in volumes:
        for entry in daemon.client.api.containers(filters={"volume": volume}):
            if entry["Id"] not in old_ids and (entry.get("Labels") or {}).get(PROJECT) not in own:
                name = str(entry["Names"][0]).lstrip("/")
                problems.append(
                    (f"The volume {volume} is used by the container {name} too.", f"Stop it: docker stop {name}")
                )
    return problems


def _not_of_the_project(daemon: Daemon, project: str, volumes: Sequence[str]) -> list[Problem]:
    problems = []
    for volume in volumes:
        labels = daemon.client.api.inspect_volume(volume).get("Labels") or {}
        if labels.get(PROJECT) != project and not ANONYMOUS.fullmatch(volume):
            problems.append(
                (
                    f"The volume {volume} was not made by the project {project}: it is external there.",
                    f"Write it so in the new Compose file: external: true, name: {volume}.",
                )
            )
    return problems


def _full_disk(root: Path, folders: Mapping[str, str]) -> list[Problem]:
    needed = sum(archive.size(Path(source)) for source in folders.values())
    place = next(one for one in (root, *root.parents) if one.exists())
    free = shutil.disk_usage(place).free
    if needed < free:
        return []
    return [
        (
            f"The folders of the project have {needed // 10**6} MB, {free // 10**6} MB are free below {place}.",
            "Free some space, or write their absolute paths in the new Compose file: then they stay where they are.",
        )
    ]


def refuse_other_major(daemon: Daemon, adoption: Adoption, release: Record) -> None:
    """A database's files are read by its own major version only. The new images are on this host by now."""
    for entry in adoption.containers:
        if entry.service not in release.groups.data:
            continue
        majors = [
            upgrade.major(upgrade.image_environment(daemon, image))
            for image in (entry.image, release.images[entry.service])
        ]
        if None not in majors and majors[0] != majors[1]:
            raise SlipwayError(
                f"The project {adoption.project} runs PostgreSQL {majors[0]} as {entry.service}, the new Compose file "
                f"asks for {majors[1]}: a major version cannot be changed by taking a project over.",
                hint=f"Take it over with {majors[0]}, then upgrade it with: ansible-playbook slipway.vps.data_services",
            )


# --- taking over and giving back


def _journal(host: Host) -> Path:
    return host.paths.root / "adoption.json"


def take(host: Host, adoption: Adoption, data_services: Sequence[str]) -> float:
    """Stop the project; from the return on nothing uses its volumes. Returns when it began, by time.time()."""
    copied = {new: mirror(Path(source), Path(new)) for new, source in adoption.folders.items()}
    began = time.time()
    ordered = sorted(adoption.containers, key=lambda entry: entry.service in data_services)
    note = {
        "project": adoption.project,
        "stack": host.paths.stack,
        "served": False,
        "stopped_at": began,
        "volumes": dict(adoption.volumes),
        "folders": dict(adoption.folders),
        # The order in which they are started again.
        "containers": [
            {"id": entry.id, "name": entry.name, "running": entry.running, "policy": dict(entry.policy)}
            for entry in reversed(ordered)
        ],
    }
    write_json(_journal(host), note)
    for entry in ordered:
        # With its old policy the Engine might start it again by itself, beside its successor.
        host.daemon.client.api.update_container(entry.id, restart_policy=dict(NO_RESTART))
        host.daemon.client.api.stop(entry.id, timeout=entry.grace)
    for new, source in adoption.folders.items():
        forget(Path(new), copied[new] - mirror(Path(source), Path(new)))
    return began


def give_back(host: Host, after: State) -> State:
    """The project serves again as before; what the stack made of its volumes goes, the volumes stay."""
    if after.active is not None:
        return after
    # Before the first release only a project that was to be taken over can have given them their names.
    after = replace(after, volumes={})
    note = read_json(_journal(host))
    if not note or note["served"]:
        return after
    with host.emitter.phase("give back"):
        host.daemon.remove(host.daemon.containers(host.paths.project(DATA)))
        for service in after.data_definitions:
            definitions.forget(host.paths, service)
        for entry in note["containers"]:
            _start_again(host, entry)
        _wait_running(host, [entry["id"] for entry in note["containers"] if entry["running"]])
        remove(_journal(host))
    seconds = round(time.time() - note["stopped_at"], 1)
    host.emitter.info(f"The Compose project {note['project']} serves again; it was away for {seconds} s.")
    return replace(after, data_images={}, data_definitions={})


def _start_again(host: Host, entry: Mapping[str, Any]) -> None:
    try:
        host.daemon.client.api.update_container(entry["id"], restart_policy=entry["policy"])
        if entry["running"]:
            host.daemon.client.api.start(entry["id"])
    except host.daemon.errors.APIError as error:
        raise SlipwayError(
            f"The container {entry['name']} of the project cannot be started again: {error.explanation}",
            hint=f"Its volumes are untouched. Start it by hand: docker start {entry['name']}",
        ) from error


def _wait_running(host: Host, identifiers: Sequence[str]) -> None:
    deadline = time.monotonic() + START_SECONDS
    for identifier in identifiers:
        while True:
            state = host.daemon.client.api.inspect_container(identifier)["State"]
            if state.get("Running") and (state.get("Health") or {}).get("Status", "healthy") == "healthy":
                break
            if time.monotonic() >= deadline:
                host.emitter.info("Not every container of the project is healthy again: docker ps -a")
                return
            time.sleep(POLL_SECONDS)


def settle(host: Host) -> bool:
    """Once the first release serves, the project's containers go, so that nobody starts them on the same volumes."""
    note = read_json(_journal(host))
    current = host.store.state()
    if not note or note["served"] or current.active is None or current.transition:
        return False
    for entry in note["containers"]:
        try:
            host.daemon.client.api.remove_container(entry["id"], force=True)
        except host.daemon.errors.NotFound:
            continue
    for network in host.daemon.networks(note["project"]):
        network.reload()
        if not network.attrs.get("Containers"):
            network.remove()
    write_json(_journal(host), {**note, "served": True})
    return True


def told(adoption: Adoption, seconds: float) -> dict[str, Any]:
    """For the result."""
    return {
        "project": adoption.project,
        "services": sorted({entry.service for entry in adoption.containers}),
        "volumes": dict(adoption.volumes),
        "folders": dict(adoption.folders),
        "downtime_seconds": round(seconds, 1),
    }
