# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a request would do. Read-only: used by check mode, by the module to start nothing in vain, and by the engine."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..common.errors import SlipwayError
from ..common.events import Emitter
from . import (
    adoption,
    audit,
    compose,
    drift,
    edge,
    fingerprint,
    images,
    ports,
    record,
    rollback,
    rotation,
    rules,
    sharing,
    state,
)
from .adoption import Adoption
from .announcement import difference, document, files, inputs
from .host import Host, Serving, overrides, upstreams
from .model import Model, endpoints, pinned
from .paths import StackPaths, other
from .record import Record
from .rotation import Database
from .spec import Settings, Spec, parse, settings
from .state import State, Transition

NONE, DEPLOY, ROLLBACK, ROTATE, REPAIR, RECOVER = "none", "deploy", "rollback", "rotate", "repair", "recover"
UNRESOLVED = "to be resolved"
# A rollback and a rotation take all of this from a release that is kept.
PLACEHOLDERS = {"compose": "services: {}", "release": "kept", "domain": "kept.invalid"}


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
    rotation: bool = False
    database: Database | None = None  # whose password changes with the secrets
    adoption: Adoption | None = None

    @property
    def kind(self) -> str:
        return ROLLBACK if self.rollback else ROTATE if self.rotation else DEPLOY

    @property
    def is_kept(self) -> bool:
        """Its images are known, and it has been through its migrations."""
        return self.kind != DEPLOY


def read(request: Mapping[str, Any]) -> tuple[Spec, Settings]:
    """What is kept carries no Compose file and no release of its own; placeholders keep the reading the same."""
    if request.get("action") in (ROLLBACK, ROTATE):
        given = {key: value for key, value in request.items() if value not in (None, "")}
        request = {**PLACEHOLDERS, **given}
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
        found = _on_bare_host(spec, f"The file {place.files / absent[0]} is not on this host yet.", current)
        if adoption.wanted(wish, current):
            found.diff.append(adoption.announced(host.daemon, wish.adopt_project))
        return found
    target = make_target(host, request, spec, wish, current, action)
    if check:
        target = replace(target, record=replace(target.record, images=_resolve(host, target, current)))
    return _of_target(host, wish, current, target, action, reasons)


def decide(host: Host, request: Mapping[str, Any], spec: Spec, wish: Settings, current: State) -> tuple[str, list[str]]:
    """The action, and the sentences that explain it."""
    serving = host.serving(current)
    if request.get("action") == ROLLBACK:
        if wish.rollback_from and serving and serving.record.number != wish.rollback_from:
            return NONE, [f"Release number {wish.rollback_from} does not serve, so there is no way back from it."]
        chosen = rollback_record(host, current, wish)
        if serving and chosen.number == serving.record.number:
            return _keep(host, current, serving)
        return ROLLBACK, [f"The way back leads to {chosen.label}."]
    if request.get("action") == ROTATE:
        return _decide_rotation(host, spec, current, serving)
    if current.active is None or serving is None:
        return DEPLOY, ["No release of this stack serves yet."]
    mark = _fingerprint(host, request, spec)
    if wish.force:
        return DEPLOY, ["A release was asked for with force."]
    if mark == current.active.fingerprint:
        return _keep(host, current, serving)
    return DEPLOY, differences(host, spec, serving.record)


def _decide_rotation(host: Host, spec: Spec, current: State, serving: Serving | None) -> tuple[str, list[str]]:
    if serving is None:
        raise SlipwayError(
            f"No release of {current.stack} serves, so there are no secrets to change.", hint="Deploy one."
        )
    changed = _changed_secrets(host, spec, serving)
    if not changed:
        return _keep(host, current, serving)
    return ROTATE, [f"New secrets for {serving.record.label}: {', '.join(sorted(changed))}."]


def _changed_secrets(host: Host, spec: Spec, serving: Serving) -> dict[str, str]:
    """New values of the secrets that the release knows. Others come with the next deploy."""
    today = _today(host, serving)
    return {name: spec.secrets[name] for name in today if spec.secrets.get(name, today[name]) != today[name]}


def _keep(host: Host, current: State, serving: Serving) -> tuple[str, list[str]]:
    found = drift.findings(host, current, serving)
    return (REPAIR, found) if found else (NONE, [])


def _fingerprint(host: Host, request: Mapping[str, Any], spec: Spec) -> str:
    templates = fingerprint.of_templates(request.get("tenants") or {})
    return fingerprint.of_release(spec, templates, fingerprint.key(host.paths.key))


def _today(host: Host, serving: Serving) -> dict[str, str]:
    """The secrets that the serving release runs with, which need not be those that it was released with."""
    values = host.store.values(serving.record.number)
    return {name: values[name] for name in serving.record.spec.secrets if name in values}


def differences(host: Host, spec: Spec, active: Record) -> list[str]:
    """Which inputs differ from those of the active release, by name."""
    before, after = active.spec.public(), spec.public()
    names = [name for name in {**after, **before} if before.get(name) != after.get(name)]
    if host.store.values(active.number) != spec.values and not {"env", "release"} & set(names):
        names.append("secrets")
    return [f"Different from the release that serves: {', '.join(names) or 'templates'}."]


def rollback_record(host: Host, current: State, wish: Settings) -> Record:
    return rollback.choose(current, host.store.all(), wish.rollback_to, force=wish.force)


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
    if action == ROTATE:
        return _rotated_target(host, request, spec, wish, current)
    compose.refuse_old(compose.version())
    model = read_model(host, spec, current)
    rules.check(spec, model)
    taken = adoption.find(host, spec, model, wish) if adoption.wanted(wish, current) else None
    if taken:
        model = pinned(model, taken.volumes)
    else:
        sharing.refuse(host.daemon, host.paths, model)
    release = record.make(
        number=current.next_release,
        spec=spec,
        model=model,
        images=dict.fromkeys(model.services, UNRESOLVED),
        fingerprint=_fingerprint(host, request, spec),
        created=audit.now(),
        by=wish.requested_by,
        templates=fingerprint.of_templates(request.get("tenants") or {}),
        follows=current.active.release if current.active else None,
    )
    return Target(release, model, spec.values, rollback=False, adoption=taken)


def read_model(host: Host, spec: Spec, current: State) -> Model:
    """The team's Compose file, normalised, with the names that its volumes have on this host."""
    model = compose.read_model(spec.stack, str(host.paths.files), spec.compose, spec.values)
    return pinned(model, current.volumes)


def _kept_target(host: Host, spec: Spec, wish: Settings, current: State) -> Target:
    kept = rollback_record(host, current, wish)
    serving = host.serving(current)
    today = {**(_today(host, serving) if serving else {}), **spec.secrets}
    running = replace(kept.spec, secrets=rollback.secrets(kept, today, wish.rollback_secrets))
    model = read_model(host, running, current)
    # Of what it runs with, so that a deploy with other secrets is a new release and one with the same is none.
    mark = fingerprint.of_release(running, kept.templates, fingerprint.key(host.paths.key))
    return Target(replace(kept, fingerprint=mark), model, running.values, rollback=True)


def _rotated_target(host: Host, request: Mapping[str, Any], spec: Spec, wish: Settings, current: State) -> Target:
    """The serving release again, with the same digests, under a new number and with new secrets."""
    serving = host.serving(current)
    if serving is None:
        raise ValueError("a rotation was decided without a release that serves")
    today, base = _today(host, serving), serving.record
    changed = _changed_secrets(host, spec, serving)
    new = {**today, **changed}
    database = rotation.database_of(request.get("database") or {}, new, set(changed))
    if database:
        rotation.check(host, database, today[database.secret])
    running = replace(base.spec, secrets=new, contract=False)
    model = read_model(host, running, current)
    spared = {**running.values, **({database.secret: today[database.secret]} if database else {})}
    before, without = (
        compose.read_model(base.spec.stack, str(host.paths.files), base.spec.compose, values)
        for values in ({**base.spec.values, **today}, spared)
    )
    rotation.refuse_data_services(before, without, base.groups.data)
    release = replace(
        base,
        number=current.next_release,
        spec=running,
        data_definitions={name: record.definition(model, name, running) for name in base.groups.data},
        fingerprint=fingerprint.of_release(running, base.templates, fingerprint.key(host.paths.key)),
        created=audit.now(),
        by=wish.requested_by,
        served=False,
        follows=base.number,
        dump="",
    )
    return Target(release, model, running.values, rollback=False, rotation=True, database=database)


def _resolve(host: Host, target: Target, current: State) -> dict[str, str]:
    if target.is_kept:
        return dict(target.record.images)
    return resolve_images(host, target.model, target.record, current)


def resolve_images(host: Host, model: Model, release: Record, current: State) -> dict[str, str]:
    """Digests for the application; data services keep the image that their containers were made from."""
    life = release.groups
    kept = {name: current.data_images[name] for name in life.data if name in current.data_images}
    asked = {
        name: wanted_image(release.spec, model, name) for name in (*life.application, *life.data) if name not in kept
    }
    return {**kept, **images.resolve_all(host.daemon, asked)}


def wanted_image(spec: Spec, model: Model, service: str) -> str:
    """What the Compose file names, or the image of that repository which another environment has released."""
    named = model.image(service)
    return f"{images.repository(named)}@{spec.digests[service]}" if service in spec.digests else named


def transition(target: Target, current: State, by: str, blocks: ports.Blocks, identifier: str) -> Transition:
    slot = current.idle_slot
    return Transition(
        id=identifier,
        kind=target.kind,
        release=target.record.number,
        slot=slot,
        phase=state.PHASES[0],
        started=audit.now(),
        by=by,
        fingerprint=target.record.fingerprint,
        upstreams=upstreams(target.record.spec, blocks, slot),
        contract=target.record.spec.contract and not target.is_kept,
        name=target.record.name,
    )


def blocks_for(host: Host, target: Target, current: State) -> dict[str, dict[str, list[int]]]:
    wanted = endpoints(target.record.spec, target.model)
    return ports.allocate(current.ports, wanted, current.idle_slot, host.foreign_ports(current.idle_slot))


def _on_bare_host(spec: Spec, reason: str, current: State | None = None) -> Plan:
    seen = current or State(spec.stack)
    active = seen.active
    names = "".join(f"env {name}: {value}\n" for name, value in sorted(spec.env.items()))
    diff = [difference(f"release of {spec.stack}", "", f"release: {spec.release}\n{names}")]
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
    diff = [difference(f"state of {current.stack}", "".join(f"{r}\n" for r in reasons), "")] if reasons else []
    return Plan(action, number, name, previous(host, current), slot, reasons, [], diff)


def previous(host: Host, current: State) -> int | None:
    """What a rollback goes back to."""
    found = rollback.before(current, host.store.all())
    return found.number if found else None


def _of_target(host: Host, wish: Settings, current: State, target: Target, action: str, reasons: list[str]) -> Plan:
    serving = host.serving(current)
    active = serving.record if serving else None
    release = target.record
    slot = current.idle_slot
    blocks = blocks_for(host, target, current)
    moving = transition(target, current, "", blocks, "plan")
    after = state.begin(current, moving, blocks, upstreams(release.spec, blocks, other(slot)))
    key = fingerprint.key(host.paths.key)
    made = overrides(release, target.model, slot, blocks, host.paths, wish.boot_cpu_shares)
    diff = [
        difference(
            f"release of {current.stack}",
            _before(host, serving, key) if serving else "",
            inputs(release, slot, _marks(release, target.values, key)),
        ),
        difference("compose.yml", active.spec.compose if active else "", release.spec.compose),
        difference(
            f"override.{slot}.json",
            document(host.store.override(serving.record.number, serving.slot)) if serving else "",
            document(made[slot]),
        ),
    ]
    diff += files(edge.current(host.paths), host.nginx_files(release.spec, after))
    if target.adoption:
        diff.append(target.adoption.diff())
        reasons = [*reasons, *target.adoption.reasons()]
    return Plan(
        action=action,
        release=release.number,
        release_name=release.name,
        previous=active.number if active else None,
        slot=slot,
        reasons=reasons,
        warnings=[*rules.warnings(release.spec, target.model), *data_changes(current, release, target.database)],
        diff=[entry for entry in diff if entry["before"] != entry["after"]],
    )


def _before(host: Host, serving: Serving, key: bytes) -> str:
    values = host.store.values(serving.record.number)
    return inputs(serving.record, serving.slot, _marks(serving.record, values, key))


def _marks(release: Record, values: Mapping[str, str], key: bytes) -> dict[str, str]:
    """Of the secrets that the release runs with."""
    return {name: fingerprint.of_secret(values.get(name, ""), key) for name in release.spec.secrets}


def data_changes(current: State, release: Record, database: Database | None = None) -> list[str]:
    """Data services whose definition is no longer the one that they run with, but for that of a rotated password."""
    rotated = database.service if database else ""
    known = current.data_definitions
    return [
        f"The definition of the data service {name} changed. A release never touches data services: the change is not "
        "applied. Apply it with: ansible-playbook slipway.vps.data_services"
        for name, mark in sorted(release.data_definitions.items())
        if name in known and known[name] != mark and name != rotated
    ]
