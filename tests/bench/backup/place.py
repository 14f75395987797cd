# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the servers of the measurement are, and the files that tell each way of backing up about them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

# One network namespace: the clients reach the servers over the loopback interface.
BENCH = Path("/bench")
WORK = Path("/work")
DATA = Path("/var/lib/postgresql/data")
CERTIFICATE = BENCH / "certificate.pem"
CONFIGURATION = Path("/etc/slipway/backup")
SERVER = "slipway-bench-db"
PASSWORD = "superuser-secret"
BUCKET = "backups"
KEY = "benchkey"
SECRET = "benchsecretbenchsecret"
S3_PORT = 18343
ENDPOINT = f"https://localhost:{S3_PORT}"
DATABASE = "shop"
SCHEMAS_DATABASE = "tenants"
PLACE = {"host": "127.0.0.1", "user": "postgres", "password": PASSWORD}

S3_IDENTITIES = {
    "identities": [
        {
            "name": "bench",
            "credentials": [{"accessKey": KEY, "secretKey": SECRET}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
    ]
}
S3_COMMAND = (
    *("weed", "-logtostderr=true", "server", "-dir=/data", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"),
    *("-master.telemetry=false", "-master.port=19333", "-master.volumeSizeLimitMB=1024"),
    *("-volume.port=18080", "-volume.max=0", "-filer", "-filer.port=18888", "-s3", "-s3.port=18333"),
    *(f"-s3.port.https={S3_PORT}", f"-s3.cert.file={CERTIFICATE}", f"-s3.key.file={BENCH}/key.pem"),
    *("-s3.port.iceberg=0", "-s3.port.lance=0", f"-s3.config={BENCH}/s3.json"),
)
PGBACKREST = f"""[global]
repo1-type=s3
repo1-s3-bucket={BUCKET}
repo1-s3-endpoint=localhost
repo1-storage-host=localhost
repo1-storage-port={S3_PORT}
repo1-storage-ca-file={CERTIFICATE}
repo1-s3-uri-style=path
repo1-s3-region=us-east-1
repo1-s3-key={KEY}
repo1-s3-key-secret={SECRET}
repo1-path=/pgbackrest
repo1-retention-full=1
compress-type=zst
compress-level=3
process-max=2
start-fast=y
log-level-file=off
log-level-console=warn
lock-path=/tmp/pgbackrest
spool-path=/tmp/pgbackrest

[main]
pg1-path={DATA}
pg1-socket-path=/var/run/postgresql
"""

# What libpq's programs and the AWS client read.
ENVIRONMENT = {
    "PATH": "/usr/lib/postgresql/{major}/bin:/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "PGHOST": PLACE["host"],
    "PGUSER": PLACE["user"],
    "PGPASSWORD": PASSWORD,
    "AWS_ENDPOINT_URL": ENDPOINT,
    "AWS_CA_BUNDLE": str(CERTIFICATE),
    "AWS_ACCESS_KEY_ID": KEY,
    "AWS_SECRET_ACCESS_KEY": SECRET,
    "AWS_DEFAULT_REGION": "us-east-1",
    # The S3 server refuses the checksums that the client adds of its own accord.
    "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
    "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
    "PYTHONPATH": "/usr/lib/slipway",
    "PYTHONDONTWRITEBYTECODE": "1",
}


def environment(major: str) -> dict[str, str]:
    return {name: value.format(major=major) for name, value in ENVIRONMENT.items()}


def stack(name: str, **more: Any) -> dict[str, Any]:
    """A stack's backup configuration, as role backup installs it."""
    return {
        "stack": name,
        "database": {
            "login_host": PLACE["host"],
            "login_user": PLACE["user"],
            "login_password": PASSWORD,
            "login_db": name,
        },
        "s3": {
            "endpoint": ENDPOINT,
            "bucket": BUCKET,
            "access_key": KEY,
            "secret_key": SECRET,
            "ca_file": str(CERTIFICATE),
            "prefix": "slipway",
        },
        "keep": {"s3": {"days": 30}},
        **more,
    }


def write_stacks() -> None:
    """The physical backup is a stack of its own, because its server is reached through Docker."""
    CONFIGURATION.mkdir(parents=True, exist_ok=True)
    physical = stack("physical", kinds={"base": {"ship_seconds": 1}})
    physical["database"] = {
        "login_container": SERVER,
        "login_user": "postgres",
        "login_password": PASSWORD,
        "login_db": "postgres",
    }
    for one in (stack(DATABASE), stack(SCHEMAS_DATABASE), physical):
        (CONFIGURATION / f"{one['stack']}.json").write_text(json.dumps(one), encoding="utf-8")
