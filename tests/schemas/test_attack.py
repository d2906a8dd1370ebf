"""The ATT&CK table."""

from __future__ import annotations

import re

from huntbeam.schemas.attack import OTHER, TACTICS, technique, technique_id, techniques


def test_every_technique_has_a_name_and_tactics_in_their_order() -> None:
    order = list(TACTICS.values())
    assert len(techniques()) > 190
    for identifier, (name, tactics) in techniques().items():
        assert re.fullmatch(r"T1\d{3}", identifier)
        assert name
        assert tactics
        places = [order.index(tactic) for tactic in tactics]
        assert places == sorted(set(places)), identifier
    assert {tactic for _, tactics in techniques().values() for tactic in tactics} == set(order)


def test_what_is_not_in_the_table_is_shown_by_its_id() -> None:
    assert technique("T9999") == ("T9999", (OTHER,))
    assert technique("T1021.002").name == "Remote Services"
    assert technique_id("attack.t1021.002") == "T1021.002"
    assert technique_id("attack.lateral_movement") is None
