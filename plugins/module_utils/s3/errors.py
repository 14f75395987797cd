# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an S3 client's error means, in a sentence with the next step.

Works by class and code names, so that botocore is never imported here and no version of it is assumed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..common.errors import SlipwayError
from .options import S3Options

WRONG_KEY = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken", "AuthFailure"}
REFUSED = {"AccessDenied", "AllAccessDisabled", "403", "Forbidden", "UnauthorizedAccess", "AccountProblem"}
CLOCK = {"RequestTimeTooSkewed", "RequestExpired"}
WRONG_REGION = {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "301"}
FULL = {"QuotaExceeded", "InsufficientStorage", "InsufficientCapacity", "507", "EntityTooLarge"}
BUSY = {
    "SlowDown",
    "ServiceUnavailable",
    "InternalError",
    "RequestTimeout",
    "500",
    "502",
    "503",
    "504",
    "TooManyRequests",
}
DAMAGED = {"BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch", "IncompleteBody"}
MISSING_KEY = {"NoSuchKey", "404", "NotFound"}

UNREACHABLE = {"EndpointConnectionError", "ConnectTimeoutError", "ProxyConnectionError", "ConnectionError"}
BROKEN = {
    "ConnectionClosedError",
    "ReadTimeoutError",
    "HTTPClientError",
    "ResponseStreamingError",
    "IncompleteReadError",
}
NO_CREDENTIALS = {"NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "TokenRetrievalError"}
BAD_FILE = {"ProfileNotFound", "ConfigParseError", "ConfigNotFound"}


class S3Error(SlipwayError):
    """A request that the S3 server refused, or that never reached it; `kind` is for the code that reacts."""

    def __init__(self, message: str, *, kind: str, hint: str = "", code: str = "") -> None:
        super().__init__(message, hint=hint, details={"kind": kind, "code": code})
        self.kind = kind


@contextmanager
def explained(options: S3Options, doing: str) -> Iterator[None]:
    """Turn whatever the client library raises into an S3Error; everything else passes."""
    try:
        yield
    except SlipwayError:
        raise
    except Exception as error:
        # The library's exceptions have no common base that could be named without importing it.
        if not _is_from_library(error):
            raise
        raise explain(error, options, doing) from error


def _is_from_library(error: Exception) -> bool:
    modules = {kind.__module__.split(".")[0] for kind in type(error).__mro__}
    return bool(modules & {"botocore", "boto3", "urllib3", "s3transfer"})


def explain(error: Exception, options: S3Options, doing: str) -> S3Error:
    response: dict[str, Any] | None = getattr(error, "response", None)
    if isinstance(response, dict) and "Error" in response:
        return _answered(response, options, doing)
    return _unanswered(error, options, doing)


def _answered(response: dict[str, Any], options: S3Options, doing: str) -> S3Error:
    code = str(response["Error"].get("Code", ""))
    said = str(response["Error"].get("Message", "")).strip()
    place = options.describe()
    table: list[tuple[set[str], str, str, str]] = [
        (
            WRONG_KEY,
            "wrong_key",
            f"The S3 server does not accept the access key or its secret ({code}) for {place}.",
            "Correct backup_s3_access_key and backup_s3_secret_key, then run playbook slipway.vps.backup.",
        ),
        (
            {"NoSuchBucket"},
            "no_bucket",
            f"The bucket {options.bucket} does not exist at {options.endpoint or 'AWS'}.",
            "Create it, or correct backup_s3_bucket and backup_s3_endpoint.",
        ),
        (
            REFUSED,
            "refused",
            f"The S3 server refuses {doing} in {place} ({code}).",
            "Give the key the rights to list, read, write and delete under that prefix.",
        ),
        (
            CLOCK,
            "clock",
            f"The clock of this host differs too much from the S3 server's ({code}).",
            "Check it with `timedatectl`; role slipway.vps.hardening sets up time synchronisation.",
        ),
        (
            WRONG_REGION,
            "region",
            f"The bucket {options.bucket} is not in region {options.region} ({code}: {said}).",
            "Correct backup_s3_region or backup_s3_endpoint.",
        ),
        (
            FULL,
            "full",
            f"The S3 server has no room for this while {doing} ({code}).",
            "Free space or raise the quota, then run `slipway backup run` again.",
        ),
        (
            BUSY,
            "busy",
            f"The S3 server failed while {doing} ({code}), also after {options.retries} tries.",
            "Look at the server's own state, then run `slipway backup run` again.",
        ),
        (
            DAMAGED,
            "damaged",
            f"What arrived at the S3 server is not what was sent while {doing} ({code}).",
            "Look for a proxy or a memory fault between the two, then run `slipway backup run` again.",
        ),
        (
            MISSING_KEY,
            "no_key",
            f"The object is not there any more while {doing} ({code}).",
            "List what is there with `slipway backup list`.",
        ),
    ]
    for codes, kind, message, hint in table:
        if code in codes:
            return S3Error(message, kind=kind, hint=hint, code=code)
    return S3Error(
        f"The S3 server refuses {doing} in {place}: {code} {said}".rstrip(". ") + ".",
        kind="other",
        hint="Its own log tells more.",
        code=code,
    )


def _unanswered(error: Exception, options: S3Options, doing: str) -> S3Error:
    names = {kind.__name__ for kind in type(error).__mro__}
    where = options.endpoint or f"AWS, region {options.region}"
    if "SSLError" in names:
        return S3Error(
            f"The TLS certificate of the S3 server {where} is not trusted: {_short(error)}.",
            kind="tls",
            hint="Name the authority that signed it with backup_s3_ca_file, or correct backup_s3_endpoint.",
        )
    if names & NO_CREDENTIALS:
        return S3Error(
            f"There are no S3 credentials for {options.describe()}.",
            kind="wrong_key",
            hint="Set backup_s3_access_key and backup_s3_secret_key, or backup_s3_credentials_file.",
        )
    if names & BAD_FILE:
        return S3Error(
            f"The S3 credentials file is not usable: {_short(error)}.",
            kind="wrong_key",
            hint="It is an INI file with aws_access_key_id and aws_secret_access_key in a [profile].",
        )
    if names & UNREACHABLE:
        return S3Error(
            f"The S3 server {where} cannot be reached while {doing}: {_short(error)}.",
            kind="unreachable",
            hint="Check its address, DNS and the firewall: curl -v " + (options.endpoint or "https://s3.amazonaws.com"),
        )
    if names & BROKEN:
        return S3Error(
            f"The connection to the S3 server {where} broke while {doing}: {_short(error)}.",
            kind="unreachable",
            hint="Look at the network and at the server, then run `slipway backup run` again.",
        )
    return S3Error(f"S3 failed while {doing}: {_short(error)}.", kind="other", hint=f"Server: {where}.")


def _short(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")[:300]
