# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.slipway.vps.plugins.plugin_utils.text_table import render, table


def test_columns_are_aligned():
    text = table("Probes", ["name", "status"], [["api", "ok"], ["postgres", "fail"]])
    assert text.splitlines() == [
        "Probes",
        "  name      status",
        "  --------  ------",
        "  api       ok",
        "  postgres  fail",
    ]


def test_an_empty_table_has_its_heading():
    assert table("", ["name"], []).splitlines() == ["  name", "  ----"]


def test_a_summary_has_title_tables_and_lines():
    text = render("Up", [{"title": "T", "columns": ["a"], "rows": [[1]]}], ["line"])
    assert text == "Up\n==\n\nT\n  a\n  -\n  1\n\nline\n"
