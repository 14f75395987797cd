# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which S3 server, which bucket, and how to talk to it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from ..common.errors import SlipwayError

BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
CHECKSUM_MODES = ("when_required", "when_supported")
SSE_KINDS = ("", "AES256", "aws:kms", "aws:kms:dsse")

# Every module that talks to S3 merges this into its argument spec; the texts are in doc fragment `s3`.
ARGUMENT_SPEC: dict[str, dict[str, Any]] = {
    "s3_endpoint": {"type": "str", "default": ""},
    "s3_region": {"type": "str", "default": "us-east-1"},
    "s3_bucket": {"type": "str"},
    "s3_prefix": {"type": "str", "default": "slipway"},
    "s3_access_key": {"type": "str", "no_log": False},
    "s3_secret_key": {"type": "str", "no_log": True},
    "s3_session_token": {"type": "str", "no_log": True},
    "s3_credentials_file": {"type": "path", "no_log": False},
    "s3_profile": {"type": "str"},
    "s3_ca_file": {"type": "path"},
    "s3_path_style": {"type": "bool", "default": True},
    "s3_checksum_mode": {"type": "str", "default": "when_required", "choices": list(CHECKSUM_MODES)},
    "s3_sse": {"type": "str", "default": "", "choices": list(SSE_KINDS)},
    "s3_sse_kms_key_id": {"type": "str", "no_log": False},
    "s3_storage_class": {"type": "str"},
    "s3_connect_timeout": {"type": "float", "default": 10.0},
    "s3_read_timeout": {"type": "float", "default": 60.0},
    "s3_retries": {"type": "int", "default": 5},
}


@dataclass(frozen=True)
class S3Options:
    """The settings of one bucket; `prefix` never begins or ends with a slash."""

    bucket: str
    endpoint: str = ""
    region: str = "us-east-1"
    prefix: str = "slipway"
    access_key: str = field(default="", repr=False)
    secret_key: str = field(default="", repr=False)
    session_token: str = field(default="", repr=False)
    credentials_file: str = ""
    profile: str = ""
    ca_file: str = ""
    path_style: bool = True
    checksum_mode: str = "when_required"
    sse: str = ""
    sse_kms_key_id: str = ""
    storage_class: str = ""
    connect_timeout: float = 10.0
    read_timeout: float = 60.0
    retries: int = 5

    def describe(self) -> str:
        """The place as people read it, without any secret."""
        return f"s3://{self.bucket}/{self.prefix} at {self.endpoint or 'AWS, region ' + self.region}"

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> S3Options:
        """From the `s3` object of a backup's configuration."""
        known = {one.name for one in fields(cls)}
        unknown = sorted(set(data) - known)
        if unknown:
            raise SlipwayError(f"The S3 settings have unknown names: {', '.join(unknown)}.")
        return _checked(cls(**{name: value for name, value in data.items() if value is not None}))

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> S3Options:
        """From a module's parameters, where every name begins with `s3_`."""
        names = [one.name for one in fields(cls)]
        return cls.from_dict({name: params[f"s3_{name}"] for name in names if params.get(f"s3_{name}") is not None})


def _checked(options: S3Options) -> S3Options:
    if not options.bucket:
        raise SlipwayError("No S3 bucket is named.", hint="Set backup_s3_bucket (option s3_bucket).")
    if not BUCKET.fullmatch(options.bucket):
        raise SlipwayError(
            f"The S3 bucket name {options.bucket!r} is not allowed.",
            hint="Use 3 to 63 lower-case letters, digits, dots and hyphens, without a path or an address.",
        )
    if options.endpoint and not re.match(r"https?://[^/]+/?$", options.endpoint):
        raise SlipwayError(
            f"The S3 endpoint {options.endpoint!r} is not an address.",
            hint="Write it like https://s3.example.org or https://s3.example.org:9000, without the bucket.",
        )
    if bool(options.access_key) != bool(options.secret_key):
        raise SlipwayError("Of the S3 access key and secret key only one is set.", hint="Set both, or neither.")
    if options.checksum_mode not in CHECKSUM_MODES:
        raise SlipwayError(f"The S3 checksum mode is {options.checksum_mode!r}; it is one of {CHECKSUM_MODES}.")
    if options.sse not in SSE_KINDS:
        raise SlipwayError(f"The S3 encryption is {options.sse!r}; it is one of {SSE_KINDS[1:]} or empty.")
    if options.prefix.strip("/") != options.prefix or ".." in options.prefix.split("/"):
        raise SlipwayError(
            f"The S3 prefix {options.prefix!r} is not allowed.",
            hint="Write it like backups/production: no slash at either end and no `..`.",
        )
    return options
