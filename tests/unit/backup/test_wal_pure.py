# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Segments, timelines, the plan of a restore and the retention of the log: what needs no server."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.slipway.vps.plugins.module_utils.backup.wal import cluster, prune, receiver
from ansible_collections.slipway.vps.plugins.module_utils.backup.wal.base import BaseBackup
from ansible_collections.slipway.vps.plugins.module_utils.backup.wal.chain import Chain
from ansible_collections.slipway.vps.plugins.module_utils.backup.wal.options import WalOptions
from ansible_collections.slipway.vps.plugins.module_utils.backup.wal.plan import Holdings, Target, choose, plan
from ansible_collections.slipway.vps.plugins.module_utils.backup.wal.restore import Request
from ansible_collections.slipway.vps.plugins.module_utils.backup.wal.segments import (
    HEADER,
    Descent,
    Segment,
    fault,
    format_lsn,
    parse_lsn,
)
from ansible_collections.slipway.vps.plugins.module_utils.backup.wal.spool import Spool
from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError

SIZE = 16 * 1024 * 1024
SIZES = st.sampled_from([2**power for power in range(20, 31)])
LSN = st.integers(0, 2**64 - 1)
START = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
NOW = START + timedelta(days=30)
SYSTEM = "7710591867640422424"
HISTORY = "1\t0/5000100\tno recovery target specified\n\n2\t0/9000000\tbefore 2026-03-01\n"


@given(LSN)
def test_a_position_survives_being_written(lsn):
    assert parse_lsn(format_lsn(lsn)) == lsn


@given(LSN, st.integers(1, 2**32 - 1), SIZES)
def test_a_segment_survives_being_named_and_holds_its_position(lsn, timeline, size):
    segment = Segment.at(timeline, lsn, size)
    assert Segment.parse(segment.name, size) == segment
    assert segment.start <= lsn < segment.end


def test_names_are_those_of_the_server():
    assert Segment.at(1, parse_lsn("0/19434D0"), SIZE).name == "000000010000000000000001"
    assert Segment.at(3, parse_lsn("2/FF000028"), SIZE).name == "0000000300000002000000FF"
    assert Segment.at(1, parse_lsn("1/0"), SIZE).name == "000000010000000100000000"
    assert Segment.parse("000000010000000000000100", SIZE) is None
    assert Segment.parse("000000010000000000000001.partial", SIZE) is None
    with pytest.raises(SlipwayError, match="is not a position"):
        parse_lsn("nonsense")


def test_a_header_tells_a_foreign_segment():
    segment = Segment(2, 5, SIZE)

    def head(timeline=2, address=segment.start, system=int(SYSTEM), magic=0xD110):
        return HEADER.pack(magic, 2, timeline, address, 0, system, SIZE, 8192)

    assert fault(head(), segment, SYSTEM) == ""
    assert fault(head(timeline=1), segment, SYSTEM) == "", "copied from the parent timeline"
    assert "timeline 3" in fault(head(timeline=3), segment, SYSTEM)
    assert "0/6000000" in fault(head(address=6 * SIZE), segment, SYSTEM)
    assert "system 7" in fault(head(system=7), segment, SYSTEM)
    assert fault(bytes(HEADER.size), segment, SYSTEM) == "it is empty"
    assert fault(b"short", segment, SYSTEM) == "it is too short"


def test_a_line_of_descent_knows_which_timeline_holds_what():
    descent = Descent(3, HISTORY)
    names = [descent.segment(number, SIZE).name[:8] for number in (4, 5, 8, 9, 10)]
    assert names == ["00000001", "00000002", "00000002", "00000003", "00000003"]
    assert descent.holds(1, parse_lsn("0/5000100")) and not descent.holds(1, parse_lsn("0/5000101"))
    assert descent.holds(3, parse_lsn("F/0")) and not descent.holds(4, 0)
    with pytest.raises(SlipwayError, match="not in order"):
        Descent(2, HISTORY)


def base(first=4, last=5, hours=0, **more):
    facts = {
        "id": f"base-{first}",
        "system": SYSTEM,
        "timeline": 1,
        "segment_bytes": SIZE,
        "start": first * SIZE + 40,
        "stop": last * SIZE + 200,
        "stopped": START + timedelta(hours=hours),
        "bytes": 1000,
    }
    return BaseBackup(**{**facts, **more})


def holdings(numbers, partial=None, histories=None, covered=10_000, late=()):
    """Segments that were finished a minute after one another, from the end of the base backup on."""

    def finished(name):
        return START + timedelta(seconds=60 * (Segment.parse(name, SIZE).number - 5))

    return Holdings(
        segments={Segment(1, number, SIZE).name for number in numbers} | set(late),
        partials={Segment(1, partial, SIZE).name} if partial is not None else set(),
        histories=histories or {},
        covered=START + timedelta(seconds=covered),
        finished=finished,
    )


def numbers(found):
    return [segment.number for segment in found.segments]


def test_the_newest_moment_takes_all_of_it_with_the_unfinished_one():
    found = plan(base(), holdings(range(2, 9), partial=9), Target(), NOW)
    assert numbers(found) == [4, 5, 6, 7, 8] and found.partial.number == 9
    assert found.bytes == 1000 + 6 * SIZE


def test_a_moment_takes_the_log_until_past_it_and_no_more():
    # 7 ends 120 s after the base backup, 8 after 180 s.
    found = plan(base(), holdings(range(4, 20), partial=20), Target(START + timedelta(seconds=130)), NOW)
    assert numbers(found) == [4, 5, 6, 7, 8] and found.partial is None
    # A gap after that does not matter.
    found = plan(base(), holdings([4, 5, 6, 7, 8, 12]), Target(START + timedelta(seconds=130)), NOW)
    assert numbers(found) == [4, 5, 6, 7, 8]


@pytest.mark.parametrize(
    ("have", "target", "words"),
    [
        (holdings([4, 5, 7]), Target(), "000000010000000000000006 is missing in the bucket, though later ones"),
        (holdings([4]), Target(), "segment 000000010000000000000005 of its log is missing"),
        (holdings([]), Target(), "segment 000000010000000000000004 of its log is missing"),
        (holdings([4, 5, 6], covered=90), Target(START + timedelta(seconds=100)), "does not reach"),
        (holdings([4, 5]), Target(NOW + timedelta(1)), "in the future"),
        (holdings([4, 5]), Target(timeline=7), "history of timeline 7 is not in the bucket"),
        (holdings([4, 5], histories={2: "1\t0/4000100\tx\n"}), Target(), "not in the past of timeline 2"),
    ],
)
def test_what_would_fail_half_way_is_refused(have, target, words):
    with pytest.raises(SlipwayError, match=words):
        plan(base(), have, target, NOW)


def test_a_switch_of_timelines_is_followed():
    late = [Segment(2, number, SIZE).name for number in (7, 8)]
    have = holdings([4, 5, 6, 7], histories={2: "1\t0/7000100\tx\n"}, late=late)
    found = plan(base(), have, Target(), NOW)
    assert [one.name for one in found.segments][-2:] == late and found.timeline == 2
    # The abandoned end of the old timeline is asked for by name.
    assert plan(base(), have, Target(timeline=1), NOW).segments[-1].name == Segment(1, 7, SIZE).name


@given(
    st.sets(st.integers(0, 30)),
    st.one_of(st.none(), st.integers(0, 30)),
    st.one_of(st.none(), st.integers(1, 2000)),
    st.integers(0, 2000),
)
def test_a_plan_is_whole_or_refused(have, partial, seconds, covered):
    target = Target(START + timedelta(seconds=seconds) if seconds else None)
    try:
        found = plan(base(), holdings(have, partial=partial, covered=covered), target, NOW)
    except SlipwayError:
        return
    chain = numbers(found)
    assert chain == list(range(4, 4 + len(chain))) and set(chain) <= have
    after = 4 + len(chain)
    assert max([*chain, found.partial.number if found.partial else 0]) >= 5, "the base backup is not consistent"
    if found.partial:
        assert found.partial.number == after
    if seconds is None:
        assert not [number for number in have if number > after], "data after a gap would be lost in silence"
    else:
        # All that could hold a commit until then is there, or nothing more was committed.
        assert (chain and START + timedelta(seconds=60 * (chain[-1] - 5)) > target.time) or covered >= seconds


def test_the_base_backup_is_the_newest_that_was_finished_by_then():
    bases = [base(4, 5, 0), base(10, 11, 24), base(20, 21, 48, complete=False)]
    assert choose(bases, Target(), "shop").first == 10
    assert choose(bases, Target(START + timedelta(hours=23)), "shop").first == 4
    assert choose(bases, Target(base="base-4"), "shop").first == 4
    for target, words in [
        (Target(START - timedelta(seconds=1)), "before the end of the oldest"),
        (Target(base="other"), "no base backup 'other'"),
        (Target(base="base-20"), "is complete"),
    ]:
        with pytest.raises(SlipwayError, match=words):
            choose(bases, target, "shop")
    with pytest.raises(SlipwayError, match="slipway wal base shop"):
        choose([], Target(), "shop")


def test_the_base_backup_of_a_new_empty_server_is_not_taken_for_that_of_the_lost_one():
    lost, fresh = base(10, 11, 24), base(3, 4, 48, system="new")
    with pytest.raises(SlipwayError, match="2 different database servers") as caught:
        choose([lost, fresh], Target(), "shop")
    assert "base-10" in str(caught.value) and "base-3" in str(caught.value)
    assert choose([lost, fresh], Target(base="base-10"), "shop") is lost
    assert choose([lost, fresh], Target(START + timedelta(hours=47)), "shop") is lost


@given(st.lists(st.integers(0, 40), max_size=5), st.sets(st.integers(0, 40)), st.booleans())
def test_no_segment_goes_that_a_kept_base_backup_needs(firsts, have, is_current):
    names = {Segment(1, number, SIZE).name: number for number in have}
    bases = [base(first, first + 1) for first in firsts]
    gone = prune.plan(list(names), bases, SYSTEM, SYSTEM if is_current else "other")
    assert {names[name] for name in gone} == {number for number in have if number < min(firsts, default=0)}


def test_the_log_of_another_system_goes_with_its_last_base_backup_only():
    names = [Segment(1, 1, SIZE).name]
    assert prune.plan(names, [base()], "old", SYSTEM) == names
    assert prune.plan(names, [base()], "new", "new") == []
    assert prune.plan(names, [], "old", SYSTEM) == []


def test_the_chain_begins_anew_after_a_gap(tmp_path):
    chain = Chain(tmp_path)
    assert not chain.add("a", Segment(1, 4, SIZE)) and not chain.add("a", Segment(1, 5, SIZE))
    assert chain.first("a") == 4 and chain.shipped("a", Segment(1, 5, SIZE))
    assert chain.add("a", Segment(1, 7, SIZE))
    again = Chain(tmp_path)
    assert again.first("a") == 7 and not again.shipped("a", Segment(1, 8, SIZE)) and again.first("b") is None
    again.cut("a")
    assert again.first("a") is None and again.shipped("a", Segment(1, 7, SIZE))
    assert not again.add("a", Segment(1, 8, SIZE)) and again.first("a") == 8
    (tmp_path / "shipped.json").write_text("{")
    assert Chain(tmp_path).first("a") is None


def test_the_spool_tells_lines_and_files_apart(tmp_path):
    for name in (f"{SYSTEM}-00000002", f"{SYSTEM}-00000001", f"{SYSTEM}-00000002.1", "other"):
        (tmp_path / name).mkdir()
    names = [line.name for line in Spool(tmp_path).lines()]
    assert names == [f"{SYSTEM}-00000001", f"{SYSTEM}-00000002.1", f"{SYSTEM}-00000002"]
    line = Spool(tmp_path).line(f"{SYSTEM}-00000002")
    for name in (
        "000000020000000000000006",
        "000000020000000000000005",
        "000000020000000000000007.partial",
        "passfile",
    ):
        (line.path / name).write_bytes(b"1234")
    (line.path / "00000002.history").write_text(HISTORY)
    assert [one.number for one in line.segments(SIZE)] == [5, 6]
    assert line.partial(SIZE).number == 7 and [path.name for path in line.histories()] == ["00000002.history"]
    line.set_aside()
    assert not line.path.exists() and (tmp_path / f"{SYSTEM}-00000002.2").is_dir()
    assert Spool(tmp_path / "missing").lines() == []


def test_the_data_directory_is_found_inside_its_mount():
    attributes = {
        "Image": "sha256:1",
        "Config": {"Env": ["PGDATA=/var/lib/postgresql/data/pg", "X=1"], "Volumes": {"/var/lib/postgresql/data": {}}},
        "Mounts": [
            {"Destination": "/var/lib/postgresql", "Source": "/outer"},
            {"Destination": "/var/lib/postgresql/data", "Source": "/inner"},
        ],
    }
    assert cluster.locate("db", attributes).path == Path("/inner/pg")
    with pytest.raises(SlipwayError, match="are in no volume"):
        cluster.locate("db", {**attributes, "Mounts": []})


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ('FATAL:  no pg_hba.conf entry for replication connection from host "127.0.0.1"', "host replication shop 127"),
        ("FATAL:  must be superuser or replication role to start walsender", "ALTER ROLE shop REPLICATION"),
        ("FATAL:  number of requested standby connections exceeds max_wal_senders (10)", "Raise max_wal_senders"),
        ('FATAL:  password authentication failed for user "shop"', "Correct the password"),
        ("error: something else", "something else"),
        ("", "it gave no reason"),
    ],
)
def test_the_last_words_of_a_receiver_become_a_sentence(said, words):
    assert words in str(receiver.explain(said, "shop"))


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"time": "yesterday"}, "is not a time with its offset"),
        ({"time": "2026-03-01T12:00:00"}, "is not a time with its offset"),
        ({"target": "elsewhere"}, "restore target"),
        ({"tables": ["public.orders"]}, "the whole server"),
    ],
)
def test_a_request_that_cannot_be_meant_is_refused(asked, words):
    with pytest.raises(SlipwayError, match=words):
        Request.from_dict(asked)


def test_a_request_may_name_its_moment_in_utc():
    assert Request.from_dict({"time": "2026-03-01T12:00:00Z", "id": "latest"}).wanted() == Target(START)
    assert Request.from_dict({}).wanted() == Target()


@pytest.mark.parametrize(
    "settings", [{"slot": "Bad-Slot"}, {"ship_seconds": 0.1}, {"spool_bytes": 1}, {"keep_bytes": 1}]
)
def test_settings_that_would_not_work_are_refused(settings):
    with pytest.raises(SlipwayError):
        WalOptions.from_dict(settings)


def test_files_of_another_major_version_are_refused():
    place = cluster.Location("shop-data-postgres-1", "sha256:1", "/data", Path("/srv"), (), "17")
    with pytest.raises(SlipwayError, match=r"is of PostgreSQL 15\.18, the image of .* is PostgreSQL 17"):
        cluster.refuse_other_major(place, "15.18")
    cluster.refuse_other_major(place, "17.2 (Debian 17.2-1)")
    cluster.refuse_other_major(replace(place, major=""), "15.18")
