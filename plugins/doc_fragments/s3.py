# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """The S3 options that the backup modules share."""

    DOCUMENTATION = r"""
options:
  s3_endpoint:
    description: Address of the S3 server, such as V(https://s3.example.org). Empty means AWS.
    type: str
    default: ""
  s3_region:
    description: Region of the bucket. Most servers other than AWS take any.
    type: str
    default: us-east-1
  s3_bucket:
    description: Name of the bucket. It has to exist.
    type: str
  s3_prefix:
    description: What all names in the bucket begin with, without a slash at either end.
    type: str
    default: slipway
  s3_access_key:
    description:
      - Access key. It needs the rights to list, read, write and delete below O(s3_prefix).
      - Left out, O(s3_credentials_file), the environment and the instance are asked in this order.
    type: str
  s3_secret_key:
    description: Secret of O(s3_access_key).
    type: str
  s3_session_token:
    description: Token of temporary credentials.
    type: str
  s3_credentials_file:
    description: INI file on the module's host with C(aws_access_key_id) and C(aws_secret_access_key).
    type: path
  s3_profile:
    description: Section of O(s3_credentials_file). The default is V(default).
    type: str
  s3_ca_file:
    description: File on the module's host with the CA that signed the server's certificate.
    type: path
  s3_path_style:
    description: Whether the bucket is in the path of the address (V(true)) or in its host name.
    type: bool
    default: true
  s3_checksum_mode:
    description:
      - Whether the client library adds checksums of its own to requests that do not need them.
      - Many S3 servers refuse them, so the default is V(when_required). Each part carries its MD5 in either case.
      - Libraries before boto3 1.36 know neither mode; the option is then without effect.
    type: str
    choices: [when_required, when_supported]
    default: when_required
  s3_sse:
    description: Encryption that is asked of the server. Empty leaves it to the bucket.
    type: str
    choices: ["", AES256, "aws:kms", "aws:kms:dsse"]
    default: ""
  s3_sse_kms_key_id:
    description: Key of the server's key service, for O(s3_sse=aws:kms).
    type: str
  s3_storage_class:
    description: Storage class of the objects. Left out, the bucket decides.
    type: str
  s3_connect_timeout:
    description: Seconds to wait for a connection.
    type: float
    default: 10.0
  s3_read_timeout:
    description: Seconds to wait for an answer.
    type: float
    default: 60.0
  s3_retries:
    description: How often a request is tried, with growing pauses.
    type: int
    default: 5
requirements:
  - boto3 1.26 or newer (Debian package C(python3-boto3)) on the host that runs the module
"""
