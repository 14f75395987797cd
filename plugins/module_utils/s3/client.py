# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One S3 client for any server and any boto3 since Debian 12's 1.26."""

from __future__ import annotations

import configparser
import email.utils
import functools
import time
from pathlib import Path
from typing import Any

from ..common.require import load
from .errors import S3Error, explained
from .options import S3Options

MAX_SKEW_SECONDS = 300.0


def client(options: S3Options) -> Any:
    """A boto3 client; the credentials are in its memory only."""
    if options.ca_file and not Path(options.ca_file).is_file():
        raise S3Error(
            f"The CA file {options.ca_file} does not exist on this host.",
            kind="tls",
            hint="Correct backup_s3_ca_file; role slipway.vps.backup copies it.",
        )
    boto3 = load("boto3", "python3-boto3")
    with explained(options, "preparing the connection"):
        session = load("botocore.session", "python3-boto3").get_session()
        session.register_component("data_loader", _descriptions())
        return boto3.session.Session(botocore_session=session).client(
            "s3",
            endpoint_url=options.endpoint or None,
            region_name=options.region,
            verify=options.ca_file or None,
            config=_config(options),
            **credentials(options),
        )


@functools.cache
def _descriptions() -> Any:
    """What the library knows of S3. Reading it takes a tenth of a second, for each client that reads its own."""
    return load("botocore.loaders", "python3-boto3").create_loader()


def credentials(options: S3Options) -> dict[str, str]:
    """From the options, else from their file, else none: the library then asks the environment and the instance."""
    if options.access_key:
        found = {"aws_access_key_id": options.access_key, "aws_secret_access_key": options.secret_key}
        return {**found, **({"aws_session_token": options.session_token} if options.session_token else {})}
    return _from_file(options) if options.credentials_file else {}


def _from_file(options: S3Options) -> dict[str, str]:
    # Read here and not by the library: its variable for the path is of the whole process, not of one client.
    profile = options.profile or "default"
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(Path(options.credentials_file).read_text(encoding="utf-8"))
        section = parser[profile]
        found = {name: section[name] for name in ("aws_access_key_id", "aws_secret_access_key")}
    except (OSError, configparser.Error, KeyError, UnicodeDecodeError) as error:
        raise S3Error(
            f"The S3 credentials file {options.credentials_file} has no usable profile {profile!r} "
            f"({type(error).__name__}).",
            kind="wrong_key",
            hint="It is an INI file with aws_access_key_id and aws_secret_access_key in a [profile].",
        ) from None
    token = section.get("aws_session_token")
    return {**found, **({"aws_session_token": token} if token else {})}


def _config(options: S3Options) -> Any:
    config = load("botocore.config", "python3-boto3").Config
    settings: dict[str, Any] = {
        "signature_version": "s3v4",
        "s3": {"addressing_style": "path" if options.path_style else "virtual"},
        "retries": {"mode": "standard", "max_attempts": max(1, options.retries)},
        "connect_timeout": options.connect_timeout,
        "read_timeout": options.read_timeout,
        "user_agent_extra": "slipway",
    }
    # Since 1.36 the library adds checksums that many S3 servers refuse; older ones have neither habit nor option.
    for name in ("request_checksum_calculation", "response_checksum_validation"):
        if name in getattr(config, "OPTION_DEFAULTS", {}):
            settings[name] = options.checksum_mode
    return config(**settings)


def check(options: S3Options, connection: Any | None = None) -> None:
    """Prove that server, key, bucket and clock are right, before any work."""
    connection = connection or client(options)
    with explained(options, "listing"):
        # A GET and not a HEAD: only a GET's answer has a body that names what is wrong.
        answer = connection.list_objects_v2(Bucket=options.bucket, Prefix=options.prefix, MaxKeys=1)
    headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    refuse_wrong_clock(headers.get("date", ""), time.time())


def refuse_wrong_clock(date_header: str, now: float) -> None:
    """Signatures hold for minutes only: a clock that is off fails later and less clearly."""
    try:
        server = email.utils.parsedate_to_datetime(date_header).timestamp()
    except (TypeError, ValueError):
        return
    skew = now - server
    if abs(skew) > MAX_SKEW_SECONDS:
        raise S3Error(
            f"The clock of this host is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} the S3 server's.",
            kind="clock",
            hint="Check it with `timedatectl`; role slipway.vps.hardening sets up time synchronisation.",
        )
