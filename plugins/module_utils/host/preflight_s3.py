# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether backups can be stored, before anything is changed."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

from ..common.errors import SlipwayError
from ..s3 import client as s3
from ..s3.errors import explained
from ..s3.options import S3Options
from .preflight import Problem


def inspect(options: S3Options) -> Iterator[Problem]:
    try:
        connection = s3.client(options)
        s3.check(options, connection)
        # An upload that is begun and given up needs the right to write and leaves nothing behind.
        where = {"Bucket": options.bucket, "Key": f"{options.prefix}/preflight-{uuid.uuid4()}"}
        with explained(options, "preparing an upload"):
            upload = connection.create_multipart_upload(**where)["UploadId"]
        with explained(options, "giving up an upload"):
            connection.abort_multipart_upload(**where, UploadId=upload)
    except SlipwayError as error:
        yield Problem("s3", str(error))
