# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.certbot.lineage import Lineage
from ansible_collections.slipway.vps.plugins.module_utils.certbot.model import Certificate, Settings, certificate
from ansible_collections.slipway.vps.plugins.module_utils.certbot.plan import plan
from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError

NOW = datetime(2026, 11, 21, tzinfo=timezone.utc)
SETTINGS = Settings(server="https://acme.test/dir", email="ops@shop.test")
WANTED = Certificate("shop", ("shop.test", "api.shop.test"))


def lineage(**changes: object) -> Lineage:
    values = {
        "name": "shop",
        "domains": frozenset(WANTED.domains),
        "not_after": NOW + timedelta(days=60),
        "server": SETTINGS.server,
        "authenticator": "webroot",
        "webroot": SETTINGS.webroot,
        "key_type": "ecdsa",
    }
    return Lineage(**{**values, **changes})  # type: ignore[arg-type]


def test_what_is_as_wanted_is_left_alone() -> None:
    step = plan(WANTED, lineage(), SETTINGS, NOW)
    assert not step.changed
    assert step.argv == ()


def test_a_certificate_that_ends_soon_is_the_timers_business() -> None:
    assert not plan(WANTED, lineage(not_after=NOW + timedelta(minutes=1)), SETTINGS, NOW).changed


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"domains": frozenset({"shop.test"})}, "it lacks api.shop.test"),
        ({"domains": frozenset({*WANTED.domains, "old.test"})}, "it has old.test too many"),
        ({"not_after": NOW - timedelta(days=1)}, "it ended on 2026-11-20 00:00 UTC"),
        ({"server": "https://staging.test/dir"}, "it comes from https://staging.test/dir"),
        ({"authenticator": "standalone"}, "it is renewed with standalone and not through Nginx"),
        ({"webroot": "/var/www/html"}, "it is renewed through /var/www/html"),
        ({"key_type": "rsa"}, "its key is RSA"),
    ],
)
def test_what_differs_is_obtained_again_and_the_reason_is_told(changes: dict[str, object], reason: str) -> None:
    step = plan(WANTED, lineage(**changes), SETTINGS, NOW)
    assert step.reasons == (reason,)
    # certbot keeps a certificate with the same names unless it is forced, and asks about other names unless it is told
    assert ("--force-renewal" in step.argv) == ("domains" not in changes)
    assert "--renew-with-new-domains" in step.argv


def test_a_first_certificate() -> None:
    step = plan(WANTED, None, SETTINGS, NOW)
    assert step.reasons == ("there is none yet",)
    assert step.argv == (
        *("certbot", "certonly", "--non-interactive", "--agree-tos", "--config-dir", "/etc/letsencrypt"),
        *("--server", "https://acme.test/dir", "--email", "ops@shop.test", "--no-eff-email"),
        *("--webroot", "--webroot-path", "/var/www/letsencrypt"),
        *("--key-type", "ecdsa", "--elliptic-curve", "secp256r1"),
        *("--cert-name", "shop", "--renew-with-new-domains", "--domain", "shop.test", "--domain", "api.shop.test"),
    )


def test_an_account_without_an_address_and_an_rsa_key() -> None:
    argv = plan(WANTED, None, Settings(key_type="rsa"), NOW).argv
    assert "--register-unsafely-without-email" in argv
    assert "--elliptic-curve" not in argv


def test_removal() -> None:
    gone = Certificate("shop", (), present=False)
    assert plan(gone, None, SETTINGS, NOW).argv == ()
    step = plan(gone, lineage(), SETTINGS, NOW)
    assert step.argv[:2] == ("certbot", "delete")
    assert step.argv[-2:] == ("--cert-name", "shop")


def test_names_are_put_into_one_form() -> None:
    assert certificate({"name": "a", "domains": ["Shop.Test", "shop.test."]}).domains == ("shop.test",)


@pytest.mark.parametrize(
    ("item", "said"),
    [
        ({"name": "--config", "domains": ["a.test"]}, "is not allowed"),
        ({"name": "../x", "domains": ["a.test"]}, "is not allowed"),
        ({"name": "a", "domains": []}, "has 0 domains"),
        ({"name": "a", "domains": [f"a{n}.test" for n in range(101)]}, "has 101 domains"),
        ({"name": "a", "domains": ["*.a.test"]}, "wildcard"),
        ({"name": "a", "domains": ["--help"]}, "is not a host name"),
    ],
)
def test_bad_requests_are_refused_in_a_sentence(item: dict[str, object], said: str) -> None:
    with pytest.raises(SlipwayError, match=said.replace("*", r"\*")):
        certificate(item)
