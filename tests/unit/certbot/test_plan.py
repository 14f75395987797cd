# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.certbot import challenge
from ansible_collections.slipway.vps.plugins.module_utils.certbot.lineage import Lineage
from ansible_collections.slipway.vps.plugins.module_utils.certbot.model import (
    Answers,
    Certificate,
    Settings,
    certificate,
)
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
        "parameters": {"webroot_path": SETTINGS.webroot},
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
        ({"authenticator": "standalone"}, "it is renewed with standalone and not with webroot"),
        (
            {"parameters": {"webroot_path": "/var/www/html"}},
            "it is renewed with webroot_path /var/www/html and not /var/www/letsencrypt",
        ),
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
        *("--no-directory-hooks", "--server", "https://acme.test/dir", "--email", "ops@shop.test", "--no-eff-email"),
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
        ({"name": "a", "domains": ["*.a.test"], "challenge": "http"}, "wildcard"),
        ({"name": "a", "domains": ["*.*.a.test"]}, "is not a host name"),
        ({"name": "a", "domains": ["*"]}, "is not a host name"),
        ({"name": "a", "domains": ["a.test"], "same_address_as": "-x"}, "is not a host name"),
        ({"name": "a", "domains": ["--help"]}, "is not a host name"),
    ],
)
def test_bad_requests_are_refused_in_a_sentence(item: dict[str, object], said: str) -> None:
    with pytest.raises(SlipwayError, match=said):
        certificate(item)


# the DNS challenge

WILDCARD = Certificate("wildcard-shop", ("*.shop.test",))
PLUGIN = Answers("rfc2136", "/etc/letsencrypt/slipway-dns-credentials", 15)
HOOKS = Answers(auth_hook="/etc/letsencrypt/slipway-dns-auth", cleanup_hook="/etc/letsencrypt/slipway-dns-cleanup")


def words(answers: Answers) -> str:
    return " ".join(plan(WILDCARD, None, Settings(dns=answers), NOW).argv)


def test_a_wildcard_is_proved_by_the_dns() -> None:
    assert (
        "--authenticator dns-rfc2136 --dns-rfc2136-credentials /etc/letsencrypt/slipway-dns-credentials "
        "--dns-rfc2136-propagation-seconds 15 --key-type"
    ) in words(PLUGIN)
    assert (
        "--manual --preferred-challenges dns --manual-auth-hook /etc/letsencrypt/slipway-dns-auth "
        "--manual-cleanup-hook /etc/letsencrypt/slipway-dns-cleanup --key-type"
    ) in words(HOOKS)
    assert "--authenticator dns-route53 --key-type" in words(Answers("route53", "/etc/letsencrypt/x"))
    assert challenge.environment(Settings(dns=Answers("route53", "/x"))) == {"AWS_CONFIG_FILE": "/x"}


def test_the_wait_for_the_zone_is_not_taken_from_the_time_a_certificate_may_take() -> None:
    assert plan(WILDCARD, None, Settings(dns=PLUGIN), NOW).pause == 15


def test_without_anything_to_answer_it_the_sentence_says_what_to_set() -> None:
    with pytest.raises(SlipwayError, match="letsencrypt_dns_plugin"):
        plan(WILDCARD, None, SETTINGS, NOW)


def test_all_names_may_be_proved_by_the_dns_but_not_a_custom_domain() -> None:
    settings = Settings(challenge="dns", dns=PLUGIN)
    assert "dns-rfc2136" in plan(WANTED, None, settings, NOW).argv
    assert "--webroot" in plan(Certificate("x", ("x.test",), challenge="http"), None, settings, NOW).argv


def test_a_wildcard_is_left_alone_until_the_way_to_renew_it_changes() -> None:
    settings = Settings(server=SETTINGS.server, dns=PLUGIN)
    kept = {"dns_rfc2136_credentials": PLUGIN.credentials, "dns_rfc2136_propagation_seconds": "15"}
    found = lineage(domains=frozenset(WILDCARD.domains), authenticator="dns-rfc2136", parameters=kept)
    assert not plan(WILDCARD, found, settings, NOW).changed
    slower = Settings(server=SETTINGS.server, dns=Answers("rfc2136", PLUGIN.credentials, 60))
    (reason,) = plan(WILDCARD, found, slower, NOW).reasons
    assert reason == "it is renewed with dns_rfc2136_propagation_seconds 15 and not 60"


def test_settings_are_read_from_what_a_role_describes() -> None:
    described = {
        "server": "https://acme.test/",
        "dns": {"plugin": "rfc2136", "auth_hook": None},
        "limits": {"orders": 7},
    }
    settings = Settings.from_dict(described)
    assert (settings.dns.plugin, settings.dns.propagation, settings.dns.auth_hook) == ("rfc2136", 60, "")
    assert (settings.limits.orders, settings.limits.duplicates) == (7, 0)
    assert Settings.from_dict({}).limits.duplicates == 5


# damage, and the authority's own wish


def test_a_broken_one_is_obtained_anew_and_one_that_can_be_mended_is_not_asked_for() -> None:
    broken = plan(WANTED, lineage(fault="its renewal settings cannot be read"), SETTINGS, NOW)
    assert broken.reasons == ("its renewal settings cannot be read",)
    # For certbot it is a new one: there is nothing left that could be forced.
    assert broken.argv and "--force-renewal" not in broken.argv
    mended = plan(WANTED, lineage(relink=3), SETTINGS, NOW)
    assert (mended.reasons, mended.argv) == (("what is live of it is damaged",), ())
    both = plan(WANTED, lineage(relink=3, key_type="rsa"), SETTINGS, NOW)
    assert both.reasons == ("its key is RSA", "what is live of it is damaged") and both.argv


def test_what_the_authority_wants_replaced_is() -> None:
    step = plan(WANTED, lineage(), SETTINGS, NOW, wish="the authority wants it replaced at once")
    assert step.reasons == ("the authority wants it replaced at once",)
    assert "--force-renewal" in step.argv


def test_a_broken_one_that_is_no_longer_wanted_is_nothing_for_certbot() -> None:
    step = plan(Certificate("shop", (), present=False), lineage(fault="its certificate cannot be read"), SETTINGS, NOW)
    assert step.changed and step.argv == ()
