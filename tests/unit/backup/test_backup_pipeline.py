# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Programs in a row: real ones, ended in every way."""

from __future__ import annotations

import hashlib
import subprocess
import time

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.backup.filters import Zstd
from ansible_collections.slipway.vps.plugins.module_utils.backup.pipeline import Consumer, Pipeline
from ansible_collections.slipway.vps.plugins.module_utils.backup.source import Command
from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError

FORTH = Zstd().forth()
BACK = Zstd().back()


def shell(script):
    return Command(("sh", "-c", script))


def read(source, filters):
    with Pipeline(source, filters) as pipeline:
        data = b"".join(pipeline)
        pipeline.finish()
    return data, pipeline


def test_there_and_back_again_with_sums_of_both_sides():
    plain = b"slipway " * 500_000
    packed, forth = read(Command(("sh", "-c", "yes 'slipway ' | tr -d '\\n' | head -c 4000000")), [FORTH])
    assert (forth.incoming.bytes, forth.incoming.sha256) == (len(plain), hashlib.sha256(plain).hexdigest())
    assert (forth.outgoing.bytes, forth.outgoing.sha256) == (len(packed), hashlib.sha256(packed).hexdigest())
    unpacked, _codes = read([packed[:1000], packed[1000:]], [BACK])
    assert unpacked == plain


def test_what_zstd_makes_public_tools_read():
    packed, _codes = read(shell("echo hello"), [FORTH])
    assert subprocess.run(["zstd", "-dc"], input=packed, stdout=subprocess.PIPE, check=True).stdout == b"hello\n"


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        ("head -c 3000000 /dev/zero; exit 3", "sh ended with status 3"),
        ("head -c 3000000 /dev/zero; kill -9 $$", r"sh was killed \(signal 9\)"),
        ("head -c 3000000 /dev/zero; echo 'sh: error: the server is gone' >&2; exit 1", "the server is gone"),
        ("exit 0", "The stream was empty"),
    ],
)
def test_a_source_that_ends_badly_is_a_failure_although_the_filter_is_well(script, sentence):
    with pytest.raises(SlipwayError, match=sentence):
        read(shell(script), [FORTH])


def test_a_filter_that_dies_is_the_cause_and_not_the_source_that_lost_its_reader():
    with pytest.raises(SlipwayError, match="ended with status 7"):
        read(shell("exec yes"), [shell("head -c 100000; exit 7")])


def test_a_middle_filter_that_dies_is_the_cause():
    with pytest.raises(SlipwayError, match="ended with status 9"):
        read(shell("exec yes | head -c 50000000"), [FORTH, shell("head -c 10 >/dev/null; exit 9"), shell("cat")])


def test_an_error_in_the_stream_comes_out_as_it_is():
    def stream():
        yield b"x" * 100_000
        raise SlipwayError("The object is damaged.")

    with pytest.raises(SlipwayError, match="The object is damaged"):
        read(stream(), [shell("cat")])


@pytest.mark.parametrize("cut", [10, 5_000, -20])
def test_a_short_stream_is_a_failure(cut):
    packed, _codes = read(shell("head -c 100000 /dev/urandom"), [FORTH])
    with pytest.raises(SlipwayError, match="zstd ended with status 1"):
        read([packed[:cut]], [BACK])


def test_a_missing_program_is_named():
    with pytest.raises(SlipwayError, match="The program no-such-program is not installed"):
        read(shell("echo x"), [Command(("no-such-program",))])


def test_leaving_early_ends_the_programs():
    with Pipeline(shell("exec yes"), [shell("exec cat")]) as pipeline:
        next(iter(pipeline))
        children = [child.process for child in pipeline._children]
    assert all(child.poll() is not None for child in children)


def test_a_rate_is_kept():
    started = time.monotonic()
    with Pipeline(shell("head -c 400000 /dev/zero"), [shell("cat")], rate=400_000) as pipeline:
        assert sum(len(chunk) for chunk in pipeline) == 400_000
        pipeline.finish()
    assert 0.8 < time.monotonic() - started < 8


def test_a_consumer_that_stops_says_why():
    with (
        pytest.raises(SlipwayError, match="no more"),
        Consumer(shell("head -c 10; echo 'no more' >&2; exit 4")) as sink,
    ):
        for _attempt in range(100):
            sink.write(b"x" * 1_000_000)


def test_a_consumer_left_by_an_error_never_sees_an_end(tmp_path):
    """psql without its COMMIT: the end of the stream must not look like a finished one."""
    proof = tmp_path / "ended"
    with (
        pytest.raises(SlipwayError, match="broken off"),
        Consumer(shell(f"cat >/dev/null; touch {proof}")) as sink,
    ):
        sink.write(b"BEGIN;")
        raise SlipwayError("broken off")
    time.sleep(0.2)
    assert not proof.exists()
