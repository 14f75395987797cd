# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An authority's limits are kept before it is asked."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.certbot.ledger import Entry, Ledger
from ansible_collections.slipway.vps.plugins.module_utils.certbot.limits import Guard, Limits, next_at

SERVER = "https://acme.test/"
LIMITS = Limits.of(True, {})
NOW = 1_800_000_000.0
MINUTE = 60.0
HOUR = 60 * MINUTE


def registered(names):
    """The part of these tests' names that is registered."""
    return {name: ".".join(name.split(".")[-2:]) for name in names}


def guard(*entries: Entry, limits: Limits = LIMITS) -> Guard:
    return Guard(limits, entries, registered)


def refusal(found: Guard, *domains: str, renewal: bool = False) -> str:
    return str(found.refusal("c", frozenset(domains), renewal, NOW) or "")


def issued(number: int, at: float = NOW, **more: object) -> list[Entry]:
    return [Entry(at, frozenset({f"t{one}.shop.test"}), **more) for one in range(number)]  # type: ignore[arg-type]


def test_the_allowance_comes_back_bit_by_bit() -> None:
    week = 7 * 24 * HOUR
    assert next_at([], 50, week) < NOW
    assert next_at([NOW] * 49, 50, week) <= NOW
    assert next_at([NOW] * 50, 50, week) == pytest.approx(NOW + week / 50)  # 201.6 minutes
    assert next_at([NOW] * 51, 50, week) == pytest.approx(NOW + 2 * week / 50)
    assert next_at([NOW - week] * 50, 50, week) <= NOW


def test_fifty_certificates_for_one_domain_a_week() -> None:
    assert refusal(guard(*issued(49)), "new.shop.test") == ""
    full = guard(*issued(50))
    said = refusal(full, "new.shop.test")
    assert said.startswith(
        "The certificate c was not asked for: 50 certificates for names in shop.test were issued within a week"
    )
    assert "The next one is possible at 2027-01-15 11:21 UTC. " in said
    assert "tenants_wildcard" in said
    assert refusal(full, "www.other.test") == ""
    assert refusal(full, "t1.shop.test", renewal=True) == ""


def test_what_was_refused_or_renewed_is_not_counted_as_issued() -> None:
    entries = [*issued(40), *issued(40, issued=False), *issued(40, renewal=True)]
    assert refusal(guard(*entries), "new.shop.test") == ""


def test_without_the_list_of_suffixes_the_authority_itself_is_left_to_count() -> None:
    assert Guard(LIMITS, issued(60), lambda names: {}).refusal("c", frozenset({"x.shop.test"}), False, NOW) is None


def test_five_certificates_for_the_same_names_a_week() -> None:
    same = [Entry(NOW, frozenset({"a.shop.test"}), renewal=bool(one)) for one in range(5)]
    said = refusal(guard(*same), "a.shop.test", renewal=True)
    assert "it was issued 5 times within a week" in said
    assert refusal(guard(*same), "a.shop.test", "b.shop.test") == ""


def test_five_failed_proofs_of_a_name_an_hour() -> None:
    names = frozenset({"a.test", "b.test"})
    failed = [Entry(NOW - one, names, issued=False, failed=("b.test",)) for one in range(5)]
    said = refusal(guard(*failed), "b.test", "c.test")
    assert "b.test failed 5 times within an hour" in said
    assert refusal(guard(*failed), "a.test") == ""
    earlier = [Entry(entry.at - 13 * MINUTE, names, issued=False, failed=("b.test",)) for entry in failed]
    assert refusal(guard(*earlier), "b.test") == ""


def test_three_hundred_orders_in_three_hours_of_which_renewals_are_none() -> None:
    orders = [Entry(NOW, frozenset({f"t{one}.t{one}.test"})) for one in range(300)]
    assert "takes 300 orders in three hours" in refusal(guard(*orders), "x.test")
    assert refusal(guard(*orders[1:]), "x.test") == ""
    unasked = [Entry(NOW, frozenset({"t.test"}), issued=False, asked=False) for _one in range(300)]
    assert refusal(guard(*unasked), "x.test") == ""


def test_another_authority_has_the_limits_that_are_given() -> None:
    assert not Limits.of(False, {}).any
    assert Limits.of(False, {"orders": 3, "failures": None}) == Limits(orders=3)
    assert Limits.of(True, {"certificates_per_domain": 500}).certificates_per_domain == 500
    assert refusal(guard(*issued(60), limits=Limits()), "x.shop.test") == ""


def test_what_the_authority_itself_told_is_kept_whatever_the_limits() -> None:
    told = Entry(NOW, frozenset({"a.test"}), issued=False, retry_at=NOW + HOUR)
    assert "the authority said to wait" in refusal(guard(told, limits=Limits()), "a.test")
    assert refusal(guard(told, limits=Limits()), "b.test") == ""


# the ledger


def test_an_order_is_noted_before_and_after(tmp_path: Path) -> None:
    ledger = Ledger(str(tmp_path / "ledger"), SERVER)
    first = ledger.open("c", {"b.test", "a.test"}, False, NOW)
    assert ledger.entries() == [Entry(NOW, frozenset({"a.test", "b.test"}))]  # a run that is killed here has counted
    failed = Entry(0, frozenset(), issued=False, failed=("b.test",), retry_at=NOW + 1)
    ledger.close(first, NOW + 5, failed)
    ledger.open("d", {"c.test"}, True, NOW + 6)
    one, two = ledger.entries()
    assert (one.at, one.issued, one.asked, one.failed, one.retry_at) == (NOW, False, True, ("b.test",), NOW + 1)
    assert (two.renewal, two.issued) == (True, True)
    assert Ledger(str(tmp_path / "ledger"), "https://other.test/").entries() == []
    (path,) = (tmp_path / "ledger").iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_weeks_that_no_limit_looks_at_are_dropped_and_a_line_cut_off_is_passed_over(tmp_path: Path) -> None:
    ledger = Ledger(str(tmp_path), SERVER)
    week = 7 * 24 * HOUR
    for number in range(5):
        ledger.open(f"c{number}", {"a.test"}, False, NOW + number * week)
    assert [entry.at for entry in ledger.entries()] == [NOW + 3 * week, NOW + 4 * week]
    newest = max(tmp_path.iterdir())
    newest.write_text(newest.read_text() + '{"id": "x", "at"')
    assert len(ledger.entries()) == 2
