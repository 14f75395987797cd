# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every kind of refusal as a sentence. The errors are the library's own classes, made as it makes them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from botocore import exceptions as raised

from ansible_collections.slipway.vps.plugins.module_utils.s3 import client
from ansible_collections.slipway.vps.plugins.module_utils.s3.errors import S3Error, explain, explained
from ansible_collections.slipway.vps.plugins.module_utils.s3.options import S3Options

OPTIONS = S3Options(bucket="backups", endpoint="https://s3.example.org", access_key="key", secret_key="geheim")


def answered(code, message="said"):
    return raised.ClientError({"Error": {"Code": code, "Message": message}}, "PutObject")


@pytest.mark.parametrize(
    ("code", "kind", "sentence"),
    [
        ("SignatureDoesNotMatch", "wrong_key", "does not accept the access key"),
        ("InvalidAccessKeyId", "wrong_key", "does not accept the access key"),
        ("NoSuchBucket", "no_bucket", "The bucket backups does not exist at https://s3.example.org"),
        ("AccessDenied", "refused", "refuses uploading"),
        ("403", "refused", "refuses uploading"),
        ("RequestTimeTooSkewed", "clock", "clock of this host"),
        ("PermanentRedirect", "region", "not in region us-east-1"),
        ("QuotaExceeded", "full", "no room"),
        ("SlowDown", "busy", "failed while uploading"),
        ("BadDigest", "damaged", "not what was sent"),
        ("NoSuchKey", "no_key", "not there any more"),
        ("SomethingNew", "other", "SomethingNew said"),
    ],
)
def test_an_answer_has_a_cause_and_a_next_step(code, kind, sentence):
    found = explain(answered(code), OPTIONS, "uploading")
    assert found.kind == kind
    assert sentence in str(found)
    assert found.hint
    assert "geheim" not in str(found)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (raised.EndpointConnectionError(endpoint_url="https://s3.example.org"), "unreachable"),
        (raised.ConnectTimeoutError(endpoint_url="https://s3.example.org"), "unreachable"),
        (raised.ReadTimeoutError(endpoint_url="https://s3.example.org"), "unreachable"),
        (raised.ConnectionClosedError(endpoint_url="https://s3.example.org"), "unreachable"),
        (raised.IncompleteReadError(actual_bytes=1, expected_bytes=2), "unreachable"),
        (raised.SSLError(endpoint_url="https://s3.example.org", error="self-signed"), "tls"),
        (raised.NoCredentialsError(), "wrong_key"),
        (raised.PartialCredentialsError(provider="env", cred_var="x"), "wrong_key"),
        (raised.ProfileNotFound(profile="x"), "wrong_key"),
    ],
)
def test_no_answer_has_a_cause_too(error, kind):
    with pytest.raises(S3Error) as caught, explained(OPTIONS, "uploading"):
        raise error
    assert caught.value.kind == kind and caught.value.hint


def test_what_is_not_the_librarys_passes():
    with pytest.raises(KeyError), explained(OPTIONS, "uploading"):
        raise KeyError("ours")


@pytest.mark.parametrize(("seconds", "word"), [(3600, "ahead of"), (-900, "behind")])
def test_a_wrong_clock_is_refused(seconds, word):
    now = datetime.now(timezone.utc)
    server = format_datetime(now - timedelta(seconds=seconds), usegmt=True)
    with pytest.raises(S3Error, match=word):
        client.refuse_wrong_clock(server, now.timestamp())


@pytest.mark.parametrize("header", ["", "yesterday", None])
def test_a_good_clock_or_no_reference_is_fine(header):
    if header is None:
        header = format_datetime(datetime.now(timezone.utc), usegmt=True)
    client.refuse_wrong_clock(header, datetime.now(timezone.utc).timestamp())
