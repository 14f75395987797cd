# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reports of certbot 4.0.0, as it printed them."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.certbot.refusal import (
    is_away,
    is_busy,
    is_transient,
    problems,
    refusal,
)

REPORT = """
Certbot failed to authenticate some domains (authenticator: webroot). The Certificate Authority reported these problems:
  Domain: {domain}
  Type:   {kind}
  Detail: {detail}

Hint: The Certificate Authority failed to download the temporary challenge files created by Certbot.

Saving debug log to /var/log/letsencrypt/letsencrypt.log
Some challenges have failed.
"""


@pytest.mark.parametrize(
    ("kind", "detail", "step"),
    [
        ("dns", "DNS problem: NXDOMAIN looking up A for a.test", "Create an A or AAAA record"),
        ("connection", "could not resolve URL http://a.test:80/x", "Create an A or AAAA record"),
        ("connection", "192.0.2.1: Fetching http://a.test/x: Connection refused", "Open port 80"),
        ("unauthorized", "192.0.2.1: Invalid response from http://a.test/x: 404", "Another server answers"),
        ("caa", "CAA record for a.test prevents issuance", "Allow the certificate authority"),
        ("brandnew", "something else", "letsencrypt.log"),
    ],
)
def test_a_refusal_names_the_domain_the_cause_and_the_next_step(kind: str, detail: str, step: str) -> None:
    error = refusal("shop", REPORT.format(domain="a.test", kind=kind, detail=detail))
    assert str(error).startswith(f"The certificate shop was refused: a.test: {detail} ({kind}).")
    assert step in error.hint
    assert error.details["problems"] == [{"domain": "a.test", "kind": kind, "detail": detail}]


def test_all_domains_are_named() -> None:
    text = REPORT.format(domain="a.test", kind="dns", detail="gone") + REPORT.format(
        domain="b.test", kind="dns", detail="gone too"
    )
    assert [problem.domain for problem in problems(text)] == ["a.test", "b.test"]


def test_a_limit_is_told_with_the_way_around_it() -> None:
    text = (
        "An unexpected error occurred:\n"
        "Error creating new order :: too many certificates (5) already issued for this exact set of identifiers\n\n"
        "Ask for help or search for solutions at https://community.letsencrypt.org."
    )
    error = refusal("shop", text)
    assert "too many certificates (5)" in error.message
    assert "letsencrypt_staging" in error.hint


def test_an_authority_that_is_not_trusted_is_told_apart_from_one_that_is_away() -> None:
    untrusted = refusal("shop", "An unexpected error occurred:\nSSLError(... CERTIFICATE_VERIFY_FAILED ...)\n\n")
    assert "letsencrypt_ca_file" in untrusted.hint
    away = refusal(
        "shop", "An unexpected error occurred:\nMax retries exceeded with url: /dir (Connection refused)\n\n"
    )
    assert "letsencrypt_acme_directory" in away.hint


def test_states_that_pass_by_themselves() -> None:
    assert is_busy("Another instance of Certbot is already running.")
    assert is_transient("urn:ietf:params:acme:error:badNonce :: bad")
    assert not is_transient("urn:ietf:params:acme:error:rateLimited :: wait")


def test_when_to_come_back_is_kept_for_the_next_run() -> None:
    text = (
        "An unexpected error occurred:\nError creating new order :: too many certificates (50) already issued for "
        '"shop.test" in the last 168h0m0s, retry after 2026-03-01 15:22:05 UTC: see https://letsencrypt.org/docs/\n\n'
    )
    assert refusal("shop", text).details["retry_at"] == datetime(2026, 3, 1, 15, 22, 5, tzinfo=timezone.utc).timestamp()
    assert refusal("shop", "An unexpected error occurred:\nno\n\n").details["retry_at"] == 0


def test_a_plugin_that_is_missing_is_named_with_its_package() -> None:
    text = "Could not choose appropriate plugin: The requested dns-rfc2136 plugin does not appear to be installed\n"
    assert "python3-certbot-dns-rfc2136" in refusal("wildcard-shop", text).hint


def test_a_zone_that_may_not_be_changed_is_told_with_what_the_name_server_said() -> None:
    text = (
        "Encountered exception during recovery: certbot.errors.PluginError: Encountered error deleting TXT record: no\n"
        "Encountered error adding TXT record: The peer didn't like the signature we sent\nAsk for help or search\n"
    )
    error = refusal("wildcard-shop", text)
    assert error.message.endswith("could not be set: The peer didn't like the signature we sent.")
    assert "letsencrypt_dns_credentials" in error.hint


@pytest.mark.parametrize(
    ("output", "away"),
    [
        ("HTTPSConnectionPool(host='acme.test', port=443): Max retries exceeded with url: /directory", True),
        ("ConnectionError: ('Connection aborted.', RemoteDisconnected())", True),
        ("requests.exceptions.HTTPError: 503 Server Error: Service Unavailable for url", True),
        ("urn:ietf:params:acme:error:serverInternal :: The server experienced an internal error", True),
        ("Max retries exceeded (Caused by SSLError: CERTIFICATE_VERIFY_FAILED)", False),
        ("urn:ietf:params:acme:error:rateLimited :: too many", False),
        (REPORT.format(domain="a.test", kind="dns", detail="NXDOMAIN"), False),
    ],
)
def test_an_authority_that_could_not_be_asked_has_refused_nothing(output: str, away: bool) -> None:
    assert is_away(output) == away
