# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is decided before certbot runs. That it obtains certificates is shown in the scenarios, with real servers."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.certbot import engine, pair
from ansible_collections.slipway.vps.plugins.module_utils.certbot.ledger import Entry, Ledger
from ansible_collections.slipway.vps.plugins.module_utils.certbot.limits import Limits
from ansible_collections.slipway.vps.plugins.module_utils.certbot.lineage import Place
from ansible_collections.slipway.vps.plugins.module_utils.certbot.model import Certificate, Settings

from .test_lineage import emptied, kept

SHOP = Certificate("shop", ("shop.test",))


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A host without certbot."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "openssl").symlink_to(shutil.which("openssl") or "/usr/bin/openssl")
    monkeypatch.setenv("PATH", str(programs))
    return Settings(
        server="https://acme.test/",
        config_dir=str(tmp_path / "etc"),
        ledger=str(tmp_path / "ledger"),
        serving=str(tmp_path / "serving"),
        renewed=str(tmp_path / "renewed"),
    )


def run(settings: Settings, wanted: Certificate, *, check: bool = False) -> engine.Outcome:
    (outcome,) = engine.converge(settings, engine.plans(settings, [wanted]), check=check)
    return outcome


def entries(settings: Settings) -> list[Entry]:
    return Ledger(settings.ledger, settings.server).entries()


def have(settings: Settings, *names: str) -> Place:
    return kept(Path(settings.config_dir), "shop", *names, server=settings.server)


def certbot(settings: Settings, script: str) -> None:
    """A program of that name which says, or does, something."""
    program = Path(settings.config_dir).parent / "bin" / "certbot"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


AWAY = "echo 'An unexpected error occurred:'; echo 'HTTPSConnectionPool(host=acme.test): Max retries exceeded'; exit 1"


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
    assert run(host, SHOP).changed  # Nginx is given it
    outcome = run(Settings(**{**vars(host), "key_type": "rsa"}), SHOP)
    assert outcome.error
    assert not outcome.changed
    assert outcome.certificate == outcome.certificate_key == f"{host.serving}/shop.pem"


def test_nginx_is_given_what_is_live_and_then_nothing_is_done(host: Settings) -> None:
    place = have(host, "shop.test")
    first, again = run(host, SHOP), run(host, SHOP)
    assert (first.changed, first.replaced, first.reasons) == (True, False, ["Nginx has not been given it yet"])
    assert (again.changed, again.replaced, again.reasons) == (False, False, [])
    assert not Path(host.renewed).exists()
    copy = Path(host.serving, "shop.pem")
    assert pair.is_current(copy, place.live)
    # A copy that somebody damaged is replaced, and Nginx has to read it again.
    copy.write_text("damaged")
    mended = run(host, SHOP)
    assert (mended.changed, mended.replaced) == (True, True)
    assert Path(host.renewed).exists()
    assert pair.is_good(copy) and entries(host) == []


def test_damaged_links_are_mended_without_the_authority(host: Settings) -> None:
    place = have(host, "shop.test")
    run(host, SHOP)
    emptied(place)
    dry = run(host, SHOP, check=True)
    assert dry.changed and not any(place.live.iterdir())
    outcome = run(host, SHOP)
    assert (outcome.changed, outcome.replaced, outcome.error) == (True, False, "")
    assert outcome.reasons == ["what is live of it is damaged"]
    assert entries(host) == [] and run(host, SHOP).reasons == []


def test_what_cannot_be_mended_makes_room_and_nginx_keeps_its_copy(host: Settings) -> None:
    place = have(host, "shop.test")
    run(host, SHOP)
    place.renewal.write_text("")
    outcome = run(host, SHOP)
    assert "certbot" in outcome.error  # there is none here
    assert not place.renewal.exists() and not place.live.exists()
    assert outcome.certificate == f"{host.serving}/shop.pem"
    assert [entry.renewal for entry in entries(host)] == [True]


def test_an_authority_that_is_away_is_a_warning_while_nginx_has_a_certificate_for_some_time(host: Settings) -> None:
    place = have(host, "shop.test")
    run(host, SHOP)
    place.renewal.write_text("")
    certbot(host, AWAY)
    outcome = run(host, SHOP)
    assert (outcome.error, outcome.changed) == ("", False)
    assert "Max retries exceeded" in outcome.warning and "serves until" in outcome.warning
    # nine days are left
    impatient = Settings(**{**vars(host), "grace_days": 10})
    assert "Max retries exceeded" in run(impatient, SHOP).error
    other = Certificate("shop", ("shop.test", "www.shop.test"))
    assert "Max retries exceeded" in run(host, other).error
    assert "Max retries exceeded" in run(host, Certificate("new", ("new.test",))).error


def test_one_that_refuses_is_a_failure(host: Settings) -> None:
    have(host, "shop.test")
    run(host, SHOP)
    certbot(host, "echo 'An unexpected error occurred:'; echo 'urn:ietf:params:acme:error:caa'; exit 1")
    assert run(Settings(**{**vars(host), "key_type": "rsa"}), SHOP).error


def test_one_that_does_not_answer_in_time_is_away(host: Settings) -> None:
    have(host, "shop.test")
    run(host, SHOP)
    certbot(host, "exec /bin/sleep 5")
    assert "did not end" in run(Settings(**{**vars(host), "key_type": "rsa", "timeout": 0.2}), SHOP).warning


def test_a_certificate_that_is_no_longer_wanted_is_taken_from_nginx_too(host: Settings) -> None:
    have(host, "shop.test")
    run(host, SHOP)
    certbot(host, "exit 0")
    gone = Certificate("shop", (), present=False)
    assert run(host, gone).changed
    assert not Path(host.serving, "shop.pem").exists()


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
