# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""After a crash, a failure or a reboot: back to one consistent release, from what was recorded."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from ..common.errors import SlipwayError
from . import adoption, audit, cpu, data_services, drain, edge, images, keepers, rotation, state, static
from .host import Host, Serving
from .paths import other
from .record import Record
from .state import State, Transition

START_SECONDS = 180
FINAL = {
    state.FINISH: "finished after an interruption",
    state.REVERT: "reverted after an interruption",
}
DRAIN_HTTP = 30
DRAIN_WEBSOCKET = 60


def recover(host: Host) -> bool:
    """Finish or revert what was cut off; False if nothing was."""
    put_back = data_services.recover(host)
    current = host.store.state()
    moving = current.transition
    if moving is None:
        return adoption.settle(host) or put_back
    host.emitter.info(f"{moving.label} was cut off in phase {moving.phase}")
    with host.emitter.phase("recover"):
        decision = state.recovery(current, _new_is_healthy(host, current))
        if decision == state.FINISH:
            _finish(host, current)
        else:
            _old_password(host, moving, host.serving(current))
            _restart_active(host, current)
            revert(host, FINAL[decision])
    adoption.settle(host)
    host.emitter.info(f"{moving.label} was {FINAL[decision]}")
    return True


def _write_audit(host: Host, current: State, result: str) -> None:
    """How it ended, on record before the state forgets that it was under way."""
    moving = state.moving(current)
    kept = host.store.read(moving.release) if moving.release in host.store.numbers() else None
    audit.append_once(
        host.paths.audit,
        {
            "id": moving.id,
            "kind": moving.kind,
            "release": moving.release,
            "name": moving.name,
            "slot": moving.slot,
            "from": current.active.release if current.active else None,
            "by": moving.by,
            "images": dict(kept.images) if kept else {},
            "dump": kept.dump if kept else "",
            "phases": list(host.emitter.phases),
            "phase": moving.phase,
            "result": result,
            "reason": f"cut off in phase {moving.phase}",
        },
    )


def _new_is_healthy(host: Host, current: State) -> bool:
    moving = current.transition
    if moving is None or moving.reached < state.MAY_SERVE:
        return False
    return host.slots.is_healthy(host.store.read(moving.release), moving.slot)


def _restart_active(host: Host, current: State) -> None:
    """What served before may have been stopped by the same crash; it has to be up before traffic is given to it."""
    serving = host.serving(current)
    if serving:
        _as_far_as_it_goes(host, lambda: _up(host, serving.record, serving.slot))


def _as_far_as_it_goes(host: Host, work: Callable[[], None]) -> None:
    """A release that is decided upon and does not come up must not keep its successor from being deployed."""
    try:
        work()
    except SlipwayError as error:
        host.emitter.info(f"not all of it came up: {error}")


def revert(
    host: Host, result: str = "", drain_http: float = DRAIN_HTTP, drain_websocket: float = DRAIN_WEBSOCKET
) -> None:
    """The release on its way goes, what served before serves: flag, Nginx, the slot, workers, then the record.

    `result` is what the audit log is told; the pipeline, which knows more, tells it itself.
    """
    current = host.store.state()
    moving = current.transition
    if moving is None:
        return
    host.store.free_reserve()
    after = state.revert(current)
    serving = host.serving(current)
    if moving.reached >= state.PHASES.index("edge"):
        _point_back(host, after, serving)
    if moving.reached >= state.MAY_SERVE:
        _drain(host, moving, drain_http, drain_websocket)
    _old_password(host, moving, serving)
    if moving.reached >= state.TOUCHES_SLOT:
        _clear(host, moving.slot, serving)
        host.paths.slot_text(moving.slot).unlink(missing_ok=True)
    if serving and moving.reached >= state.PHASES.index("exclusive"):
        _as_far_as_it_goes(host, lambda: _start_exclusive(host, serving))
    if result:
        _write_audit(host, current, result)
    host.store.save(adoption.give_back(host, after))
    if moving.kind != "rollback":
        host.store.remove(moving.release)  # it never served; the audit log keeps its story
    host.store.keep_reserve()


def _clear(host: Host, slot: str, serving: Serving | None) -> None:
    """The networks stay for the next release, which keeps what it can of them: data services may talk over them."""
    if serving:
        host.slots.remove_containers(slot)
    else:
        host.slots.remove(slot)


def _drain(host: Host, moving: Transition, http: float, websocket: float) -> None:
    """Visitors whom the release took in before it was found sick finish what they began."""
    routes = host.store.read(moving.release).spec.routes if moving.release in host.store.numbers() else ()
    drain.wait(drain.limits(routes, moving.upstreams, http, websocket))


def _old_password(host: Host, moving: Transition, serving: Serving | None) -> None:
    """A rotation that is given up leaves the database as it was."""
    database = rotation.noted(host, moving.release)
    if database and serving and moving.reached >= state.PHASES.index("start"):
        host.slots.start_data(
            serving.record, host.store.values(serving.record.number), time.monotonic() + START_SECONDS
        )
        old, new = (host.store.values(number)[database.secret] for number in (serving.record.number, moving.release))
        rotation.undo(host, database, old, new)


def _start_exclusive(host: Host, serving: Serving) -> None:
    values = host.store.values(serving.record.number)
    host.slots.start_exclusive(serving.record, serving.slot, values, time.monotonic() + START_SECONDS)


def _point_back(host: Host, after: State, serving: Serving | None) -> None:
    if serving is None:
        edge.apply(host.paths, {}, ())
        edge.set_flag(host.paths, "blue")
    else:
        _serve(host, after, serving)


def _serve(host: Host, current: State, serving: Serving) -> None:
    """The traffic goes to this release, whatever was there before; proved."""
    release = serving.record
    hosts = edge.with_site(release.spec.hosts)
    edge.serve(host.paths, serving.slot, release.number, release.name)
    edge.apply(host.paths, host.nginx_files(release.spec, current), hosts)
    edge.read_back(hosts, serving.slot, release.number)


def _finish(host: Host, current: State) -> None:
    """The new release had proved itself (or there is nothing else): make it the one that serves."""
    moving = state.moving(current)
    serving = Serving(host.store.read(moving.release), moving.slot)
    _as_far_as_it_goes(host, lambda: _up(host, serving.record, serving.slot))
    _serve(host, current, serving)
    host.slots.stop(other(serving.slot))
    database = rotation.noted(host, moving.release)
    if database:
        rotation.close(host, database, host.store.values(moving.release)[database.secret])
    _as_far_as_it_goes(host, lambda: _start_exclusive(host, serving))
    host.store.mark_served(serving.record)
    _write_audit(host, current, FINAL[state.FINISH])
    host.store.save(state.commit(current))


def reconcile(host: Host) -> bool:
    """The active release is up and everything about it is in place; False if there is no active release."""
    current = host.store.state()
    serving = host.serving(current)
    if serving is None:
        return False
    host.store.prepare()
    _modes(host, serving.record)
    with host.emitter.phase("start"):
        _up(host, serving.record, serving.slot)
    with host.emitter.phase("edge"):
        _serve(host, current, serving)
    with host.emitter.phase("stop"):
        host.slots.stop(other(serving.slot))
        _start_exclusive(host, serving)
    return True


def _modes(host: Host, active: Record) -> None:
    for path in host.paths.release(active.number).iterdir():
        path.chmod(0o700 if path.is_dir() else 0o600)


def _up(host: Host, release: Record, slot: str) -> None:
    """Data, networks and the slot, from local images only; nothing that runs is recreated."""
    values: Mapping[str, str] = host.store.values(release.number)
    deadline = time.monotonic() + START_SECONDS
    _with_images(host, release)
    keepers.sync(host.daemon, host.paths.stack, keepers.wanted(host.store.all()))
    host.slots.start_data(release, values, deadline)
    static.mend(host.paths, release, slot)
    _revive(host, release, slot)
    host.slots.start(release, slot, values, deadline, recreate=False)
    host.slots.connect_data(release, slot)
    cpu.release(host.daemon, host.paths.project(slot))


def _with_images(host: Host, release: Record) -> None:
    """An image that somebody pruned is pulled again by its digest; nothing is asked if all are here."""
    try:
        images.pull(host.daemon, release.images.values(), host.emitter)
    except SlipwayError as error:
        raise SlipwayError(
            f"An image of {release.label} is neither on this host nor to be had: {error.message}", hint=error.hint
        ) from error


def _revive(host: Host, release: Record, slot: str) -> None:
    """Containers that lost their networks or never had them (created, not started) get them before they start."""
    present = host.daemon.containers(host.paths.project(slot))
    if not present:
        host.slots.create(release, slot, host.store.values(release.number))
