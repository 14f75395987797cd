# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.slipway.vps.plugins.filter.folder_checksum import folder_checksum


def test_names_and_contents_count(tmp_path: Path) -> None:
    (tmp_path / "assets").mkdir()
    seen = [folder_checksum(str(tmp_path))]
    for name, text in (("index.html", "a"), ("assets/a.js", "a"), ("index.html", "b"), ("index.html", "a")):
        (tmp_path / name).write_text(text)
        seen.append(folder_checksum(str(tmp_path)))
    assert len(set(seen[:4])) == 4 and seen[4] == seen[2]
    (tmp_path / "assets" / "a.js").rename(tmp_path / "b.js")
    assert folder_checksum(str(tmp_path)) not in seen


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AnsibleFilterError, match="There is no folder"):
        folder_checksum(str(tmp_path / "gone"))
