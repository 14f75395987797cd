# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Mends what certbot keeps of one certificate. Its account and all other certificates are left alone."""

from __future__ import annotations

import shutil

from .lineage import KINDS, Place

# What certbot could not go on with, kept until it happens again.
ASIDE = "slipway-set-aside"


def relink(place: Place, version: int) -> None:
    """Have `live` show a version of the archive again, as certbot does."""
    place.live.mkdir(mode=0o755, parents=True, exist_ok=True)
    for kind in KINDS:
        link = place.live / f".{kind}.pem"
        link.unlink(missing_ok=True)
        link.symlink_to(f"../../archive/{place.name}/{kind}{version}.pem")
        link.replace(place.live / f"{kind}.pem")


def set_aside(place: Place) -> None:
    """Move all of it away: certbot neither mends a damaged certificate nor gives its name to a new one."""
    target = place.config_dir / ASIDE / place.name
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(mode=0o700, parents=True)
    for path in place.all:
        if path.is_symlink() or path.exists():
            shutil.move(path, target / path.parent.name)
