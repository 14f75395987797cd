# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Changes to data services, which no release applies.

    lock, recover what was cut off, decide
    pull -> backup -> for each service: stop -> (archive | transfer) -> replace -> probe -> keep

Visitors see the maintenance page from `stop` to `keep`. What is about to be done is on record before it is done; until
`keep` everything can be put back, and a run that was cut off is put back by the next run or by the boot unit.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from ..backup import engine as backup
from ..backup import spec as backup_spec
from ..common.errors import SlipwayError
from ..common.events import Emitter
from ..common.files import read_json, remove, touch, write_json
from . import (
    archive,
    audit,
    compose,
    definitions,
    failure,
    fingerprint,
    health,
    images,
    networks,
    planning,
    rules,
    state,
    upgrade,
)
from .announcement import difference
from .definitions import Definition
from .host import Host, Serving
from .model import Model, groups, pinned
from .paths import DATA, StackPaths
from .record import Record
from .spec import Settings, Spec
from .state import State

ACTION = "data_services"
WAIT_SECONDS = 180
BACK_SECONDS = 180


@dataclass(frozen=True)
class Change:
    """One data service that is to run with another definition."""

    before: Definition
    after: Definition

    @property
    def service(self) -> str:
        return self.after.service

    def sentence(self) -> str:
        what = []
        if self.before.image != self.after.image:
            what.append(f"image {self.before.image} -> {self.after.image}")
        if self.before.mark != self.after.mark:
            what.append("definition")
        return f"The data service {self.service} changes: {', '.join(what)}."


@dataclass(frozen=True)
class Journal:
    """A change that is under way: enough to put everything back, or to finish its last step."""

    service: str
    keep: bool  # it has proved itself, only the record is left to be written
    maintenance: bool  # the flag is ours
    mark: str
    image: str
    volumes: Mapping[str, str]
    new_volume: str = ""
    archives: Mapping[str, str] = field(default_factory=dict)


# --- what a release does about data services: it makes what is missing


def define(host: Host, release: Record, model: Model, current: State) -> list[Definition]:
    """Write down what data services that never ran will run with; what a failed first try left of them goes."""
    made = []
    key = fingerprint.key(host.paths.key)
    for name in release.groups.data:
        known = name in current.data_definitions
        if known and (
            definitions.read(host.paths, name) or current.data_definitions[name] != release.data_definitions[name]
        ):
            continue
        definition = definitions.make(release.spec, model, release.groups, name, release.images[name], host.paths, key)
        definitions.write(host.paths, definition)
        if not known:
            host.daemon.remove(_containers(host, name))
        made.append(definition)
    return made


def defined(current: State, made: Sequence[Definition]) -> State:
    return state.with_data(current, {d.service: d.image for d in made}, {d.service: d.mark for d in made})


def _containers(host: Host, service: str) -> list[Any]:
    return [entry for entry in host.daemon.containers(host.paths.project(DATA)) if entry.service == service]


# --- what is to be done


def plan(request: Mapping[str, Any]) -> planning.Plan:
    """Decide without changing anything; tags are resolved to digests."""
    spec, _wish = planning.read(request)
    host = Host(StackPaths(spec.stack), Emitter.null())
    current = host.store.state()
    serving = _serving(host, current)
    if current.transition or _journal_path(host).exists():
        return _plan(serving, ["Something was cut off: it is put back or finished first."], [])
    changes = find(host, spec, current)
    diff = [
        difference(f"data service {change.service} of {spec.stack}", change.before.shown, change.after.shown)
        for change in changes
    ]
    return _plan(serving, [change.sentence() for change in changes], diff)


def _plan(serving: Serving, reasons: list[str], diff: list[dict[str, str]]) -> planning.Plan:
    return planning.Plan(
        action=ACTION if reasons else planning.NONE,
        release=serving.record.number,
        release_name=serving.record.name,
        previous=None,
        slot=serving.slot,
        reasons=reasons,
        diff=diff,
    )


def _serving(host: Host, current: State) -> Serving:
    serving = host.serving(current)
    if serving is None:
        raise SlipwayError(
            f"No release of {current.stack} serves, so its data services do not run yet.",
            hint="Release it first with: ansible-playbook slipway.vps.deploy",
        )
    return serving


def find(host: Host, spec: Spec, current: State) -> list[Change]:
    """The data services whose definition or image is not the one that they run with."""
    compose.refuse_old(compose.version())
    model = planning.read_model(host, spec, current)
    rules.check(spec, model)
    life = groups(model, spec)
    running = {
        name: found
        for name in life.data
        if name in current.data_definitions and (found := definitions.read(host.paths, name))
    }
    resolved = images.resolve_all(host.daemon, {name: planning.wanted_image(spec, model, name) for name in running})
    key = fingerprint.key(host.paths.key)
    changes = [
        Change(before, definitions.make(spec, model, life, name, resolved[name], host.paths, key))
        for name, before in running.items()
    ]
    # The state's mark, because a rotated password is in the database whatever its container was once made with.
    return [
        change
        for change in changes
        if (change.after.mark, change.after.image) != (current.data_definitions[change.service], change.before.image)
    ]


# --- doing it


def run(request: Mapping[str, Any], emitter: Emitter) -> dict[str, Any]:
    """Apply what `find` finds; the job of the agent."""
    # Imported here because recovery asks this module to put back what was cut off.
    from . import recovery

    spec, wish = planning.read(request)
    host = Host(StackPaths(spec.stack), emitter)
    with host.lock(f"data services of {spec.stack}", wish.lock_wait, wish.requested_by):
        recovered = recovery.recover(host)
        current = host.store.state()
        serving = _serving(host, current)
        changes = find(host, spec, current)
        for change in changes:
            emitter.info(change.sentence())
        done = Applying(host, wish, spec).apply(changes)
    return {
        "changed": recovered or bool(done),
        "release": serving.record.number,
        "release_name": serving.record.name,
        "slot": serving.slot,
        "services": done,
        "phases": emitter.phases,
        "rolled_back": False,
    }


def back(stack: str, service: str, emitter: Emitter, by: str) -> dict[str, Any]:
    """The definition before the newest change again, with the volumes that it had."""
    from . import recovery

    host = Host(StackPaths(stack), emitter)
    with host.lock(f"data service {service} of {stack}", 60, by):
        recovery.recover(host)
        now, before = (
            definitions.read(host.paths, service, which) for which in (definitions.CURRENT, definitions.BEFORE)
        )
        if now is None or before is None:
            raise SlipwayError(
                f"There is nothing to go back to for {service} of {stack}.",
                hint=f"Look with: slipway data list {stack}",
            )
        images.pull(host.daemon, [before.image], emitter)
        wish = Settings(requested_by=by)
        return Applying(host, wish, None).apply([Change(now, before)])[0]


class Applying:
    """The changes of one run, one service after the other."""

    def __init__(self, host: Host, wish: Settings, spec: Spec | None) -> None:
        self.host = host
        self.wish = wish
        self.spec = spec  # None: going back, so that no database is transferred
        self.backup_id = ""
        self.done: list[dict[str, Any]] = []

    def apply(self, changes: Sequence[Change]) -> list[dict[str, Any]]:
        if not changes:
            return []
        with self.host.emitter.phase("pull"):
            images.pull(self.host.daemon, [change.after.image for change in changes], self.host.emitter)
        jumps = {change.service: self._jump(change) for change in changes}
        for change in changes:
            self._refuse_other_volume(change)
            upgrade.refuse(self.host, change.before, change.after, jumps[change.service], self.wish.data_upgrade)
        self._back_up(changes)
        for change in changes:
            self.done.append(self._apply_one(change, jumps[change.service]))
        return self.done

    def _refuse_other_volume(self, change: Change) -> None:
        """A service on another, empty volume would look as if all its data were gone."""
        lost = sorted(set(change.before.volumes.values()) - set(change.after.volumes.values()))
        if lost and self.spec is not None:
            raise SlipwayError(
                f"The new definition of {change.service} no longer uses the volume {lost[0]}, which holds its data.",
                hint="Keep the volume in the Compose file under the name that it has there.",
            )

    def _jump(self, change: Change) -> upgrade.Jump | None:
        if self.spec is None:
            return None
        return upgrade.jump(self.host.daemon, change.before.image, change.after.image)

    def _back_up(self, changes: Sequence[Change]) -> None:
        """The stack's database goes through the backup engine, while everything still runs."""
        covered = self._backed_up()
        if not any(self.host.paths.container(change.service) == covered for change in changes):
            return
        made = backup.run(backup_spec.load(self.host.paths.stack), self.host.emitter)
        self.backup_id = str(made["backup"]["id"])

    def _backed_up(self) -> str:
        """The container that the stack's backup covers."""
        if self.host.paths.stack not in backup_spec.configured():
            return ""
        return backup_spec.load(self.host.paths.stack).postgres.container

    def _apply_one(self, change: Change, jump: upgrade.Jump | None) -> dict[str, Any]:
        new_volume = ""
        if jump:
            after, new_volume = self._with_new_volume(change, jump)
            change = replace(change, after=after)
        journal = self._begin(change, new_volume)
        started = time.monotonic()
        rows: dict[str, int] = {}
        try:
            with self.host.emitter.phase(f"stop {change.service}"):
                touch(self.host.paths.maintenance)
                self.host.daemon.stop(_containers(self.host, change.service))
            if jump:
                with self.host.emitter.phase(f"transfer {change.service}"):
                    rows = upgrade.transfer(self.host, change.before, change.after, journal.new_volume)
            elif self.host.paths.container(change.service) != self._backed_up():
                journal = self._archive(change, journal)
            self._switch(change)
        except BaseException as error:
            raise self._give_up(change, error) from error
        journal = replace(journal, keep=True)
        _write(self.host, journal)
        _keep(self.host, journal)
        seconds = round(time.monotonic() - started, 1)
        self.host.emitter.info(f"Visitors saw the maintenance page for {seconds} s while {change.service} was changed.")
        return self._told(change, jump, journal, rows, seconds)

    def _begin(self, change: Change, new_volume: str) -> Journal:
        """On record before anything is touched."""
        journal = Journal(
            service=change.service,
            keep=False,
            maintenance=not self.host.paths.maintenance.exists(),
            mark=change.after.mark,
            image=change.after.image,
            volumes=change.after.volumes,
            new_volume=new_volume,
        )
        definitions.write(self.host.paths, change.before, definitions.BEFORE)
        _write(self.host, journal)
        return journal

    def _archive(self, change: Change, journal: Journal) -> Journal:
        with self.host.emitter.phase(f"archive {change.service}"):
            archived = replace(journal, archives=archive.make(self.host, change.before.volumes))
            _write(self.host, archived)
        return archived

    def _with_new_volume(self, change: Change, jump: upgrade.Jump) -> tuple[Definition, str]:
        """The same definition with a volume of its own for the new major version."""
        if self.spec is None:
            raise AssertionError("going back transfers nothing")
        current = self.host.store.state()
        key = upgrade.data_volume(self.host.daemon, change.before, change.after)
        name = upgrade.free_volume(self.host.daemon, change.before.volumes[key], jump.after)
        model = pinned(planning.read_model(self.host, self.spec, current), {**current.volumes, key: name})
        upgrade.refuse_shared(model, change.service, key)
        marks = fingerprint.key(self.host.paths.key)
        life = groups(model, self.spec)
        after = definitions.make(self.spec, model, life, change.service, change.after.image, self.host.paths, marks)
        return after, name

    def _switch(self, change: Change) -> None:
        with self.host.emitter.phase(f"replace {change.service}"):
            definitions.write(self.host.paths, change.after)
            self.host.slots.replace_data(change.after, time.monotonic() + WAIT_SECONDS)
            _connect(self.host)
        with self.host.emitter.phase(f"probe {change.service}"):
            _probe(self.host, self.wish)

    def _give_up(self, change: Change, error: BaseException) -> SlipwayError:
        cause = self._without_secrets(failure.cause_of(error))
        self._audit(change, "failed", str(cause))
        try:
            recover(self.host)
        except SlipwayError as second:
            raise SlipwayError(
                f"The change of {change.service} was given up: {cause.message} It could not be put back either: "
                f"{second.message}",
                hint="Mend the cause; the next run and the boot unit put it back. Until then visitors see the "
                f"maintenance page. {second.hint}",
                details={**cause.details, "phases": self.host.emitter.phases},
            ) from second
        return SlipwayError(
            f"The change of {change.service} was given up: {cause.message} It runs as before "
            f"({change.before.image}), and nothing was lost.",
            hint=cause.hint,
            phase=cause.phase,
            details={
                **cause.details,
                "rolled_back": True,
                "phases": self.host.emitter.phases,
                "services": self.done,
                "changed": bool(self.done),
            },
        )

    def _without_secrets(self, cause: SlipwayError) -> SlipwayError:
        """A container may have printed what it was given."""
        secrets = list(self.spec.secrets.values()) if self.spec else []
        message, hint, details = failure.redact([cause.message, cause.hint, cause.details], secrets)
        return SlipwayError(message, hint=hint, phase=cause.phase, details=details)

    def _told(
        self, change: Change, jump: upgrade.Jump | None, journal: Journal, rows: Mapping[str, int], seconds: float
    ) -> dict[str, Any]:
        self._audit(change, "succeeded", "")
        gone = sorted(set(change.before.volumes.values()) - set(change.after.volumes.values()))
        stack = self.host.paths.stack
        return {
            "service": change.service,
            "image_before": change.before.image,
            "image": change.after.image,
            "major_before": jump.before if jump else None,
            "major": jump.after if jump else None,
            "rows": sum(rows.values()),
            "tables": len(rows),
            "backup": self.backup_id,
            "archives": sorted(journal.archives.values()),
            "volumes_kept": gone,
            "maintenance_seconds": seconds,
            "go_back": f"slipway data back {stack} {change.service}",
        }

    def _audit(self, change: Change, result: str, reason: str) -> None:
        audit.append(
            self.host.paths.audit,
            {
                "kind": ACTION,
                "name": change.service,
                "by": self.wish.requested_by,
                "images": {change.service: change.after.image},
                "phases": list(self.host.emitter.phases),
                "result": result,
                "reason": reason,
            },
        )


def _connect(host: Host) -> None:
    """The new container joins the networks of the slot that serves; the other slot's are joined when it starts."""
    serving = host.serving(host.store.state())
    if serving:
        networks.connect_data(host.daemon, host.paths, serving.slot, serving.record.data_networks)


def _probe(host: Host, wish: Settings) -> None:
    """The application that serves has to be well with the changed service, asked past the maintenance page."""
    current = host.store.state()
    serving = host.serving(current)
    if serving is None:
        return
    spec = serving.record.spec
    upstreams = current.slots[serving.slot].upstreams
    deadline = time.monotonic() + wish.health_timeout
    health.probe(spec.routes, upstreams, spec.domain, wish.probe_successes, deadline)


# --- on record


def _journal_path(host: Host) -> Any:
    return host.paths.data / "change.json"


def _write(host: Host, journal: Journal) -> None:
    write_json(_journal_path(host), asdict(journal))


def _keep(host: Host, journal: Journal) -> None:
    """The last step: from here on this is what the service runs with."""
    current = host.store.state()
    changed = state.with_data(current, {journal.service: journal.image}, {journal.service: journal.mark})
    host.store.save(replace(changed, volumes={**current.volumes, **_renamed(host, journal)}))
    _end(host, journal)


def _renamed(host: Host, journal: Journal) -> dict[str, str]:
    """Volumes that are no longer the ones of before, by their name in the Compose file."""
    before = definitions.read(host.paths, journal.service, definitions.BEFORE)
    old = before.volumes if before else {}
    return {name: volume for name, volume in journal.volumes.items() if old.get(name, volume) != volume}


def _end(host: Host, journal: Journal) -> None:
    if journal.maintenance:
        remove(host.paths.maintenance)
    remove(_journal_path(host))


def recover(host: Host) -> bool:
    """Put back (or finish) a change that was cut off; False if there was none."""
    found = read_json(_journal_path(host))
    if not found:
        return False
    journal = Journal(**found)
    if journal.keep:
        _keep(host, journal)
        return True
    host.emitter.info(f"the change of the data service {journal.service} is put back")
    before = definitions.read(host.paths, journal.service, definitions.BEFORE)
    if before is None:
        raise SlipwayError(
            f"{host.paths.data} does not say what {journal.service} ran with before.",
            hint="Restore the file from a backup of the host.",
        )
    with host.emitter.phase(f"put back {journal.service}"):
        _put_back(host, journal, before)
    _end(host, journal)
    return True


def _put_back(host: Host, journal: Journal, before: Definition) -> None:
    upgrade.clean_up(host)
    host.daemon.remove(_containers(host, journal.service))
    if journal.new_volume:
        upgrade.remove_volume(host.daemon, journal.new_volume)
    definitions.write(host.paths, before)
    try:
        host.slots.replace_data(before, time.monotonic() + BACK_SECONDS)
    except SlipwayError:
        if not journal.archives:
            raise
        # The new version may have rewritten the files in a format that the old one does not read.
        host.daemon.stop(_containers(host, journal.service))
        archive.restore(host, journal.archives)
        host.slots.replace_data(before, time.monotonic() + BACK_SECONDS)
    _connect(host)
