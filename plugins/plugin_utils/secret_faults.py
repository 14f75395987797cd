# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is wrong with a secret: it is not there, or it is one of those that a stranger tries first."""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise
from math import log2

from ..module_utils.host.preflight import EMPTY, GUESSABLE, PLACEHOLDER

# Some thousand guesses a second find 40 bits in ten years. Twelve random letters and digits have a few more.
ENOUGH_BITS = 40
# What stands in examples, and what people type when they are asked for something secret. They add nothing. Where one
# begins as another does, the longer one comes first.
_WORDS = re.compile(
    r"""password | passwort | passwd | pass | word | secret | geheim | hunter | letmein | welcome | qwerty | change
    | replace | insert | your | here | this | please | todo | example | sample | dummy | placeholder | default | admin
    | root | user | test | demo | local | staging | production | postgres | redis | database | minio | token | access
    | private | jwt | key | with | and | the | new""",
    re.IGNORECASE | re.VERBOSE,
)
# What example files have in place of a secret, also within a longer value.
_PLACEHOLDER = re.compile(r"(?<![a-z])(?:change|replace)[-_ ]?me(?![a-z])", re.IGNORECASE)
_LOOKALIKES = str.maketrans("013457@$!", "oieastasi")


def faults(secrets: dict[str, object]) -> dict[str, str]:
    """By name, what is wrong with each; nothing of a secret itself."""
    return {name: fault(value) for name, value in secrets.items()}


def fault(value: object) -> str:
    text = "" if value is None else str(value)
    if not text.strip():
        return EMPTY
    if _PLACEHOLDER.search(text):
        return PLACEHOLDER
    return GUESSABLE if bits(_without_runs(_without_words(text))) < ENOUGH_BITS else ""


def bits(text: str) -> float:
    """Shannon's entropy of the characters: no more is known of a value of which only one is seen."""
    return -sum(count * log2(count / len(text)) for count in Counter(text).values())


def _without_words(text: str) -> str:
    kept, at = "", 0
    for word in _WORDS.finditer(text.translate(_LOOKALIKES)):
        kept += text[at : word.start()]
        at = word.end()
    return kept + text[at:]


def _without_runs(text: str) -> str:
    """Of 12345, cba and aaaa, the first two characters are worth something."""
    steps = [ord(after) - ord(before) for before, after in pairwise(text)]
    runs = [abs(step) <= 1 and step == last for last, step in pairwise(steps)]
    return text[:2] + "".join(char for char, run in zip(text[2:], runs, strict=True) if not run)
