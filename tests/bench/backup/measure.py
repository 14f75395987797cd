# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Inside the client's container: every way in turn, repetition by repetition. One JSON object a line is a figure."""

from __future__ import annotations

import json
import os
import sys

import database
import place
import ways
from slipway_bench.accounting import Failed, Usage

MB = 1_000_000
MIB = 2**20


def tell(**facts: object) -> None:
    print(json.dumps(facts), flush=True)


def figures(prefix: str, usage: Usage, written: tuple[str, int] = ("temp_bytes", 1)) -> dict[str, float]:
    name, unit = written
    return {
        f"{prefix}seconds": usage.seconds,
        f"{prefix}cpu_seconds": usage.cpu_seconds,
        f"{prefix}rss_mib": usage.peak_bytes / MIB,
        f"{prefix}{name}": usage.written_bytes / unit,
    }


def measure_way(way: ways.Way, size: int) -> None:
    backup = way.backup()
    found = figures("", backup)
    found["mb_per_second"] = size / MB / backup.seconds
    found["object_mb"] = way.stored_bytes() / MB
    # A physical restore writes the database itself; of a logical one the server does.
    found.update(figures("restore_", way.restore(), ("written_mb", MB)))
    for name, value in found.items():
        tell(figure=f"{way.name}.{name}", value=value)
    tell(say=f"{way.name}: {backup.seconds:.1f} s, {backup.cpu_seconds:.1f} s of processor time")


def contestants(names: list[str], environment: dict[str, str]) -> list[ways.Way]:
    bucket = ways.Bucket(place.CERTIFICATE)
    bucket.make()
    made: list[ways.Way] = []
    for kind in (ways.Slipway, ways.Naive, ways.PgBackRest, ways.Physical):
        if kind.name not in names:
            continue
        try:
            made.append(kind(bucket, environment))
        except (Failed, FileNotFoundError) as error:
            tell(absent=kind.name, reason=str(error))
    return made


def main() -> int:
    settings = json.loads(sys.argv[1])
    environment = place.environment(settings["major"])
    os.environ["PATH"] = environment["PATH"]
    size = database.fill(place.PLACE, place.DATABASE, settings["size_mb"] * MB)
    tell(say=f"{size / MB:.0f} MB of database")
    tell(filled=True)
    sys.stdin.readline()
    everybody = contestants(settings["ways"], environment)
    for repetition in range(settings["repetitions"]):
        turn = repetition % len(everybody)
        for way in everybody[turn:] + everybody[:turn]:
            measure_way(way, size)
        tell(repetition=repetition + 1)
    if settings["schemas"]:
        # Afterwards: a backup of the server's files would take this database too.
        tell(fill=True)
        sys.stdin.readline()
        database.fill_schemas(place.PLACE, place.SCHEMAS_DATABASE, settings["schemas"], settings["tables"])
        tell(filled=True)
        sys.stdin.readline()
        for repetition in range(settings["repetitions"]):
            measure_schemas(environment)
            tell(repetition=repetition + 1)
    return 0


def measure_schemas(environment: dict[str, str]) -> None:
    for name, dump in (("slipway", ways.dump_by_slipway), ("pg_dump", ways.dump_by_default)):
        usage = dump(environment)
        for figure, value in figures(f"schemas_{name}.", usage).items():
            tell(figure=figure, value=value)
        tell(say=f"schemas, {name}: {usage.seconds:.1f} s, {usage.cpu_seconds:.1f} s of processor time")


if __name__ == "__main__":
    sys.exit(main())
