# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is asked of a server on the wire: encryption, storage class, addressing, checksums, and with whose key."""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import threading

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.backup.store_s3 import S3Store
from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.s3 import client
from ansible_collections.slipway.vps.plugins.module_utils.s3.options import S3Options

PART = 5 * 1024 * 1024
IDENTITY = "20260302T030000Z-abcdef"
EMPTY = b"<?xml version='1.0'?><ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"
BEGUN = b"<?xml version='1.0'?><InitiateMultipartUploadResult><UploadId>u1</UploadId></InitiateMultipartUploadResult>"
DONE = b"<?xml version='1.0'?><CompleteMultipartUploadResult><ETag>x</ETag></CompleteMultipartUploadResult>"
DENIED = b"<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>No.</Message></Error>"
ROLE = {"AccessKeyId": "FROMROLE", "SecretAccessKey": "s", "Token": "T0KEN", "Expiration": "2099-01-01T00:00:00Z"}
ROLE |= {"Code": "Success", "Type": "AWS-HMAC", "LastUpdated": "2026-01-01T00:00:00Z"}


class Recorder(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _handle(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.seen.append((self.command, self.path, headers, body))
        if self.path.startswith("/latest/"):
            return self._instance()
        if self.server.denied and self.command in self.server.denied:
            return self._say(DENIED, 403)
        if self.command == "POST":
            return self._say(BEGUN if "uploads" in self.path else DONE)
        etag = hashlib.md5(body).hexdigest()
        return self._say(EMPTY if self.command == "GET" else b"", ETag=f'"{etag}"')

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _handle

    def _instance(self):
        """The metadata service of a cloud's instance, version 2: a token first."""
        if self.command == "PUT":
            return self._say(b"metadata-token", **{"X-aws-ec2-metadata-token-ttl-seconds": "21600"})
        if self.headers.get("X-aws-ec2-metadata-token") != "metadata-token":
            return self._say(b"", 401)
        if self.path.endswith("/security-credentials/"):
            return self._say(b"backup-role")
        return self._say(json.dumps(ROLE).encode())

    def _say(self, body, status=200, **headers):
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words):
        """Quiet."""


@pytest.fixture
def server(monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Recorder)
    made.daemon_threads = True
    made.seen, made.denied = [], ()
    made.url = f"http://127.0.0.1:{made.server_port}"
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", f"{made.url}/")
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


def options(server, **more):
    given = {
        "endpoint": server.url,
        "bucket": "backups",
        "access_key": "GIVEN",
        "secret_key": "s",
        "retries": 1,
        **more,
    }
    return S3Options.from_dict({name: value for name, value in given.items() if value is not None})


def stored(server, **more):
    """One object in parts and a manifest, through the store; the requests it took."""
    store = S3Store(options(server, **more), "shop", "postgres", PART)
    sink = store.sink(IDENTITY, "database.dump.zst")
    sink.write(bytes(PART + 10))
    sink.finish()
    store.commit(IDENTITY, b"{}")
    return server.seen


def test_encryption_key_and_storage_class_are_asked_for_where_an_object_begins(server):
    kms = {"sse": "aws:kms", "sse_kms_key_id": "arn:aws:kms:eu-central-1:1:key/k", "storage_class": "STANDARD_IA"}
    begun, *_parts, manifest = stored(server, **kms)
    for _command, _path, headers, _body in (begun, manifest):
        assert headers["x-amz-server-side-encryption"] == "aws:kms"
        assert headers["x-amz-server-side-encryption-aws-kms-key-id"] == kms["sse_kms_key_id"]
        assert headers["x-amz-storage-class"] == "STANDARD_IA"


def test_nothing_is_asked_for_that_was_not_set(server):
    for _command, _path, headers, _body in stored(server):
        assert not [name for name in headers if "encryption" in name or "storage-class" in name]


def test_every_part_has_its_checksum_and_nothing_that_other_servers_refuse(server):
    parts = [one for one in stored(server) if "partNumber" in one[1]]
    assert len(parts) == 2
    for _command, _path, headers, body in parts:
        assert headers["content-md5"] == base64.b64encode(hashlib.md5(body).digest()).decode()
    for _command, _path, headers, _body in server.seen:
        assert not [name for name in headers if name.startswith(("x-amz-checksum", "x-amz-sdk-checksum"))]
        assert "aws-chunked" not in headers.get("content-encoding", "")


def test_the_checksum_mode_is_set_where_the_library_knows_it(server):
    """Since 1.36 it adds checksums of its own unless told otherwise; older ones have neither habit nor option."""
    built = {mode: client.client(options(server, checksum_mode=mode)) for mode in ("when_required", "when_supported")}
    for mode, one in built.items():
        config = one.meta.config
        assert getattr(config, "request_checksum_calculation", mode) == mode
        assert getattr(config, "response_checksum_validation", mode) == mode


@pytest.mark.parametrize(
    ("path_style", "url"), [(True, "http://s3.test/backups/x"), (False, "http://backups.s3.test/x")]
)
def test_the_bucket_is_in_the_path_or_in_the_host(server, path_style, url):
    made = client.client(options(server, endpoint="http://s3.test", path_style=path_style))
    signed = made.generate_presigned_url("get_object", Params={"Bucket": "backups", "Key": "x"})
    assert signed.split("?")[0] == url


def whose(server):
    """The access key that signed the last request."""
    return server.seen[-1][2]["authorization"].split("Credential=")[1].split("/")[0]


def ask(server, **more):
    made = client.client(options(server, access_key=None, secret_key=None, **more))
    made.list_objects_v2(Bucket="backups")
    return whose(server)


def test_credentials_come_from_the_options(server):
    stored(server, session_token="T0KEN")
    assert whose(server) == "GIVEN" and server.seen[-1][2]["x-amz-security-token"] == "T0KEN"


def test_credentials_come_from_a_file_and_its_profile(server, tmp_path):
    path = tmp_path / "credentials"
    path.write_text(
        "[default]\naws_access_key_id = FROMFILE\naws_secret_access_key = s\n"
        "[backup]\naws_access_key_id = FROMPROFILE\naws_secret_access_key = s\naws_session_token = T2\n"
    )
    assert ask(server, credentials_file=str(path)) == "FROMFILE"
    assert ask(server, credentials_file=str(path), profile="backup") == "FROMPROFILE"
    assert server.seen[-1][2]["x-amz-security-token"] == "T2"


def test_credentials_come_from_the_environment(server, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "FROMENV")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    assert ask(server) == "FROMENV"


def test_credentials_come_from_the_instance(server):
    assert ask(server) == "FROMROLE"
    assert server.seen[-1][2]["x-amz-security-token"] == "T0KEN"


def test_no_credentials_anywhere_are_told(server, monkeypatch):
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(SlipwayError, match="There are no S3 credentials"):
        client.check(options(server, access_key=None, secret_key=None))


def test_a_key_that_may_not_list_is_told(server):
    server.denied = ("GET",)
    with pytest.raises(SlipwayError, match=r"refuses listing in s3://backups/slipway .*AccessDenied.*rights to list"):
        client.check(options(server))
