# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What others do to passwords never stops somebody with a key."""

from __future__ import annotations

from slipway_access import Ways

# Whoever runs a program on the host can try this, with no right to anything.
GUESS = "for i in 1 2 3 4 5 6; do echo wrong-$i | setpriv --reuid nobody --clear-groups su {user} -c true; done"


def test_failed_passwords_lock_neither_root_nor_the_operator_out(ways: Ways) -> None:
    try:
        for user in ("root", "ops"):
            assert ways.console.run(GUESS.format(user=user)).rc != 0
        # They are counted, so that the test means something.
        assert ways.console.run("faillock --user ops").stdout.count(" V") >= 3
        assert ways.open()
        assert ways.login("id", "-u", user="root").stdout == "0\n"
    finally:
        ways.console.run("faillock --user ops --reset; faillock --user root --reset")


def test_a_password_that_has_expired_stops_no_key(ways: Ways) -> None:
    ways.console.check_output("chage --lastday 2020-01-01 --maxdays 90 ops")
    try:
        assert ways.open()
    finally:
        ways.console.check_output("chage --lastday -1 --maxdays -1 ops")
