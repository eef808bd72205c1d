"""What a reorganisation's file may say, what it does to units, and that a bad one names its place and reason."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from datetime import date
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chassis.text import fold
from chassis.units import Unit
from services.identity.units import packages, reading
from services.identity.units.changeset import ChangeSet, Ended, Founded, Link, Placed, Refused, render
from services.identity.units.planning import Plan, plan

OLD, DAY = date(2019, 12, 1), date(2025, 7, 1)
HEAD = "format: xaso-units/1\nid: test\ntitle: Thử\neffective_on: 2025-07-01\nlegal_basis: Nghị quyết thử\n"
PROVINCE = "  - {code: 31, name: Thành phố Mới, level: province, kind: thanh_pho}\n"
UNITS = f"units:\n{PROVINCE}  - {{code: 00101, name: Xã Một, level: commune, kind: xa, parent: 31}}\n"


def unit(code: str, level: str, path: str, valid_from: date = OLD, valid_to: date | None = None) -> Unit:
    parent = path.split("/")[-2] if "/" in path else ""
    return Unit(code, f"Đơn vị {code}", level, "xa", parent, path, valid_from, valid_to)


WORLD = [
    unit("30", "province", "30"),
    unit("298", "district", "30/298"),
    *(unit(code, "commune", f"30/298/{code}") for code in ("00101", "00102", "00103")),
    unit("00101-01", "village", "30/298/00101/00101-01"),
    unit("00102-01", "village", "30/298/00102/00102-01"),
    unit("00102-02", "village", "30/298/00102/00102-02"),
]
NEW = (
    Founded(1, "31", "Thành phố Mới", "province", "thanh_pho", ""),
    Founded(2, "00101", "Xã Một", "commune", "xa", "31"),
    Founded(3, "00103", "Xã Ba", "commune", "xa", "31"),
)
WHOLE, HALF = Fraction(1), Fraction(1, 2)
SPLIT = ChangeSet(
    "test",
    "Thử",
    DAY,
    "Nghị quyết thử",
    begins=NEW,
    ends=(Ended(10, "298"),),
    links=(
        Link(11, "30", "31", WHOLE),
        Link(12, "00101", "00101", WHOLE),
        Link(13, "00102", "00101", HALF),
        Link(14, "00102", "00103", HALF),
        Link(15, "00103", "00103", WHOLE),
    ),
    villages=(Placed(16, "00102-01", "00101"), Placed(17, "00102-02", "00103")),
)


LOOP = (Founded(4, "998", "A", "district", "huyen", "999"), Founded(5, "999", "B", "district", "huyen", "998"))


def reasons(made: Plan) -> str:
    return "\n".join(map(str, made.faults))


def test_merges_and_splits_take_their_villages_along() -> None:
    made = plan(SPLIT, WORLD)
    assert made.faults == []
    begun = {u.code: u for u in made.begins}
    assert {c: u.path for c, u in begun.items() if u.level == "village"} == {
        "00101-01": "31/00101/00101-01",
        "00102-01": "31/00101/00102-01",
        "00102-02": "31/00103/00102-02",
    }
    assert {u.valid_from for u in made.begins} == {DAY}
    assert {u.valid_to for u in made.ends} == {DAY}
    assert {u.code for u in made.ends} == {u.code for u in WORLD}
    assert made.counts()["split"] == 1
    assert made.counts()["merged"] == 2
    assert [u.level for u in made.begins] == sorted(
        (u.level for u in made.begins), key=["province", "commune", "village"].index
    )


@pytest.mark.parametrize(
    ("changed", "known", "line", "reason"),
    [
        (replace(SPLIT, villages=SPLIT.villages[:1]), WORLD, 13, "00102-02 Đơn vị 00102-02: left without a parent"),
        (replace(SPLIT, links=SPLIT.links[:-1]), WORLD, 10, "00103 Đơn vị 00103: left without a parent"),
        (
            replace(SPLIT, begins=NEW[1:], links=SPLIT.links[1:], ends=(*SPLIT.ends, Ended(9, "30"))),
            WORLD,
            2,
            "left without a parent: 31 does not stand",
        ),
        (SPLIT, WORLD[1:], 11, "30: there is no unit of this code"),
        (SPLIT, [replace(WORLD[0], valid_to=date(2024, 1, 1)), *WORLD[1:]], 11, "has already ended, on 2024-01-01"),
        (SPLIT, [replace(WORLD[0], valid_to=date(2026, 1, 1)), *WORLD[1:]], 11, "already has a last day"),
        (replace(SPLIT, effective_on=OLD), WORLD, 11, "begins on 2019-12-01, not before the day of the change"),
        (replace(SPLIT, links=SPLIT.links[:3] + SPLIT.links[4:]), WORLD, 17, "00103 is no successor of 00102"),
        (replace(SPLIT, begins=NEW[:2]), WORLD, 14, "successor 00103 is not under 'units'"),
        (SPLIT, [*WORLD, unit("31", "province", "31")], 1, "two units of one code would be valid at once"),
        (SPLIT, [*WORLD, unit("31", "province", "31", date(2026, 1, 1))], 1, "already begins on 2026-01-01"),
        (
            replace(SPLIT, villages=(*SPLIT.villages, Placed(18, "00109-01", "00101"))),
            WORLD,
            18,
            "there is no such village",
        ),
        (
            replace(SPLIT, begins=(*NEW, Founded(4, "00104", "A", "commune", "xa", "00103"))),
            WORLD,
            4,
            "a commune cannot lie in a commune",
        ),
        (replace(SPLIT, begins=(*NEW, *LOOP)), WORLD, 4, "a cycle: 998 > 999 > 998"),
    ],
)
def test_what_cannot_be_is_refused_with_place_and_reason(
    changed: ChangeSet, known: list[Unit], line: int, reason: str
) -> None:
    made = plan(changed, known)
    assert any(fault.line == line and reason in str(fault) for fault in made.faults), reasons(made)


def test_what_people_must_settle_is_named() -> None:
    links = tuple(replace(k, share=None) if k.predecessor == "00102" else k for k in SPLIT.links)
    made = plan(replace(SPLIT, links=links, villages=()), WORLD)
    assert Counter(o.what for o in made.unsettled) == {"village of a split commune": 2, "split without a share": 1}
    assert "goes to one of 00101, 00103" in {o.detail for o in made.unsettled}
    # With the lines on which the shares are to be written.
    parts = [k for k in links if k.predecessor == "00102"]
    [detail] = [o.detail for o in made.unsettled if o.what == "split without a share"]
    assert all(f"(line {k.line})" in detail and f"{k.successor} " in detail for k in parts)
    assert len({k.line for k in parts}) == len(parts) > 1


def test_a_file_says_what_was_written_into_it() -> None:
    named = {"00101": Fraction(1, 3), "00103": Fraction(2, 3)}
    links = tuple(
        replace(k, named=(("households", named[k.successor]),), note='nói "vậy"') if k.predecessor == "00102" else k
        for k in SPLIT.links
    )
    written = replace(SPLIT, links=links)
    read = reading.parse(render(written, ["remark"]))
    assert read.digest == written.digest != SPLIT.digest
    assert [(k.share, k.named, k.note) for k in read.links] == [(k.share, k.named, k.note) for k in links]
    assert (read.title, read.effective_on, read.legal_basis) == ("Thử", DAY, "Nghị quyết thử")


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("", 1, "the file is empty"),
        ("[", 2, "not YAML"),
        ("- a", 1, "must be a row"),
        (HEAD, 1, "changes nothing"),
        (HEAD + UNITS + "wards: []\n", 9, "unknown key 'wards'; allowed: format, id, title"),
        (HEAD.replace("2025-07-01", "mai") + UNITS, 4, "'mai' is not a date; write 2025-07-01"),
        (HEAD.replace("xaso-units/1", "2") + UNITS, 1, "'2' is not allowed; allowed: xaso-units/1"),
        (HEAD.replace("id: test", "id: Đợt 1") + UNITS, 2, "is not an id"),
        (
            HEAD + UNITS.replace("kind: xa", "kind: làng"),
            8,
            "'làng' is not allowed; allowed: xa, phuong, thi_tran, dac_khu",
        ),
        (HEAD + UNITS.replace(", parent: 31", ""), 8, "every other unit has one"),
        (HEAD + UNITS.replace("name: Xã Một", 'name: "Xã\\u0000"'), 8, "control characters"),
        (HEAD + UNITS.replace("name: Xã Một", f"name: {'x' * 81}"), 8, "longer than 80"),
        (HEAD + UNITS.replace("00101", "1"), 8, "'1' is not a code of 2 to 6 digits"),
        (HEAD + UNITS + PROVINCE, 9, "31: stands already on line 7"),
        (HEAD + UNITS + "links:\n  - {from: 00102, to: 00101, share: 1/2}\n", 10, "its shares make 1/2, not 1"),
        (HEAD + UNITS + "links:\n  - {from: 00102, to: 00101, share: 3/2}\n", 10, "'3/2' is not a share"),
        (HEAD + UNITS + "links:\n  - {from: 00102, to: 00101, share: 0}\n", 10, "'0' is not a share"),
        (
            HEAD
            + UNITS
            + "links:\n  - {from: 00102, to: 00101, share: 1/2}\n  - {from: 00102, to: 00103, share: unknown}\n",
            10,
            "1 of its 2 shares are given",
        ),
        (
            HEAD + UNITS + "links:\n  - {from: 00102, to: 00101, share: unknown, named: {households: 1/2}}\n"
            "  - {from: 00102, to: 00103, share: unknown}\n",
            10,
            "the share 'households' is missing",
        ),
        (HEAD + UNITS + "ends:\n  - {code: 00102}\nlinks:\n  - {from: 00102, to: 00101}\n", 10, "has one on line 12"),
        (HEAD + UNITS + "villages:\n  - {village: 00102, to: 00101}\n", 10, "is not a village code"),
        (HEAD + UNITS + "ends: " + "[" * 50, 9, "nested too deeply"),
        (HEAD + UNITS + "units: []\n", 9, "'units' stands twice"),
    ],
)
def test_a_bad_file_is_refused_with_its_line(text: str, line: int, reason: str) -> None:
    with pytest.raises(Refused) as refused:
        reading.parse(text)
    assert any(f.line == line and reason in str(f) for f in refused.value.faults), str(refused.value)


def test_a_decomposed_name_is_composed() -> None:
    read = reading.parse(HEAD + UNITS.replace("Xã Một", "Xa\u0303 Mo\u0323\u0302t"))
    assert read.begins[1].name == "Xã Một"


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_whatever_is_merged_and_split_nothing_is_lost_or_doubled(data: st.DataObject) -> None:
    """For any mapping of communes to new ones, each village stands exactly once after, under a commune that stands."""
    olds = [f"{n:05}" for n in range(data.draw(st.integers(1, 8)))]
    news = [f"{n:05}" for n in range(data.draw(st.integers(1, 5)))]
    world = [unit("30", "province", "30"), unit("298", "district", "30/298")]
    links, placed = [Link(0, "30", "31", WHOLE)], []
    for code in olds:
        world.append(unit(code, "commune", f"30/298/{code}"))
        to = data.draw(st.lists(st.sampled_from(news), min_size=1, max_size=3, unique=True))
        links += [Link(0, code, new, Fraction(1, len(to))) for new in to]
        for number in range(data.draw(st.integers(0, 3))):
            village = f"{code}-{number + 1:02}"
            world.append(unit(village, "village", f"30/298/{code}/{village}"))
            if len(to) > 1:
                placed.append(Placed(0, village, data.draw(st.sampled_from(to))))
    begins = (NEW[0], *(Founded(0, code, f"Xã {code}", "commune", "xa", "31") for code in news))
    change_set = ChangeSet("test", "Thử", DAY, "NQ", (), begins, (Ended(0, "298"),), tuple(links), tuple(placed))
    made = plan(reading.parse(render(change_set)), world)
    assert made.faults == []
    villages = [u.code for u in world if u.level == "village"]
    after = {u.code: u for u in made.begins}
    assert sorted(u.code for u in made.begins if u.level == "village") == sorted(villages)
    for one in made.begins:
        if one.parent:
            assert one.path == f"{after[one.parent].path}/{one.code}"
    shares: Counter[str] = Counter()
    for link in made.links:
        shares[link.predecessor.code] += link.share or 0  # type: ignore[assignment]  # Counter adds fractions as well.
    assert set(shares.values()) == {1}
    assert {u.code for u in made.ends} == {u.code for u in world}
    # Whatever single row is left out, the rest is refused or still gives every village one commune.
    if placed:
        dropped = data.draw(st.sampled_from(placed))
        less = plan(replace(change_set, villages=tuple(p for p in placed if p != dropped)), world)
        assert any(dropped.village in str(fault) for fault in less.faults)


def test_the_country_before_and_after() -> None:
    before, after = packages.founding(None, new=False), packages.founding(None, new=True)
    assert Counter(u.level for u in before.begins) == {"province": 63, "district": 705, "commune": 10_599}
    assert Counter(u.level for u in after.begins) == {"province": 34, "commune": 3_321}
    assert Counter(u.kind for u in after.begins if u.level == "commune") == {"xa": 2621, "phuong": 687, "dac_khu": 13}
    assert all(fold(u.name).startswith(f"{u.kind.replace('_', ' ')} ") for u in (*before.begins, *after.begins))
    loaded = plan(before, [])
    assert loaded.faults == []
    assert plan(after, []).faults == []
    made = plan(packages.reorganisation(None), loaded.begins)
    assert made.faults == []
    counts = made.counts()
    assert [counts[f"{level} ends"] for level in ("province", "district", "commune")] == [63, 705, 10_599]
    assert [counts[f"{level} begins"] for level in ("province", "district", "commune")] == [34, 0, 3_321]
    linked = {link.successor.code for link in made.links}
    assert linked == {u.code for u in made.begins}
    # What no source tells: 7 communes merged in 2023 and 2024.
    assert Counter(o.what for o in made.unsettled)["end without a successor"] == 7


def test_a_second_list_names_the_same_units() -> None:
    """`vietnam-provinces` is made by others, from the draft of the list: its names agree, 114 codes were drafts."""

    def letters(name: str) -> str:
        return re.sub(r"[^a-z0-9]", "", fold(name))

    spec = find_spec("vietnam_provinces")
    assert spec is not None
    assert spec.origin is not None
    listed = json.loads((Path(spec.origin).parent / "data" / "nested-divisions.json").read_text(encoding="utf-8"))
    second = Counter((f"{top['code']:02}", letters(ward["name"])) for top in listed for ward in top["wards"])
    communes = [u for u in packages.after() if u.level == "commune"]
    assert Counter((u.parent, letters(u.name)) for u in communes) == second
    tops = {u.code: letters(u.name) for u in packages.after() if u.level == "province"}
    assert len(listed) == len(tops) == 34
    assert all(
        tops[f"{top['code']:02}"].endswith(letters(re.sub("^(Tỉnh|Tp|Thành phố) ", "", top["name"]))) for top in listed
    )


def test_hai_duong_becomes_part_of_hai_phong_and_tu_ky_six_communes() -> None:
    before = packages.founding(["30"], new=False)
    assert Counter(u.level for u in before.begins) == {"province": 1, "district": 12, "commune": 235}
    assert Counter(u.kind for u in before.begins if u.level == "commune") == {"xa": 178, "phuong": 47, "thi_tran": 10}
    made = plan(packages.reorganisation(["30"]), plan(before, []).begins)
    assert made.faults == []
    into = {link.predecessor.code: link.successor for link in made.links if link.predecessor.level == "province"}
    assert (into["30"].code, into["30"].name) == ("31", "Thành phố Hải Phòng")
    tu_ky = [link for link in made.links if link.predecessor.parent == "298"]
    assert len({link.predecessor.code for link in tu_ky}) == 23
    # Xã Ngọc Sơn had gone to the city of Hải Dương before; the others made six communes.
    names = {link.successor.name for link in tu_ky if link.predecessor.name != "Xã Ngọc Sơn"}
    assert names == {"Xã Tứ Kỳ", "Xã Tân Kỳ", "Xã Đại Sơn", "Xã Chí Minh", "Xã Lạc Phượng", "Xã Nguyên Giáp"}
    by_name = {link.successor.name: link.successor for link in tu_ky}
    assert by_name["Xã Tứ Kỳ"].code == "11074"
    assert by_name["Xã Đại Sơn"].code == "11086"
    split = sorted(link.successor.name for link in tu_ky if link.predecessor.name == "Xã Hưng Đạo")
    assert split == ["Xã Tân Kỳ", "Xã Đại Sơn"]
    assert [link.share for link in tu_ky if link.predecessor.name == "Xã Hưng Đạo"] == [None, None]


def test_a_province_that_is_not_there_is_refused() -> None:
    with pytest.raises(packages.UnknownProvince, match="no province of code 99"):
        packages.reorganisation(["99"])
