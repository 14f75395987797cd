# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A release from its request to its end.

    lock, recover what was cut off, decide
    preflight -> pull -> write -> data -> prepare -> dump -> migrate -> tenants -> start -> probe -> edge
    -> switch -> observe -> exclusive -> drain -> stop -> commit

Every phase is recorded before it acts. Until `drain` a failure puts everything back: the flag first, then Nginx, then
the containers. From `drain` on the release has proved itself and is finished, by this run or by the next.
"""

from __future__ import annotations

import secrets as random
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..backup import upon_release
from ..common.errors import SlipwayError
from ..common.events import Emitter
from . import (
    adoption,
    audit,
    capacity,
    cpu,
    data_services,
    drain,
    dump,
    edge,
    failure,
    fingerprint,
    health,
    images,
    keepers,
    planning,
    preflight,
    record,
    recovery,
    remapping,
    retention,
    rotation,
    rules,
    state,
    static,
    watch,
)
from .host import Host, overrides, upstreams
from .paths import StackPaths, other
from .planning import Target
from .record import Record
from .spec import Settings
from .state import State

DATA_SECONDS = 180
ROLLBACK_OBSERVE = 2.0


def release(request: Mapping[str, Any], emitter: Emitter) -> dict[str, Any]:
    """Do what the request asks for (`action`: deploy, rollback or rotate); the job of the agent."""
    try:
        return _release(request, emitter)
    except OSError as error:
        raise failure.cause_of(error) from error


def _release(request: Mapping[str, Any], emitter: Emitter) -> dict[str, Any]:
    spec, wish = planning.read(request)
    host = Host(StackPaths(spec.stack), emitter)
    host.paths.root.mkdir(mode=0o755, parents=True, exist_ok=True)
    what = f"{request.get('action') or planning.DEPLOY} of {spec.stack}"
    with host.lock(what, wish.lock_wait, wish.requested_by):
        recovered = recovery.recover(host)
        current = host.store.state()
        action, reasons = planning.decide(host, request, spec, wish, current)
        for reason in reasons:
            emitter.info(reason)
        if action == planning.NONE:
            return _unchanged(host, current, changed=recovered)
        if action == planning.REPAIR:
            recovery.reconcile(host)
            return _unchanged(host, current, changed=True)
        host.store.prepare()
        fingerprint.make_key(host.paths.key)
        target = planning.make_target(host, request, spec, wish, current, action)
        return Pipeline(host, target, wish, request).run()


def _unchanged(host: Host, current: State, *, changed: bool) -> dict[str, Any]:
    serving = host.serving(current)
    return {
        "changed": changed,
        "release": serving.record.number if serving else None,
        "release_name": serving.record.name if serving else "",
        "previous": planning.previous(host, current),
        "slot": serving.slot if serving else "",
        "phases": host.emitter.phases,
        "rolled_back": False,
        "warnings": [],
        "dump": "",
    }


class Pipeline:
    """One release on its way: a short method a phase, in the order of state.PHASES."""

    def __init__(self, host: Host, target: Target, wish: Settings, request: Mapping[str, Any]) -> None:
        self.host = host
        self.target = target
        self.wish = wish
        self.request = request
        self.tenants_request = dict(request.get("tenants") or {})
        self.current = host.store.state()
        serving = host.serving(self.current)
        self.old = serving.record if serving else None
        self.old_slot = serving.slot if serving else None
        self.slot = self.current.idle_slot
        self.id = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{random.token_hex(3)}"
        self.warnings: list[str] = [*planning.data_changes(self.current, target.record, target.database)]
        self.traffic_moved = False
        self.volumes = host.daemon.volumes(host.paths.project(self.slot))
        self.nothing_served_since = 0.0
        self.adoption: dict[str, Any] = {}

    @property
    def record(self) -> Record:
        return self.target.record

    @property
    def values(self) -> Mapping[str, str]:
        return self.target.values

    def run(self) -> dict[str, Any]:
        self.begin()
        for name in state.PHASES:
            try:
                self.enter(name)
            except BaseException as error:
                raise self.give_up(name, error) from error
        self.afterwards()
        return self.result()

    def begin(self) -> None:
        """Ports are allocated under a lock of the whole host, and kept before anything uses them."""
        with self.host.ports_lock():
            blocks = planning.blocks_for(self.host, self.target, self.current)
            moving = planning.transition(self.target, self.current, self.wish.requested_by, blocks, self.id)
            spare = upstreams(self.record.spec, blocks, other(moving.slot))
            begun = state.begin(self.current, moving, blocks, spare)
            if self.target.adoption:
                begun = replace(begun, volumes={**begun.volumes, **self.target.adoption.volumes})
            self.current = self.host.store.save(begun)

    def enter(self, name: str) -> None:
        self.current = self.host.store.save(state.advance(self.current, name))
        with self.host.emitter.phase(name):
            getattr(self, name)()

    def deadline(self) -> float:
        return time.monotonic() + self.wish.health_timeout

    # --- before the traffic moves

    def preflight(self) -> None:
        preflight.check(self.host, self.record, self.wish, self.current)
        remapping.refuse(self.target.model, remapping.first_id(self.host.daemon))

    def pull(self) -> None:
        resolved = dict(self.record.images)
        if not self.target.is_kept:
            resolved = planning.resolve_images(self.host, self.target.model, self.record, self.current)
        self.target = replace(self.target, record=replace(self.record, images=resolved))
        # Twice: what nobody needs any more makes room first, and what was fetched is held before anybody prunes.
        self.hold_images()
        here = self.old.images.values() if self.old else ()
        capacity.refuse_little_disk(self.host.daemon, resolved.values(), here, self.wish.min_free_disk_mb)
        images.pull(self.host.daemon, resolved.values(), self.host.emitter)
        self.hold_images()
        if not self.target.rollback:
            checked = images.with_health_check(self.host.daemon, resolved)
            rules.refuse_unchecked(self.record.spec, self.target.model, checked)
            self.target = replace(self.target, record=record.with_checks(self.record, self.target.model, checked))

    def hold_images(self) -> None:
        references = keepers.wanted([*self.host.store.all(), self.record])
        keepers.sync(self.host.daemon, self.host.paths.stack, references)

    def write(self) -> None:
        made = overrides(
            self.record, self.target.model, self.slot, self.current.ports, self.host.paths, self.wish.boot_cpu_shares
        )
        if self.target.rollback:
            self.host.store.write_run(self.record, self.values, made)
        else:
            self.host.store.write(self.record, made)
            static.keep(self.host.paths, self.record, self.old.number if self.target.rotation and self.old else None)
            self.host.store.write_request(self.record.number, self.what_was_asked())
            rotation.note(self.host, self.record.number, self.target.database)

    def what_was_asked(self) -> Mapping[str, Any]:
        """A rotation asks for what was asked for before, with new secrets wherever an old one was."""
        if not self.target.rotation:
            return self.request
        asked: Mapping[str, Any] = self.host.store.last_request()
        for name, old in self.old_values().items():
            asked = rotation.swapped(asked, old, self.values[name])
        return asked

    def old_values(self) -> dict[str, str]:
        """The secrets that change, as the release that serves has them."""
        before = self.host.store.values(self.old.number) if self.old else {}
        return {
            name: before[name]
            for name in self.record.spec.secrets
            if before.get(name, "") not in ("", self.values[name])
        }

    def data(self) -> None:
        if self.target.adoption:
            self.adopt(self.target.adoption)
        made = data_services.define(self.host, self.record, self.target.model, self.current)
        self.host.slots.start_data(self.record, self.values, time.monotonic() + DATA_SECONDS)
        self.current = self.host.store.save(data_services.defined(self.current, made))

    def adopt(self, taken: adoption.Adoption) -> None:
        """The project that ran before gives its volumes free; if this release is given up, it serves again."""
        adoption.refuse_other_major(self.host.daemon, taken, self.record)
        with self.host.emitter.phase("adopt"):
            self.nothing_served_since = adoption.take(self.host, taken, self.record.groups.data)

    def prepare(self) -> None:
        held = self.current.slots.get(self.slot)
        written = self.host.store.override(self.record.number, self.slot) or {}
        self.host.slots.make_room(self.record, self.slot, written, held.release if held else None)
        self.host.slots.create(self.record, self.slot, self.values)

    def dump(self) -> None:
        migrates = bool(self.record.spec.migrate or self.tenants_request)
        if not self.wish.migrate_dump or self.target.is_kept or not migrates:
            return
        if self.old is None and not dump.is_configured(self.host.paths.stack):
            self.host.emitter.info("no dump: nothing served before, and no backup is configured yet")
            return
        made = dump.make(self.host.paths.stack, self.host.emitter)
        self.target = replace(self.target, record=replace(self.record, dump=made))
        self.host.store.write_record(self.record)

    def migrate(self) -> None:
        if self.target.is_kept:
            return
        self.hooks("before_migrate")
        if self.record.spec.migrate:
            self.host.slots.run(self.record, self.slot, self.record.spec.migrate, "migrate", self.values)

    def tenants(self) -> None:
        if self.target.is_kept or not self.tenants_request:
            return
        # Loaded here because a stack without tenants must not need a PostgreSQL library.
        from ..tenancy import configuration
        from ..tenancy import engine as tenancy

        tenancy.raise_on_failure(tenancy.converge(self.tenants_request, self.host.emitter))
        configuration.remember_templates(self.host.paths.stack, self.tenants_request)

    def start(self) -> None:
        database = self.target.database
        if database and self.old_slot:
            old, new = self.old_values()[database.secret], self.values[database.secret]
            rotation.open_both(self.host, database, self.old_slot, old, new)
        self.host.slots.start(self.record, self.slot, self.values, self.deadline())

    def probe(self) -> None:
        before = self.restarts()
        moving = state.moving(self.current)
        spec = self.record.spec
        try:
            deadline = time.monotonic() + self.wish.probe_timeout
            health.probe(spec.routes, moving.upstreams, spec.domain, self.wish.probe_successes, deadline)
        except SlipwayError as error:
            raise self.with_diagnosis(error) from error
        self.refuse_unstable(before)
        if not self.target.is_kept:
            self.hooks("before_switch")
        cpu.release(self.host.daemon, self.host.paths.project(self.slot))

    def restarts(self) -> dict[str, int]:
        return health.restarts(self.host.daemon, self.host.paths.project(self.slot))

    def refuse_unstable(self, before: Mapping[str, int]) -> None:
        project = self.host.paths.project(self.slot)
        health.refuse_unstable(self.host.daemon, project, before, self.record.groups.slot)

    # --- the traffic moves

    def edge(self) -> None:
        if self.old is None:
            # Nginx answers the proof from the slot that the flag names, so both have to be there already.
            edge.serve(self.host.paths, self.slot, self.record.number, self.record.name)
        edge.apply(self.host.paths, self.host.nginx_files(self.record.spec, self.current), self.record.spec.hosts)

    def switch(self) -> None:
        self.traffic_moved = True
        edge.serve(self.host.paths, self.slot, self.record.number, self.record.name)
        edge.read_back(self.record.spec.hosts, self.slot, self.record.number)
        if self.target.adoption:
            self.adoption = adoption.told(self.target.adoption, time.time() - self.nothing_served_since)
            seconds = self.adoption["downtime_seconds"]
            self.host.emitter.info(f"{self.adoption['project']} was taken over; nothing served for {seconds} s")

    def observe(self) -> None:
        """The release under real traffic, through Nginx."""
        before = self.restarts()
        asked = watch.questions(self.record.spec, state.moving(self.current).upstreams)
        try:
            watch.watch(asked, self.observed_for(), lambda: self.refuse_unstable(before))
        except SlipwayError as error:
            raise self.with_diagnosis(error) from error

    def observed_for(self) -> float:
        """Whoever goes back is in a hurry, and that release has proved itself under traffic before."""
        return min(self.wish.observe, ROLLBACK_OBSERVE) if self.target.rollback else self.wish.observe

    def exclusive(self) -> None:
        """Workers run once: the old ones end before the new ones begin."""
        if self.old and self.old_slot:
            self.host.slots.stop(self.old_slot, self.old.groups.exclusive)
        self.host.slots.start_exclusive(self.record, self.slot, self.values, self.deadline())

    # --- the release has proved itself

    def drain(self) -> None:
        if self.old is None or self.old_slot is None:
            return
        held = self.current.slots.get(self.old_slot)
        limits = drain.limits(
            self.old.spec.routes, held.upstreams if held else {}, self.wish.drain_http, self.wish.drain_websocket
        )
        left = drain.wait(limits)
        if left:
            self.host.emitter.info(f"{left} connections were still open on the old slot when its time was over")

    def stop(self) -> None:
        if self.old_slot:
            self.host.slots.stop(self.old_slot)
        database = self.target.database
        if database:
            rotation.close(self.host, database, self.values[database.secret])
            # The database has the new password, whatever its container was once made with.
            marks = {database.service: self.record.data_definitions[database.service]}
            self.current = self.host.store.save(state.with_data(self.current, {}, marks))

    def commit(self) -> None:
        self.target = replace(self.target, record=self.host.store.mark_served(self.record))
        self.write_audit("succeeded", "")
        self.current = self.host.store.save(state.commit(self.current))

    # --- afterwards: nothing in here can take the release back

    def afterwards(self) -> None:
        settled = ["settle"] if self.target.adoption else []
        kept = ["back_up_state"] if upon_release.wanted(self.record.spec.stack) else []
        for name in (*settled, "after_switch", "retain", *kept):
            try:
                with self.host.emitter.phase(name):
                    getattr(self, name)()
            except SlipwayError as error:
                self.warnings.append(f"The release serves, but {name} failed: {error}")

    def settle(self) -> None:
        adoption.settle(self.host)

    def after_switch(self) -> None:
        self.hooks("after_switch")

    def retain(self) -> None:
        held = [slot.release for slot in self.current.slots.values()]
        served = [kept.number for kept in self.host.store.all() if kept.served]
        gone = retention.expired(self.host.store.numbers(), served, self.wish.retain, held)
        for number in (*gone, *self.host.store.leftovers()):
            self.host.store.remove(number)
        self.hold_images()

    def back_up_state(self) -> None:
        upon_release.back_up_state(self.record.spec.stack)

    def hooks(self, moment: str) -> None:
        for position, command in enumerate(self.record.spec.hooks.get(moment, ()), 1):
            name = f"{moment.replace('_', '-')}-{position}"
            self.host.slots.run(self.record, self.slot, command, name, self.values)

    # --- what people are told

    def with_diagnosis(self, error: SlipwayError) -> SlipwayError:
        """Add what the containers of the service that is meant say."""
        if "diagnosis" in error.details:
            return error
        found = [
            health.diagnosis(self.host.daemon, entry)
            for entry in self.host.daemon.containers(self.host.paths.project(self.slot))
            if entry.service == error.details.get("service")
        ]
        return SlipwayError(
            error.message, hint=error.hint, phase=error.phase, details={**error.details, "diagnosis": found}
        )

    def give_up(self, phase: str, error: BaseException) -> SlipwayError:
        """Put everything back and say what was seen, where the traffic is and what to do."""
        proved = state.PHASES.index(phase) >= state.PROVED
        cause = failure.cause_of(error)
        where = self.finish_later() if proved else self.put_back(phase)
        secrets = [self.values.get(name, "") for name in self.record.spec.secrets]
        self.write_failure(phase, failure.redact(str(cause), secrets))
        touched = state.PHASES.index(phase) >= state.PHASES.index("data")
        details = {**cause.details, **self.result(), "changed": touched, "failed_phase": phase}
        return SlipwayError(
            failure.redact(f"R{self.record.label[1:]} was given up in phase {phase}: {cause.message} {where}", secrets),
            hint=failure.redact(cause.hint, secrets),
            phase=phase,
            details=failure.redact(details, secrets),
        )

    def finish_later(self) -> str:
        return f"It serves already, and the next run finishes it ({self.record.label}, slot {self.slot})."

    def put_back(self, phase: str) -> str:
        """Revert, and say where the traffic is. What cannot be put back now (Docker is gone, the disk is full) stays
        on record for whoever comes next."""
        try:
            recovery.revert(self.host, "", self.wish.drain_http, self.wish.drain_websocket)
            self.clear_away(phase)
        except Exception as trouble:
            return (
                f"It could not be put back yet ({failure.cause_of(trouble)}). The next run does so, or on this host: "
                f"slipway release boot {self.record.spec.stack}"
            )
        finally:
            self.current = self.host.store.state()
        return self.where_traffic_is() + self.what_was_dumped()

    def clear_away(self, phase: str) -> None:
        """Volumes and images that are there only because of this release."""
        if state.PHASES.index(phase) >= state.TOUCHES_SLOT:
            made = self.host.daemon.volumes(self.host.paths.project(self.slot)) - self.volumes
            self.host.daemon.remove_volumes(made)
        if not self.target.rollback:
            kept = keepers.wanted(self.host.store.all())
            keepers.sync(self.host.daemon, self.host.paths.stack, kept)
            # A pull that failed half-way has fetched images that nothing holds.
            for reference in keepers.wanted([self.record]) - kept:
                images.remove(self.host.daemon, reference)

    def write_failure(self, phase: str, reason: str) -> None:
        try:
            self.write_audit("failed", reason, phase)
        except (OSError, SlipwayError) as error:
            self.warnings.append(f"The audit log could not be written: {error}.")

    def where_traffic_is(self) -> str:
        if self.target.adoption:
            return f"The Compose project {self.target.adoption.project} serves as before."
        if self.old is None:
            return "Nothing served before, and nothing does now."
        moved = "The traffic was moved back" if self.traffic_moved else "The traffic never moved"
        return f"{moved}: {self.old.label} serves from slot {self.old_slot}."

    def what_was_dumped(self) -> str:
        if not self.record.dump:
            return ""
        return (
            f" The database was dumped before the migration: backup {self.record.dump} (to bring it back: playbook "
            "restore.yml with restore_id)."
        )

    def write_audit(self, result: str, reason: str, phase: str = "") -> None:
        audit.append_once(
            self.host.paths.audit,
            {
                "id": self.id,
                "kind": self.target.kind,
                "release": self.record.number,
                "name": self.record.name,
                "slot": self.slot,
                "from": self.old.number if self.old else None,
                "by": self.wish.requested_by,
                "images": dict(self.record.images),
                "dump": self.record.dump,
                "phases": self.host.emitter.phases,
                "result": result,
                "phase": phase,
                "reason": reason,
            },
        )

    def result(self) -> dict[str, Any]:
        return {
            "changed": True,
            "release": self.record.number,
            "release_name": self.record.name,
            "previous": self.old.number if self.old else None,
            "slot": self.slot,
            "phases": self.host.emitter.phases,
            "rolled_back": self.traffic_moved and self.current.transition is None and not self.serves(),
            "warnings": self.warnings,
            "dump": self.record.dump,
            **({"adoption": self.adoption} if self.adoption else {}),
        }

    def serves(self) -> bool:
        return self.current.active is not None and self.current.active.release == self.record.number
