# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options, credentials and what the client is told."""

from __future__ import annotations

import pytest
import yaml

from ansible_collections.slipway.vps.plugins.doc_fragments.s3 import ModuleDocFragment
from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.s3 import client
from ansible_collections.slipway.vps.plugins.module_utils.s3.options import ARGUMENT_SPEC, S3Options

BASE = {"bucket": "backups", "endpoint": "https://s3.example.org"}


def test_secrets_are_not_in_the_text_of_the_options():
    options = S3Options.from_dict({**BASE, "access_key": "key-id", "secret_key": "geheim", "session_token": "token-x"})
    for text in (repr(options), options.describe()):
        assert "geheim" not in text and "token-x" not in text


def test_options_come_from_a_modules_parameters():
    found = S3Options.from_params({"s3_bucket": "backups", "s3_path_style": False, "s3_region": None, "stack": "x"})
    assert (found.bucket, found.path_style, found.region) == ("backups", False, "us-east-1")


def test_every_option_is_documented_and_none_besides():
    documented = yaml.safe_load(ModuleDocFragment.DOCUMENTATION)["options"]
    assert set(documented) == set(ARGUMENT_SPEC)
    for name, option in documented.items():
        assert option.get("default") == ARGUMENT_SPEC[name].get("default"), name


def test_credentials_come_from_the_options_before_a_file(tmp_path):
    path = tmp_path / "credentials"
    path.write_text("[default]\naws_access_key_id = from-file\naws_secret_access_key = a%b\n[other]\nx = 1\n")
    given = S3Options.from_dict({**BASE, "access_key": "k", "secret_key": "s", "credentials_file": str(path)})
    assert client.credentials(given)["aws_access_key_id"] == "k"
    from_file = S3Options.from_dict({**BASE, "credentials_file": str(path)})
    assert client.credentials(from_file) == {"aws_access_key_id": "from-file", "aws_secret_access_key": "a%b"}
    assert client.credentials(S3Options.from_dict(BASE)) == {}


@pytest.mark.parametrize("text", ["", "[default]\n", "no section", "[default]\naws_access_key_id = x\n"])
def test_a_credentials_file_without_credentials_is_named(tmp_path, text):
    path = tmp_path / "credentials"
    path.write_text(text)
    with pytest.raises(SlipwayError, match="has no usable profile"):
        client.credentials(S3Options.from_dict({**BASE, "credentials_file": str(path)}))
