# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import time

from ansible_collections.slipway.vps.plugins.module_utils.tenancy import problems

GOOD = {"rows": 3, "problems": [], "sites": {}, "error": ""}
PROBLEM = {"name": "alpha", "reason": "The domain is refused.", "since": "2026-03-01T12:00:00Z"}


def test_verdicts(probe, tmp_path, monkeypatch):
    monkeypatch.setattr(problems, "NOTES", tmp_path)

    def look(note=None, **options):
        if note is not None:
            (tmp_path / "shop.json").write_text(json.dumps(note))
        result = probe(type="tenants", target="shop", **options)
        return result.status, result.message

    assert look() == ("fail", "nobody has looked at the sign-ups yet")
    assert look(GOOD) == ("ok", "all 3 rows are served")
    assert look({**GOOD, "error": "PostgreSQL is away."}) == (
        "fail",
        "the sign-ups cannot be looked at: PostgreSQL is away.",
    )
    said = "'alpha' is not served since 2026-03-01T12:00:00Z: The domain is refused."
    assert look({**GOOD, "problems": [PROBLEM]}) == ("warn", said)
    assert look({**GOOD, "problems": [PROBLEM] * 3}) == ("warn", f"{said} (2 more)")
    assert "cannot be read" in look([])[1]
    (tmp_path / "shop.json").write_text(json.dumps(GOOD))
    os.utime(tmp_path / "shop.json", (time.time() - 700,) * 2)
    assert look() == ("fail", "nobody has looked at the sign-ups for 12 min")
    assert look(looked_seconds=800)[0] == "ok"
