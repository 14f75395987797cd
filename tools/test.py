# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the tests: all stages, or those whose name begins with one of the given words.

. .cache/env && python tools/test.py --list
. .cache/env && python tools/test.py ruff mypy "molecule default"
"""

from __future__ import annotations

import argparse
import sys

from runner import Runner, stop_on_terminate
from stages import AT_ONCE, LOGS, all_stages


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="beginnings of the names of the stages to run; default: all")
    parser.add_argument("--exact", action="store_true", help="the names are whole names")
    parser.add_argument("--list", action="store_true", help="list the stages and end")
    parser.add_argument("--fail-fast", action="store_true", help="stop after the first stage that fails")
    options = parser.parse_args()
    stages = all_stages()
    for wanted in options.names:
        if not any(stage.name == wanted or (not options.exact and stage.name.startswith(wanted)) for stage in stages):
            parser.error(f"there is no stage {wanted!r}; the stages are: {', '.join(stage.name for stage in stages)}")
    if options.names:
        fits = (
            (lambda name: name in options.names)
            if options.exact
            else (lambda name: name.startswith(tuple(options.names)))
        )
        stages = [stage for stage in stages if fits(stage.name)]
    if options.list:
        print("\n".join(stage.name for stage in stages))
        return 0
    stop_on_terminate()
    return Runner(LOGS, at_once=AT_ONCE, fail_fast=options.fail_fast).run(stages)


if __name__ == "__main__":
    sys.exit(main())
