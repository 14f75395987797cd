# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is decided before certbot runs. That it obtains certificates is shown in the scenarios, with real servers."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.certbot import engine
from ansible_collections.slipway.vps.plugins.module_utils.certbot.ledger import Entry, Ledger
from ansible_collections.slipway.vps.plugins.module_utils.certbot.limits import Limits
from ansible_collections.slipway.vps.plugins.module_utils.certbot.model import Certificate, Settings

from .test_lineage import RENEWAL, certificate

SHOP = Certificate("shop", ("shop.test",))


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A host without certbot."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "openssl").symlink_to(shutil.which("openssl") or "/usr/bin/openssl")
    monkeypatch.setenv("PATH", str(programs))
    return Settings(server="https://acme.test/", config_dir=str(tmp_path / "etc"), ledger=str(tmp_path / "ledger"))


def run(settings: Settings, wanted: Certificate, *, check: bool = False) -> engine.Outcome:
    (outcome,) = engine.converge(settings, engine.plans(settings, [wanted]), check=check)
    return outcome


def entries(settings: Settings) -> list[Entry]:
    return Ledger(settings.ledger, settings.server).entries()


def have(settings: Settings, *names: str) -> None:
    certificate(Path(settings.config_dir, "live", "shop"), *names)
    renewal = Path(settings.config_dir, "renewal")
    renewal.mkdir()
    (renewal / "shop.conf").write_text(RENEWAL.replace("https://acme.test/dir?a=b", settings.server))


def test_a_program_that_is_not_there_has_asked_nobody(host: Settings) -> None:
    assert "certbot" in run(host, SHOP).error
    (entry,) = entries(host)
    assert (entry.issued, entry.asked) == (False, False)


def test_beyond_a_limit_certbot_is_not_even_started(host: Settings) -> None:
    limited = Settings(**{**vars(host), "limits": Limits(failures=1)})
    failed = Entry(0, frozenset(), issued=False, failed=("shop.test",))
    ledger = Ledger(host.ledger, host.server)
    ledger.close(ledger.open("shop", SHOP.domains, False, time.time()), time.time(), failed)
    for check in (True, False):
        outcome = run(limited, SHOP, check=check)
        assert "shop.test failed 1 times within an hour" in outcome.error
        assert not outcome.changed
    assert len(entries(host)) == 1


def test_names_that_are_on_disk_or_were_certified_before_are_a_renewal(host: Settings) -> None:
    have(host, "shop.test")
    run(Settings(**{**vars(host), "key_type": "rsa"}), SHOP)
    assert [entry.renewal for entry in entries(host)] == [True]
    ledger = Ledger(host.ledger, host.server)
    ledger.open("old", ("old.test",), False, time.time())  # it was killed, so it counts as issued
    run(host, Certificate("old", ("old.test",)))
    run(host, Certificate("new", ("new.test",)))
    assert [entry.renewal for entry in entries(host)] == [True, False, True, False]


def test_a_refusal_leaves_the_certificate_that_is_live(host: Settings) -> None:
    have(host, "shop.test")
    outcome = run(Settings(**{**vars(host), "key_type": "rsa"}), SHOP)
    assert outcome.error
    assert not outcome.changed
    assert outcome.certificate == f"{host.config_dir}/live/shop/fullchain.pem"


def test_a_domain_that_leads_elsewhere_is_not_asked_for(host: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    addresses = {"alpha.shop.test": {"192.0.2.1"}, "books.test": {"192.0.2.9"}, "*.books.test": set()}
    monkeypatch.setattr(engine, "resolve", addresses.__getitem__)
    wanted = Certificate("books", ("books.test",), home="alpha.shop.test")
    assert "points to 192.0.2.9" in run(host, wanted).error
    assert entries(host) == []
    addresses["books.test"] = {"192.0.2.1", "192.0.2.2"}
    assert "certbot" in run(host, wanted).error


def test_a_dry_run_asks_nobody_and_notes_nothing(host: Settings) -> None:
    outcome = run(host, SHOP, check=True)
    assert (outcome.changed, outcome.error) == (True, "")
    assert entries(host) == []
