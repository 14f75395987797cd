# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.slipway.vps.plugins.module_utils.postgres import hba

TEXT = "# comment\nlocal all all trust\nhost all all all scram-sha-256\n"


def test_our_lines_come_first_and_go_without_a_trace():
    text = hba.admit(TEXT, "shop", "shop", ["172.18.0.4", "172.18.0.5"])
    assert text.splitlines()[1:3] == [
        'host "shop" "shop" 172.18.0.4/32 trust',
        'host "shop" "shop" 172.18.0.5/32 trust',
    ]
    assert text.endswith(TEXT)
    assert hba.withdraw(text) == TEXT


def test_a_second_time_replaces_the_first():
    once = hba.admit(TEXT, "shop", "shop", ["172.18.0.4"])
    assert hba.admit(once, "shop", "shop", ["172.18.0.9"]) == hba.admit(TEXT, "shop", "shop", ["172.18.0.9"])


def test_a_name_that_means_something_else_unquoted_is_quoted():
    assert 'host "all" "a""b" 10.0.0.1/32 trust' in hba.admit(TEXT, "all", 'a"b', ["10.0.0.1"])


def test_a_text_without_our_lines_stays_as_it_is():
    assert hba.withdraw(TEXT) == TEXT
