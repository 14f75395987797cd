# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A one-off command: a fresh container of the release that serves, with its image and environment, removed afterwards.

The same command never runs twice at once: its container's name is made of the command, and a stack has it once.
"""

from __future__ import annotations

import hashlib
import json
import shlex
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..common import validate
from ..common.errors import SlipwayError
from ..common.events import Emitter
from ..common.process import CommandError
from ..release import compose, failure
from ..release.daemon import Container
from ..release.host import Host, Serving
from ..release.paths import SLOTS, StackPaths
from ..release.preflight import COMMAND_MARK
from ..release.record import Record
from . import logs

CREATE_SECONDS = 120
KEPT_LINES = 1000


@dataclass(frozen=True)
class Wish:
    """What to run."""

    stack: str
    service: str
    command: tuple[str, ...]
    entrypoint: str = ""
    time_limit: float = 3600
    lock_wait: float = 60
    requested_by: str = ""


@dataclass(frozen=True)
class Plan:
    """Where it would run."""

    release: int
    release_name: str
    slot: str
    container: str


def read(request: Mapping[str, Any]) -> Wish:
    """The request of module compose_run, checked."""
    command = words(request.get("command"))
    if not command:
        raise SlipwayError("There is no command to run.", hint='Write it as a list: run_command=["./api","report"].')
    limit = float(request.get("time_limit") or 3600)
    if limit <= 0:
        raise SlipwayError(f"The time limit is {limit:g} s.", hint="Use a positive number of seconds.")
    return Wish(
        stack=validate.stack_name(str(request.get("stack") or "")),
        service=str(request.get("service") or ""),
        command=command,
        entrypoint=str(request.get("entrypoint") or ""),
        time_limit=limit,
        lock_wait=float(60 if request.get("lock_wait") is None else request["lock_wait"]),
        requested_by=str(request.get("requested_by") or ""),
    )


def words(given: Any) -> tuple[str, ...]:
    """A list of words, also as JSON; any other text is cut into words as a shell would, which never runs."""
    if isinstance(given, (list, tuple)):
        return tuple(str(word) for word in given)
    # A command that is a number alone may come as one.
    text = "" if given is None else str(given)
    try:
        found = json.loads(text) if text.lstrip().startswith("[") else shlex.split(text)
    except ValueError as error:
        raise SlipwayError(
            f"The command {text!r} cannot be cut into words ({error}).",
            hint='Write it as a list: run_command=["./api","report"].',
        ) from None
    return tuple(str(word) for word in found)


def mark(wish: Wish) -> str:
    """The same for the same command of the same service."""
    what = json.dumps([wish.service, wish.entrypoint, *wish.command])
    return COMMAND_MARK + hashlib.sha256(what.encode()).hexdigest()[:8]


def plan(wish: Wish, host: Host) -> Plan:
    """Where it would run, or why it cannot. Nothing is started."""
    serving = _serving(host, wish)
    refuse_service(serving.record, wish.service)
    container = f"{host.paths.project(serving.slot)}{mark(wish)}"
    return Plan(serving.record.number, serving.record.name, serving.slot, container)


def _serving(host: Host, wish: Wish) -> Serving:
    serving = host.serving(host.store.state())
    if serving is None:
        raise SlipwayError(
            f"No release of {wish.stack} serves on this host, so there is nothing to run a command in.",
            hint="Deploy one first.",
        )
    return serving


def refuse_service(release: Record, service: str) -> None:
    known = release.groups.application
    if service in release.groups.data:
        raise SlipwayError(
            f"{service} is a data service: a second container of it would open the same files.",
            hint="Run the command in the one that runs: slipway exec STACK SERVICE -- COMMAND",
        )
    if service not in known:
        raise SlipwayError(f"The release has no service {service!r}.", hint=f"It has: {', '.join(known)}.")


def left_over(host: Host, name: str) -> list[Container]:
    """Containers of this very command, in whichever slot they were started."""
    found = [entry for slot in SLOTS for entry in host.daemon.containers(host.paths.project(slot), one_off=True)]
    return [entry for entry in found if entry.name.endswith(name)]


def run(request: Mapping[str, Any], emitter: Emitter) -> dict[str, Any]:
    """The job of the agent."""
    wish = read(request)
    host = Host(StackPaths(wish.stack), emitter)
    started = time.monotonic()
    # Only the start is done under the lock: a release may go on while a long command runs, and never removes it.
    with host.lock(f"start of a command in {wish.stack}", wish.lock_wait, wish.requested_by):
        where = plan(wish, host)
        _clear(host, wish)
        emitter.info(f"{wish.service} of release {where.release_name} (number {where.release}), {where.container}")
        entry = _start(host, wish, where)
    values = host.store.values(where.release)
    hidden = [values[name] for name in host.store.read(where.release).spec.secrets if name in values]

    def hide(text: str) -> str:
        return str(failure.redact(text, hidden))

    lines, status, late = _follow(host, entry, wish, emitter, hide)
    found = {
        "changed": True,
        "rc": status,
        "output": lines,
        "seconds": round(time.monotonic() - started, 2),
        "release": where.release,
        "release_name": where.release_name,
        "slot": where.slot,
    }
    if late:
        raise SlipwayError(
            f"The command did not end within {wish.time_limit:g} s and was stopped.",
            hint="Give it more time with run_timeout, if it needs it.",
            details=found,
        )
    if status != 0:
        raise SlipwayError(f"The command ended with status {status}.", hint="What it printed is above.", details=found)
    return found


def _clear(host: Host, wish: Wish) -> None:
    """What an earlier run left; one that still runs is not joined by a second one."""
    before = left_over(host, mark(wish))
    for entry in before:
        if entry.running:
            raise SlipwayError(
                f"This command runs already, in {entry.name} since {entry.started_at[:19]}Z.",
                hint=f"Wait for it, or stop it with: docker stop {entry.name}",
            )
    host.daemon.remove(before)


def _start(host: Host, wish: Wish, where: Plan) -> Container:
    release = host.store.read(where.release)
    project = host.slots.project(release, where.slot)
    argv = compose.run_detached(project, wish.service, wish.command, where.container, wish.entrypoint)
    try:
        compose.call(argv, host.store.values(where.release), CREATE_SECONDS)
    except CommandError as error:
        host.daemon.remove(left_over(host, mark(wish)))
        reason = compose.without_warnings(error.result.stderr) if error.result else error.message
        raise SlipwayError(
            f"The command could not be started: {reason}", hint="Correct it and run it again."
        ) from error
    return left_over(host, mark(wish))[0]


def _follow(
    host: Host, entry: Container, wish: Wish, emitter: Emitter, hide: Callable[[str], str]
) -> tuple[list[str], int, bool]:
    """What it prints, as it prints it; its status; and whether its time was over. The container is removed."""
    late = threading.Event()

    def stop() -> None:
        late.set()
        host.daemon.stop([entry])

    timer = threading.Timer(wish.time_limit, stop)
    timer.daemon = True
    timer.start()
    lines: deque[str] = deque(maxlen=KEPT_LINES)
    try:
        for line in logs.split(host.daemon.log_stream(entry.id, follow=True), wish.service):
            lines.append(hide(line.text))
            emitter.info(lines[-1])
        status = host.daemon.wait(entry.id)
    finally:
        timer.cancel()
        host.daemon.remove([entry])
    return list(lines), status, late.is_set()
