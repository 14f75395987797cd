# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What people are told about a release that was given up. Pure."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..common.errors import SlipwayError

MIN_SECRET = 4
LISTS = {"health_log": "its health check said", "log": "its last lines"}


def cause_of(error: BaseException) -> SlipwayError:
    """Any failure as a sentence with the next step."""
    if isinstance(error, SlipwayError):
        return error
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        place = f" for {error.filename}" if error.filename else ""
        return SlipwayError(
            f"No space is left on the file system{place}.",
            hint="Look with: df -h ; docker system df. Free some (docker image prune -a), then release again.",
        )
    return SlipwayError(
        f"{type(error).__name__}: {error}.", hint="Read the whole of it with: journalctl -u 'slipway-job-*'"
    )


def redact(value: Any, secrets: Sequence[str]) -> Any:
    """Secrets that a container printed must not reach the screen of a controller."""
    if isinstance(value, str):
        for secret in secrets:
            if len(secret) >= MIN_SECRET:
                value = value.replace(secret, "********")
        return value
    if isinstance(value, Mapping):
        return {key: redact(entry, secrets) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [redact(entry, secrets) for entry in value]
    return value


def explanation(details: Mapping[str, Any]) -> list[str]:
    """What was seen, line by line: the answer of the health path, the containers, the output of the command."""
    return [*_probe(details.get("probe") or {}), *_containers(details.get("diagnosis") or []), *_output(details)]


def _probe(probe: Mapping[str, Any]) -> Iterator[str]:
    if not probe:
        return
    yield f"Answer of {probe.get('address')}: {probe.get('complaint') or 'as expected'}"
    yield from (f"  {name}: {value}" for name, value in (probe.get("headers") or {}).items())
    yield from (f"  {line}" for line in str(probe.get("body") or "(no body)").splitlines())


def _containers(diagnosis: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for entry in diagnosis:
        yield (
            f"Container {entry.get('container')}: {entry.get('status')}, health {entry.get('health')}, "
            f"exit status {entry.get('exit_code')}, restarted {entry.get('restarts')} times"
        )
        for key, title in LISTS.items():
            lines = [line for text in entry.get(key) or [] for line in str(text).splitlines()]
            yield f"  {title}:" if lines else f"  {title}: (nothing)"
            yield from (f"    {line}" for line in lines)


def _output(details: Mapping[str, Any]) -> Iterator[str]:
    lines = details.get("output") or []
    if lines:
        yield "Output of the command:"
        yield from (f"  {line}" for line in lines)


def brief(details: Mapping[str, Any]) -> dict[str, Any]:
    """The details without what `explanation` printed at length."""
    kept = {key: value for key, value in details.items() if key != "output"}
    if "diagnosis" in kept:
        kept["diagnosis"] = [
            {key: value for key, value in entry.items() if key not in LISTS} for entry in kept["diagnosis"]
        ]
    return kept
