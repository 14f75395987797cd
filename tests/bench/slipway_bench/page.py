# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""docs/benchmarks.md from the results in docs/benchmarks/: python -m slipway_bench.page [RESULT.json ...]

Given results (of .cache/bench) are taken over into docs/benchmarks/ first.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from .result import ROOT, Result

KEPT = ROOT / "docs" / "benchmarks"
PAGE = ROOT / "docs" / "benchmarks.md"
HEAD = """# Benchmarks

Every table is the last run of a measurement that you can repeat: `make bench-deploy`, `make bench-backup`. What is
compared runs on the same host in the same run, repetition by repetition, one after the other; a ratio is the median of
the pairs. This page is written from `docs/benchmarks/*.json` by `make benchmarks`.
"""
ABOUT = {
    "converge": """A new Debian 13 server until its sites answer over HTTPS, and a second run with nothing to do.
`slipway` is `playbooks/site.yml` with the demo's inventory: hardening, Docker, Nginx, certificates, the shop, three
tenants, backups and their timers, probes; `naive` builds the server task by task with modules of community
collections (`tests/bench/peers/naive.yml`): SSH, firewall, fail2ban, updates, Docker, Nginx, certbot, Compose, a
nightly dump. `hardening` is `playbooks/harden.yml` alone, with profile `baseline`; `devsec` is os_hardening and
ssh_hardening of devsec.hardening with their defaults, without its kernel settings and auditd, which a container does
not have; AIDE, which a timer of ours installs half an hour later, is not in it either. Each begins with a new server.
`changed` counts tasks.""",
    "backup": """Backups of one database (text, numbers, UUIDs, JSON, pictures; large and small tables, indexes) into
one S3 server over TLS, and restores from it. `slipway` is `slipway backup run`, with its checksums, row counts and
manifest, and a restore beside that compares the rows and gathers statistics; `naive` is the script that people write,
`pg_dump | gzip > file` and `aws s3 cp`, and back through `gunzip | psql`; `pgbackrest` is a full backup of the
server's files by two processes (zstd 3) and a restore until the server answers; `physical` is Slipway's base backup
with the log since then, restored until a server has replayed it. `cpu_seconds` is the processor time of the client and
of everything that it starts, not of the database and S3 servers; of `physical`, `pg_basebackup` runs beside the server
and is missing in it. `rss_mib` is the largest sum of resident memory of the processes that run at once.
`temp_bytes` is what they write to the local disk, whether it stays or not. `restore_written_mb` is the same for the
restore; a physical one writes the database itself. `mb_per_second` is the size of the database by the time.
`schemas_slipway` and `schemas_pg_dump` dump a database of 2,000 schemas with ten tables each: `slipway backup run`
into the bucket beside `pg_dump --format=custom` into a file. Of the ratios, `wall` compares `seconds`, `cpu`
`cpu_seconds`, `object` `object_mb` and `restore` `restore_seconds`.""",
    "backup_bookworm": """The same on Debian 12 with PostgreSQL 15 and boto3 1.26, for a database of 100 MB: there the
fixed costs weigh more. The many schemas are as many as above.""",
    "deploy": """Releases of the sample shop (three services, PostgreSQL, Redis) on one hardened server, under a steady
stream of requests over TLS, with WebSockets and slow requests in flight. `slipway` is `playbooks/deploy.yml`;
`compose_up` is `docker compose up -d` behind the same Nginx; `stop_start` is a role that stops the services and starts
them in the new release. Lost is everything that is no good answer: 5xx, resets, time-outs; for WebSockets, being cut
without a word or refused at coming back. Nothing is asked twice. `release_seconds` is the whole play,
`first_byte_seconds` the time until the new release answers its first visitor. Slipway takes longer: it probes, observes
and drains.""",
    "probes": """HTTP services on the same machine (200 unless `TARGETS` says otherwise), each with an assertion about
its JSON body: ten answer after two seconds, three never, two refuse the connection; the time limit is five seconds.
`slipway` is a play of one task, `slipway.vps.health_probe`; `uri_loop` is a play that loops over
`ansible.builtin.uri`; both run under Ansible's defaults. Both end with a task that checks that exactly the bad ones
were found. `seconds` is the whole play. `over_timeout_seconds` is how much longer than the time limit the module's own
process takes, `playbook_over_timeout_seconds` the same for the whole play. `cpu_seconds` and `rss_mib` are of the
module's process, with the start of Python and of Ansible's own code in it; `playbook_cpu_seconds` is the processor time
of everything that `ansible-playbook` starts. The time limit is the floor of one and counts three times in the other, so
their ratio cannot pass a fifth of the loop's seconds; it grows with the load of the machine, which the loop feels for
each target.""",
    "soak": """Consecutive releases in one stream of requests (`make test-long`): GET, POST, pages, slow requests of
three seconds, WebSockets that are held and new ones.""",
    "tenants": """Tenants in one PostgreSQL server on the same machine: row, role, schema, rights, default rights,
search path, and ten tables that refer to one another (60 relations). `slipway` is a play of one task,
`slipway.vps.postgres_tenant` with its two connections, ledger and audit trail; `community_loop` is a play that loops
over seven tasks of the collection community.postgresql (5 tenants, for it takes seconds for each); `psycopg2` is a
script with one connection and one round trip and transaction a tenant; `psql` runs the same statements from a file.
`create` is in milliseconds for each of 200 new tenants, and `again` the same once more with nothing to do; both are
the whole play or program. `noop_ms_per_tenant` is an unchanged pass over 10,000 tenants with one table each, the
whole play in milliseconds a tenant (`noop_ms_2000`: 2,000 with ten tables); `noop_queries` are the statements that it
sends, and `noop_rss_mib` is the largest memory of the module's process, which holds the list and the answer.""",
}


def render(results: list[Result]) -> str:
    parts = [HEAD] if results else [HEAD, "No measurement is recorded yet.\n"]
    for result in results:
        machine = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in result.machine.items())
        rows = "\n".join(f"| {' | '.join([f'`{row[0]}`', *row[1:]])} |" for row in result.rows())
        about = ABOUT.get(result.name, "")
        parts.append(
            f"## {result.name}\n\n{about}\n\nRepetitions: {result.repetitions}. Machine: {machine}.\n\n"
            f"| figure | median | least | most | values |\n|---|---:|---:|---:|---:|\n{rows}\n"
        )
    return "\n".join(parts)


def kept() -> list[Result]:
    return [Result.read(path) for path in sorted(KEPT.glob("*.json"))]


def main(arguments: list[str]) -> int:
    KEPT.mkdir(parents=True, exist_ok=True)
    for name in arguments:
        shutil.copy(name, KEPT / Path(name).name)
    PAGE.write_text(render(kept()), encoding="utf-8")
    print(f"{PAGE.relative_to(ROOT)}: written")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
