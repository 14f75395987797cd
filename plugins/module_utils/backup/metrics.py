# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is known of a stack's backups, as a text file for node_exporter's textfile collector."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from ..common.errors import SlipwayError
from ..common.files import write_atomic
from . import manifest
from .alarms import Facts
from .wal.archive import parse_moment

Sample = tuple[str, dict[str, str], float]

# Name -> type and description; the order is the file's.
FAMILIES = {
    "slipway_backup_last_success_timestamp_seconds": ("gauge", "Moment that the last good backup is of."),
    "slipway_backup_duration_seconds": ("gauge", "How long the last good backup took."),
    "slipway_backup_stored_bytes": ("gauge", "Bytes that are stored of the last good backup."),
    "slipway_backup_source_bytes": ("gauge", "Bytes of the last good backup before compression."),
    "slipway_backup_rows": ("gauge", "Rows in the last good backup of a database."),
    "slipway_backup_last_verified_timestamp_seconds": ("gauge", "When a backup was last read back in full and parsed."),
    "slipway_backup_last_confirmed_timestamp_seconds": (
        "gauge",
        "When the checksums of a sealed backup were last compared.",
    ),
    "slipway_backup_last_restored_timestamp_seconds": ("gauge", "When a backup was last restored to prove it."),
    "slipway_backup_max_age_seconds": ("gauge", "Age from which on the last good backup is an alarm."),
    "slipway_backup_failing": ("gauge", "1 if the last attempt failed."),
    "slipway_backup_failures_total": ("counter", "Failures since the host was set up."),
    "slipway_backup_alarms": ("gauge", "Alarms that there are now."),
    "slipway_backup_check_timestamp_seconds": (
        "gauge",
        "When this was written; it stands still if nobody looks any more.",
    ),
    "slipway_wal_covered_timestamp_seconds": ("gauge", "Everything that was committed before is in the bucket."),
    "slipway_wal_lag_seconds": ("gauge", "How far the bucket is behind the database."),
    "slipway_wal_lag_bytes": ("gauge", "Bytes of log that are not received yet."),
    "slipway_wal_spool_bytes": ("gauge", "Bytes of log that wait on the host."),
}


def text(facts: Facts, alarms: int, now: datetime) -> str:
    """In the text format of Prometheus, version 0.0.4. Pure."""
    samples = list(_samples(facts, alarms, now))
    lines = []
    for name, (kind, description) in FAMILIES.items():
        mine = [(labels, value) for family, labels, value in samples if family == name]
        if mine:
            lines += [f"# HELP {name} {description}", f"# TYPE {name} {kind}"]
            lines += [f"{name}{{{_labels(labels)}}} {value!r}" for labels, value in mine]
    return "\n".join(lines) + "\n"


def _samples(facts: Facts, alarms: int, now: datetime) -> Iterator[Sample]:
    for kind, known in facts.last.items():
        labels = {"stack": facts.stack, "kind": kind}
        yield from _of_success(labels, known.get("success") or {})
        for word in ("verified", "confirmed", "restored"):
            if known.get(word):
                yield f"slipway_backup_last_{word}_timestamp_seconds", labels, _seconds(known[word]["time"])
        yield "slipway_backup_max_age_seconds", labels, float(facts.max_age[kind])
        works = {"backup", "verify", *known.get("failures", {}), *known.get("failing", {})}
        for what in sorted(works):
            told = {**labels, "work": what}
            yield "slipway_backup_failing", told, float(what in known.get("failing", {}))
            yield "slipway_backup_failures_total", told, float(known.get("failures", {}).get(what, 0))
    yield "slipway_backup_alarms", {"stack": facts.stack}, float(alarms)
    yield "slipway_backup_check_timestamp_seconds", {"stack": facts.stack}, now.timestamp()
    if facts.wal is not None:
        yield from _of_log({"stack": facts.stack}, facts.wal, now)


def _of_success(labels: dict[str, str], made: Mapping[str, Any]) -> Iterator[Sample]:
    if not made:
        return
    yield "slipway_backup_last_success_timestamp_seconds", labels, _seconds(made["time"])
    names = {"seconds": "duration_seconds", "bytes": "stored_bytes", "dump_bytes": "source_bytes", "rows": "rows"}
    for key, name in names.items():
        if made.get(key) is not None:
            yield f"slipway_backup_{name}", labels, float(made[key])


def _of_log(labels: dict[str, str], known: Mapping[str, Any], now: datetime) -> Iterator[Sample]:
    covered = parse_moment(str(known.get("covered") or ""))
    if covered:
        yield "slipway_wal_covered_timestamp_seconds", labels, covered.timestamp()
        # From now and not from the status: a shipper that is gone writes no status any more.
        yield "slipway_wal_lag_seconds", labels, max(0.0, (now - covered).total_seconds())
    for key in ("lag_bytes", "spool_bytes"):
        if known.get(key) is not None:
            yield f"slipway_wal_{key}", labels, float(known[key])


def _seconds(moment: str) -> float:
    return manifest.parse_moment(moment).timestamp()


def _labels(labels: Mapping[str, str]) -> str:
    # Stacks, kinds and works have names that need no escaping.
    return ",".join(f'{key}="{value}"' for key, value in labels.items())


def file_name(stack: str) -> str:
    return f"slipway_backup_{stack}.prom"


def write(facts: Facts, alarms: int, now: datetime) -> None:
    """Replaced as a whole, so that the collector never reads half of it."""
    place = Path(facts.watch.metrics_directory)
    try:
        write_atomic(place / file_name(facts.stack), text(facts, alarms, now), 0o644)
    except OSError as error:
        raise SlipwayError(
            f"The metrics of the backup cannot be written into {place}: {error.strerror}.",
            hint="Correct backup_metrics_directory, or install node_exporter with its textfile collector.",
        ) from error
