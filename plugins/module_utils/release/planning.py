# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a request would do. Read-only: used by check mode, by the module to start nothing in vain, and by the engine."""

from __future__ import annotations

import difflib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..common.errors import SlipwayError
from ..common.events import Emitter
from . import audit, compose, drift, edge, fingerprint, images, ports, record, rules, state
from .host import Host, Serving, upstreams
from .model import Model, endpoints
from .paths import StackPaths, other
from .record import Record
from .spec import Settings, Spec, parse, settings
from .state import State, Transition

NONE, DEPLOY, ROLLBACK, REPAIR, RECOVER = "none", "deploy", "rollback", "repair", "recover"
UNRESOLVED = "to be resolved"
ROLLBACK_PLACEHOLDERS = {"compose": "services: {}", "release": "rollback", "domain": "rollback.invalid"}


@dataclass
class Plan:
    """What would be done, why, and how it looks before and after (without the value of any secret)."""

    action: str
    release: int | None
    release_name: str
    previous: int | None
    slot: str
    reasons: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    diff: list[dict[str, str]] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        return self.action != NONE


@dataclass(frozen=True)
class Target:
    """A release that is about to be put into service."""

    record: Record
    model: Model
    values: Mapping[str, str]
    rollback: bool


def read(request: Mapping[str, Any]) -> tuple[Spec, Settings]:
    """A rollback carries no Compose file and no release of its own; placeholders keep the reading the same."""
    if request.get("action") == ROLLBACK:
        given = {key: value for key, value in request.items() if value not in (None, "")}
        request = {**ROLLBACK_PLACEHOLDERS, **given}
    return parse(request), settings(request)


def plan(request: Mapping[str, Any], *, check: bool = False, paths: StackPaths | None = None) -> Plan:
    """Decide without changing anything. With `check`, tags are resolved too, so that the diff is complete."""
    spec, wish = read(request)
    place = paths or StackPaths(spec.stack)
    if shutil.which("docker") is None:
        return _on_bare_host(spec, "Docker is not installed on this host yet.")
    host = Host(place, Emitter.null())
    current = host.store.state()
    if current.transition:
        return _unfinished(current)
    action, reasons = decide(host, request, spec, wish, current)
    if action in (NONE, REPAIR):
        return _of_active(host, current, action, reasons)
    absent = [name for name in spec.files if not (place.files / name).exists()]
    if action == DEPLOY and check and absent:
        return _on_bare_host(spec, f"The file {place.files / absent[0]} is not on this host yet.", current)
    target = make_target(host, request, spec, wish, current, action)
    if check:
        target = replace(target, record=replace(target.record, images=_resolve(host, target, current)))
    return _of_target(host, current, target, action, reasons)


def decide(host: Host, request: Mapping[str, Any], spec: Spec, wish: Settings, current: State) -> tuple[str, list[str]]:
    """The action, and the sentences that explain it."""
    serving = host.serving(current)
    if request.get("action") == ROLLBACK:
        chosen = rollback_number(host, current, wish)
        if serving and chosen == serving.record.number:
            return _keep(host, current, serving)
        return ROLLBACK, [f"Release number {chosen} was asked for."]
    if current.active is None or serving is None:
        return DEPLOY, ["No release of this stack serves yet."]
    mark = _fingerprint(host, request, spec)
    if wish.force:
        return DEPLOY, ["A release was asked for with force."]
    if mark == current.active.fingerprint:
        return _keep(host, current, serving)
    return DEPLOY, differences(host, spec, serving.record)


def _keep(host: Host, current: State, serving: Serving) -> tuple[str, list[str]]:
    found = drift.findings(host, current, serving)
    return (REPAIR, found) if found else (NONE, [])


def _fingerprint(host: Host, request: Mapping[str, Any], spec: Spec) -> str:
    templates = fingerprint.of_templates(request.get("tenants") or {})
    return fingerprint.of_release(spec, templates, fingerprint.key(host.paths.key))


def differences(host: Host, spec: Spec, active: Record) -> list[str]:
    """Which inputs differ from those of the active release, by name."""
    before, after = active.spec.public(), spec.public()
    names = [name for name in after if before.get(name) != after[name]]
    if host.store.values(active.number) != spec.values and not {"env", "release"} & set(names):
        names.append("secrets")
    return [f"Different from the release that serves: {', '.join(names) or 'templates'}."]


def rollback_number(host: Host, current: State, wish: Settings) -> int:
    """The release to go back to: the one asked for by number or name, or the newest older one that served."""
    if current.active is None:
        raise SlipwayError(
            f"No release of {current.stack} serves, so there is nothing to roll back from.",
            hint="Deploy one first.",
        )
    kept = [release for release in host.store.all() if release.served]
    serving = current.active.release
    if wish.rollback_to:
        chosen = [r for r in kept if wish.rollback_to in (str(r.number), r.name)]
        # A name may have been released more than once: its newest release is meant.
        number = max((r.number for r in chosen), default=None)
        complaint = f"No release {wish.rollback_to} that served is kept."
    else:
        number = max((r.number for r in kept if r.number < serving), default=None)
        complaint = "No release older than the one that serves is kept."
    if number is None:
        raise SlipwayError(complaint, hint=f"List them with: slipway release list {current.stack}")
    crossed = [r for r in kept if number < r.number <= serving and r.spec.contract]
    if crossed and not wish.force:
        raise SlipwayError(
            f"Going back to release number {number} would cross {crossed[0].label}, which is marked as contract: it "
            "removed something from the database that older releases need.",
            hint="Restore a backup, or set stack_force if you know that it works.",
        )
    return number


def make_target(
    host: Host,
    request: Mapping[str, Any],
    spec: Spec,
    wish: Settings,
    current: State,
    action: str,
) -> Target:
    """The release as a record. Its images are not resolved yet."""
    if action == ROLLBACK:
        return _kept_target(host, spec, wish, current)
    compose.refuse_old(compose.version())
    model = compose.read_model(spec.stack, str(host.paths.files), spec.compose, spec.values)
    rules.check(spec, model)
    release = record.make(
        number=current.next_release,
        spec=spec,
        model=model,
        images=dict.fromkeys(model.services, UNRESOLVED),
        fingerprint=_fingerprint(host, request, spec),
        created=audit.now(),
        by=wish.requested_by,
    )
    return Target(release, model, spec.values, rollback=False)


def _kept_target(host: Host, spec: Spec, wish: Settings, current: State) -> Target:
    kept = host.store.read(rollback_number(host, current, wish))
    secrets = dict(kept.spec.secrets)
    if wish.rollback_secrets == "current":
        serving = host.serving(current)
        today = spec.secrets or (serving.record.spec.secrets if serving else {})
        secrets.update(today)
    running = replace(kept.spec, secrets=secrets)
    model = compose.read_model(kept.spec.stack, str(host.paths.files), kept.spec.compose, running.values)
    # The fingerprint is the stored one if the secrets are too, so that the next deploy knows the release again.
    return Target(kept, model, running.values, rollback=True)


def _resolve(host: Host, target: Target, current: State) -> dict[str, str]:
    if target.rollback:
        return dict(target.record.images)
    return resolve_images(host, target.model, target.record, current)


def resolve_images(host: Host, model: Model, release: Record, current: State) -> dict[str, str]:
    """Digests for the application; data services keep the image that their containers were made from."""
    life = release.groups
    kept = {name: current.data_images[name] for name in life.data if name in current.data_images}
    asked = {name: model.image(name) for name in (*life.application, *life.data) if name not in kept}
    return {**kept, **images.resolve_all(host.daemon, asked)}


def transition(target: Target, current: State, by: str, blocks: ports.Blocks, identifier: str) -> Transition:
    slot = current.idle_slot
    return Transition(
        id=identifier,
        kind=ROLLBACK if target.rollback else DEPLOY,
        release=target.record.number,
        slot=slot,
        phase=state.PHASES[0],
        started=audit.now(),
        by=by,
        fingerprint=target.record.fingerprint,
        upstreams=upstreams(target.record.spec, blocks, slot),
    )


def blocks_for(host: Host, target: Target, current: State) -> dict[str, dict[str, list[int]]]:
    wanted = endpoints(target.record.spec, target.model)
    return ports.allocate(current.ports, wanted, current.idle_slot, host.foreign_ports(current.idle_slot))


def _on_bare_host(spec: Spec, reason: str, current: State | None = None) -> Plan:
    seen = current or State(spec.stack)
    active = seen.active
    diff = [_difference(f"release of {spec.stack}", "", _inputs(spec, None, ""))]
    return Plan(
        DEPLOY, seen.next_release, spec.release, active.release if active else None, seen.idle_slot, [reason], [], diff
    )


def _unfinished(current: State) -> Plan:
    moving = state.moving(current)
    reason = f"Release number {moving.release} was cut off in phase {moving.phase}, or is under way."
    before = current.active.release if current.active else None
    return Plan(RECOVER, moving.release, "", before, moving.slot, [reason])


def _of_active(host: Host, current: State, action: str, reasons: list[str]) -> Plan:
    serving = host.serving(current)
    number = serving.record.number if serving else None
    name, slot = (serving.record.name, serving.slot) if serving else ("", "")
    diff = [_difference(f"state of {current.stack}", "".join(f"{r}\n" for r in reasons), "")] if reasons else []
    return Plan(action, number, name, previous(host, current), slot, reasons, [], diff)


def previous(host: Host, current: State) -> int | None:
    """The release in the other slot, or the newest older one: what a rollback goes back to."""
    if current.active is None:
        return None
    served = [release.number for release in host.store.all() if release.served]
    return max((number for number in served if number < current.active.release), default=None)


def _of_target(host: Host, current: State, target: Target, action: str, reasons: list[str]) -> Plan:
    serving = host.serving(current)
    active = serving.record if serving else None
    release = target.record
    slot = current.idle_slot
    blocks = blocks_for(host, target, current)
    moving = transition(target, current, "", blocks, "plan")
    after = state.begin(current, moving, blocks, upstreams(release.spec, blocks, other(slot)))
    key = fingerprint.key(host.paths.key)
    before_text = ""
    if serving:
        before_secrets = _secrets(host, serving.record, key)
        before_text = _inputs(serving.record.spec, serving.record.images, serving.slot, before_secrets)
    after_secrets = {name: fingerprint.of_secret(target.values[name], key) for name in release.spec.secrets}
    diff = [
        _difference(
            f"release of {current.stack}", before_text, _inputs(release.spec, release.images, slot, after_secrets)
        ),
        _difference("compose.yml", active.spec.compose if active else "", release.spec.compose),
    ]
    diff += files_diff(edge.current(host.paths), host.nginx_files(release.spec, after))
    return Plan(
        action=action,
        release=release.number,
        release_name=release.name,
        previous=active.number if active else None,
        slot=slot,
        reasons=reasons,
        warnings=[*rules.warnings(release.spec, target.model), *data_changes(current, release)],
        diff=[entry for entry in diff if entry["before"] != entry["after"]],
    )


def _secrets(host: Host, release: Record, key: bytes) -> dict[str, str]:
    values = host.store.values(release.number)
    return {name: fingerprint.of_secret(values.get(name, ""), key) for name in release.spec.secrets}


def data_changes(current: State, release: Record) -> list[str]:
    """Data services whose definition is no longer the one that they run with."""
    known = current.data_definitions
    return [
        f"The definition of the data service {name} changed. A release never touches data services: the change is not "
        "applied."
        for name, mark in sorted(release.data_definitions.items())
        if name in known and known[name] != mark
    ]


def files_diff(before: Mapping[Path, str], after: Mapping[Path, str]) -> list[dict[str, str]]:
    paths = sorted({*before, *after})
    return [_difference(str(path), before.get(path, ""), after.get(path, "")) for path in paths]


def _difference(name: str, before: str, after: str) -> dict[str, str]:
    return {"before_header": name, "after_header": name, "before": before, "after": after}


def _inputs(spec: Spec, resolved: Mapping[str, str] | None, slot: str, secrets: Mapping[str, str] | None = None) -> str:
    """What decides a release, one fact a line; secrets by their keyed fingerprint only."""
    lines = [f"release: {spec.release}"]
    if slot:
        lines.append(f"slot: {slot}")
    for name, value in sorted((resolved or {}).items()):
        lines.append(f"image {name}: {value}")
    lines += [f"env {name}: {value}" for name, value in sorted(spec.env.items())]
    lines += [f"secret {name}: (fingerprint {(secrets or {}).get(name, 'unknown')})" for name in sorted(spec.secrets)]
    for route in spec.routes:
        lines.append(f"route {route.name}: {route.host}{route.path} -> {route.service}:{route.port}")
    lines += [f"replicas {name}: {count}" for name, count in sorted(spec.replicas.items())]
    lines += [f"limits {name}: {dict(sorted(limits.items()))}" for name, limits in sorted(spec.limits.items())]
    lines += [f"data service: {name}" for name in spec.data_services]
    lines += [f"exclusive service: {name}" for name in spec.exclusive_services]
    if spec.migrate:
        lines.append(f"migrate: {spec.migrate.service} {' '.join(spec.migrate.argv)}".rstrip())
    for moment, commands in sorted(spec.hooks.items()):
        lines += [f"hook {moment}: {command.service} {' '.join(command.argv)}".rstrip() for command in commands]
    lines += [f"file {name}: {checksum}" for name, checksum in sorted(spec.files.items())]
    return "".join(f"{line}\n" for line in lines)


def as_text(diff: Sequence[Mapping[str, str]]) -> str:
    """The diff as a unified one, for people on the host."""
    lines: list[str] = []
    for entry in diff:
        before, after = entry["before"].splitlines(), entry["after"].splitlines()
        lines += difflib.unified_diff(before, after, entry["before_header"], entry["after_header"], lineterm="")
    return "\n".join(lines)
