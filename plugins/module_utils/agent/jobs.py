# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Jobs: work that outlives the connection that asked for it.

A module writes a request and starts the installed agent as a transient systemd unit; the agent writes events and, last
of all, a result. Whoever asks again (the same module, another controller, a person with `slipway follow`) reads the
same files.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import secrets
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from ..common.errors import SlipwayError
from ..common.events import Emitter, line, sentence
from ..common.files import read_json, reserve, write_json
from ..common.lock import FileLock
from ..common.process import run
from ..common.terminal import say
from ..common.version import __version__

JOBS_DIRECTORY = Path("/var/lib/slipway/jobs")
AGENT_COMMAND = "/usr/bin/slipway"
AGENT_VERSION_FILE = Path("/usr/lib/slipway/VERSION")
KEPT_JOBS = 50
# Room for the result, whatever the work did to the disk.
RESERVE = ".reserve"
RESERVE_BYTES = 128 * 1024
POLL_SECONDS = 0.25
# Role docker gives it a small CPU weight.
SLICE = "background.slice"
LOST_AFTER_SECONDS = 3.0
START_SECONDS = 30
# For a job that is told to stop, and again for what its sudden end leaves to be seen to.
STOP_SECONDS = 300

# The options of every module whose work is a job; the texts are in doc fragment `job`.
ARGUMENT_SPEC: dict[str, dict[str, Any]] = {
    "wait": {"type": "bool", "default": True},
    "timeout": {"type": "int", "default": 14400},
}

Handler = Callable[[dict[str, Any], Emitter], dict[str, Any]]
# What a job of a stack that was killed had begun is put right; the sentence says how.
Ending = Callable[[str, Emitter], str]


@dataclass
class JobView:
    """What a job has told since `offset` (a byte position in its events)."""

    job: str
    state: str  # running | succeeded | failed | lost
    offset: int = 0
    events: list[dict[str, Any]] = field(default_factory=list)
    result: dict[str, Any] | None = None
    error: dict[str, Any] | None = None

    @property
    def finished(self) -> bool:
        return self.state != "running"


def require_agent() -> None:
    """The engine that does the work is the installed one: it has to be there, in this version."""
    try:
        installed = AGENT_VERSION_FILE.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        raise SlipwayError(
            "The Slipway agent is not installed on this host.",
            hint="Run role slipway.vps.agent first (playbook slipway.vps.site does so).",
        ) from None
    if installed != __version__:
        raise SlipwayError(
            f"The Slipway agent on this host is version {installed}, this collection is {__version__}.",
            hint="Update it with: ansible-playbook slipway.vps.site --tags agent",
        )


def directory(job: str) -> Path:
    if not job or "/" in job or job.startswith("."):
        raise SlipwayError(f"{job!r} is not the id of a job.", hint="List the jobs with: slipway jobs")
    return JOBS_DIRECTORY / job


def unit(job: str) -> str:
    return f"slipway-job-{job}.service"


def submit(kind: str, request: dict[str, Any], label: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """Start the job and, if `params` (of a module) say so, wait for its result; what the module returns."""
    job = start(kind, request, label)
    result = wait(job, params["timeout"]) if params["wait"] else {}
    return {"job": job, **result}


def start(kind: str, request: dict[str, Any], label: str) -> str:
    """Start the job, or join the running one that was asked for exactly the same; return its id."""
    require_agent()
    JOBS_DIRECTORY.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = hashlib.sha256(json.dumps([kind, request], sort_keys=True, default=str).encode()).hexdigest()
    # Two that ask at the same moment must not both find that nothing runs.
    with FileLock(JOBS_DIRECTORY.with_name("jobs.lock"), wait=START_SECONDS, what=f"start of {label}"):
        return _running_with(key) or _start(kind, request, label, key)


def _start(kind: str, request: dict[str, Any], label: str, key: str) -> str:
    _prune()
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    job = f"{kind.replace('.', '-')}-{stamp}-{secrets.token_hex(3)}"
    place = directory(job)
    place.mkdir(mode=0o700)
    about = {"kind": kind, "stack": request.get("stack", ""), "label": label, "key": key, "started": stamp}
    write_json(place / "job.json", about)
    reserve(place / RESERVE, RESERVE_BYTES)
    write_json(place / "request.json", {"kind": kind, "request": request})
    run(
        [
            "systemd-run",
            f"--unit={unit(job)}",
            f"--description=Slipway: {label}",
            "--collect",
            "--quiet",
            "--property=KillMode=mixed",
            f"--property=TimeoutStopSec={STOP_SECONDS}",
            # On a busy host whoever visits it comes first; on an idle one the job gets all there is.
            f"--slice={SLICE}",
            # When the host goes down, the job ends before what it needs to put things back does.
            "--property=After=docker.service nginx.service",
            # However its process ends, the job does not end without having been seen to.
            f"--property=ExecStopPost={AGENT_COMMAND} job end {job}",
            AGENT_COMMAND,
            "job",
            "run",
            job,
        ],
        timeout=START_SECONDS,
    )
    return job


def _running_with(key: str) -> str | None:
    for job in listing():
        if note(job).get("key") == key and not (directory(job) / "result.json").exists() and _unit_runs(job):
            return job
    return None


def listing(stack: str = "") -> list[str]:
    """Every job (of a stack) that is still on record, oldest first."""
    if not JOBS_DIRECTORY.is_dir():
        return []
    found = {entry.name: note(entry.name) for entry in JOBS_DIRECTORY.iterdir()}
    ordered = sorted(found, key=lambda job: (found[job].get("started", ""), job))
    return [job for job in ordered if not stack or found[job].get("stack") == stack]


def note(job: str) -> dict[str, Any]:
    """What was asked for, without what may be secret: kind, stack, label, started."""
    return dict(read_json(directory(job) / "job.json", {}))


def newest(name: str = "") -> str:
    """The job of this id, or the newest of this stack, or the newest of all."""
    if name and name in listing():
        return name
    found = listing(name)
    if not found:
        raise SlipwayError(
            f"There is no job {name} on record, and none of a stack of that name." if name else "No job is on record.",
            hint="List the jobs with: slipway jobs",
        )
    return found[-1]


def newest_of(stack: str, kinds: tuple[str, ...]) -> str:
    """The newest job of a stack whose kind begins with one of these."""
    found = [job for job in listing(stack) if str(note(job).get("kind", "")).startswith(kinds)]
    if not found:
        raise SlipwayError(f"No release of {stack} is on record.", hint="Start one first.")
    return found[-1]


def _prune() -> None:
    for job in listing()[:-KEPT_JOBS]:
        if not _unit_runs(job):
            shutil.rmtree(directory(job), ignore_errors=True)


def _unit_runs(job: str) -> bool:
    answer = run(["systemctl", "is-active", unit(job)], timeout=10, check=False).stdout.strip()
    return answer in ("active", "activating", "deactivating", "reloading")


def view(job: str, offset: int = 0, wait_seconds: float = 0.0, *, collect: bool = False) -> JobView:
    """The events after `offset`; waits up to `wait_seconds` for something to tell, or with `collect` for the end."""
    place = directory(job)
    if not (place / "job.json").exists():
        raise SlipwayError(f"There is no job {job} on this host.", hint="List the jobs with: slipway jobs")
    deadline = time.monotonic() + wait_seconds
    while True:
        current = _look(job, place, offset)
        if current.finished or (current.events and not collect) or time.monotonic() >= deadline:
            return current
        time.sleep(POLL_SECONDS)


def _look(job: str, place: Path, offset: int) -> JobView:
    # The result is looked for first: events are all written before it, so none can be missed.
    outcome = read_json(place / "result.json")
    events, position = _events(place / "events.jsonl", offset)
    if outcome is not None:
        state = "succeeded" if outcome.get("ok") else "failed"
        return JobView(job, state, position, events, outcome.get("result"), outcome.get("error"))
    if _unit_runs(job) or _just_started(place) or (place / "result.json").exists():
        return JobView(job, "running", position, events)
    lost = SlipwayError(
        f"The job {job} ended without a result: it was killed or the host restarted.",
        hint=f"Read why with: journalctl -u {unit(job)} ; then run the same playbook again, it resumes.",
    )
    return JobView(job, "lost", position, events, None, lost.as_dict())


def _just_started(place: Path) -> bool:
    return time.time() - place.stat().st_mtime < LOST_AFTER_SECONDS


def _events(path: Path, offset: int) -> tuple[list[dict[str, Any]], int]:
    try:
        with path.open("rb") as handle:
            handle.seek(offset)
            data = handle.read()
    except FileNotFoundError:
        return [], offset
    whole = data[: data.rfind(b"\n") + 1]
    return [event for text in whole.splitlines() for event in _parsed(text)], offset + len(whole)


def _parsed(text: bytes) -> list[dict[str, Any]]:
    try:
        return [json.loads(text)]
    except ValueError:
        return []  # cut off by a disk that was full


def wait(job: str, timeout: float, on_event: Callable[[dict[str, Any]], None] | None = None) -> dict[str, Any]:
    """Follow the job to its end; return its result or raise its error."""
    deadline = time.monotonic() + timeout
    offset = 0
    while True:
        current = view(job, offset, wait_seconds=2.0)
        offset = current.offset
        for event in current.events:
            if on_event:
                on_event(event)
        if current.finished:
            tell(job)
        if current.state == "succeeded":
            return current.result or {}
        if current.finished:
            raise SlipwayError.from_dict(current.error or {})
        if time.monotonic() >= deadline:
            raise SlipwayError(
                f"The job {job} is still running after {timeout:g} s.",
                hint=f"It goes on by itself; watch it on the host with: slipway follow {job}",
            )


def follow(job: str) -> int:
    """Show what the job tells until it ends; its error is raised."""
    offset = 0
    while True:
        current = view(job, offset, wait_seconds=5.0)
        offset = current.offset
        for event in current.events:
            say(sentence(event))
        if current.finished:
            break
    tell(job)
    if current.error:
        raise SlipwayError.from_dict(current.error)
    return 0


def tell(job: str) -> None:
    """Whoever asked for the job knows how it ended."""
    (directory(job) / "told").touch(mode=0o600)


def untold(stack: str, kinds: tuple[str, ...]) -> list[JobView]:
    """Jobs of a stack that ended while nobody was there to hear it, such as those whose connection was lost."""
    found = [
        job
        for job in listing(stack)
        if str(note(job).get("kind", "")).startswith(kinds) and not (directory(job) / "told").exists()
    ]
    return [seen for seen in map(view, found) if seen.finished]


def execute(job: str, handlers: dict[str, Handler]) -> int:
    """Do the work (inside the transient unit) and record its result; the exit status is the unit's."""
    place = directory(job)
    asked = read_json(place / "request.json")
    if asked is None:
        raise SlipwayError(f"The job {job} has no request: it ran before.", hint="Run the playbook again.")
    (place / "request.json").unlink()  # it may hold secrets, and nobody needs it any more
    handler = handlers.get(asked["kind"])
    with _telling(place) as emitter:
        signal.signal(signal.SIGTERM, _stop)
        try:
            if handler is None:
                raise SlipwayError(f"The agent knows no work of the kind {asked['kind']!r}.")
            outcome: dict[str, Any] = {"ok": True, "result": handler(asked["request"], emitter)}
        except SlipwayError as error:
            outcome = {"ok": False, "error": error.as_dict()}
        except Exception as error:
            # The job must end with a record whatever happened; the traceback goes to the journal.
            _record(place, {"ok": False, "error": _unexpected(job, error).as_dict()}, emitter)
            raise
    _record(place, outcome, emitter)
    return 0 if outcome["ok"] else 1


def end(job: str, endings: Mapping[str, Ending]) -> int:
    """After the job's process, however it ended: what it was killed in is seen to, and its result says so."""
    place = directory(job)
    if (place / "result.json").exists():
        return 0
    (place / "request.json").unlink(missing_ok=True)
    about = note(job)
    see_to = endings.get(about["kind"])
    with _telling(place) as emitter:
        try:
            how = see_to(about["stack"], emitter) if see_to else ""
        except SlipwayError as error:
            how = str(error)
        killed = SlipwayError(
            f"The process of this job ({about['label']}) was killed. {how}".rstrip(),
            hint=f"Read why with: journalctl -u {unit(job)} ; then run the same playbook again.",
        )
        _record(place, {"ok": False, "error": killed.as_dict()}, emitter)
    return 1


@contextmanager
def _telling(place: Path) -> Iterator[Emitter]:
    """Events go to the job's file, and as sentences to the journal."""
    with (place / "events.jsonl").open("ab", buffering=0) as log:

        def to_file(event: dict[str, Any]) -> None:
            # Telling how far the work is must not be what makes it fail: on a full disk only the result is recorded.
            with contextlib.suppress(OSError):
                log.write(f"{line(event)}\n".encode())

        yield Emitter(to_file, lambda event: say(sentence(event)))


def _record(place: Path, outcome: dict[str, Any], emitter: Emitter) -> None:
    outcome["phases"] = emitter.phases
    (place / RESERVE).unlink(missing_ok=True)
    write_json(place / "result.json", outcome)
    if not outcome["ok"]:
        say(SlipwayError.from_dict(outcome["error"]))


def _unexpected(job: str, error: Exception) -> SlipwayError:
    return SlipwayError(
        f"The agent failed unexpectedly ({type(error).__name__}: {error}).",
        hint=f"Read the whole of it with: journalctl -u {unit(job)}",
    )


def _stop(number: int, frame: FrameType | None) -> None:
    raise SlipwayError(f"The job was stopped by signal {number}.", hint="Run the same playbook again, it resumes.")
