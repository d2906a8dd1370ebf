"""Rules that change while a job runs on Flink: alerts follow within a minute; a broken version changes nothing."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest
import yaml

from huntbeam.runners.stack.stack import Stack
from huntbeam.transforms.sigma.cache import compiled
from huntbeam.transforms.sigma.in_force import REFUSED, RELOADED
from tests.e2e.jobs import SHORT, Feeder, Job, eventually, streaming
from tests.events import CREATE, CREATE_DATA, line, wlb8
from tests.transforms.sigma.rules import PROCESS, rule

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

MINUTE = 60.0
_numbers = count()


def shell(text: str) -> dict[str, object]:
    return rule({"CommandLine|contains": text}, PROCESS, title=f"Finds {text}")


def write(path: Path, one: object) -> None:
    path.write_text(yaml.safe_dump(one))


def fires(job: Job, feeder: Feeder, title: str, ruleset: str) -> bool:
    """Sends another event, to each partition; whether a rule has fired by now, of this version of the rules."""
    feeder.send(
        line(CREATE._replace(data=CREATE_DATA | {"CommandLine": f"{next(_numbers)} one two three"}), wlb8)
        for _ in range(3)
    )
    return any((row["rule_title"], row["ruleset"]) == (title, ruleset) for row in job.rows("alerts"))


@pytest.mark.full
def test_rules_that_change_are_taken_up_by_the_running_job(stack: Stack, tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    rules.mkdir()
    write(rules / "a.yml", shell("one"))
    with streaming(stack.addresses(), *SHORT, "--rules", str(rules)) as (job, feeder):

        def follows(title: str, patience: float) -> str:
            ruleset = compiled([rules]).digest
            eventually(lambda: fires(job, feeder, title, ruleset), patience)
            return ruleset

        follows("Finds one", 240.0)
        write(rules / "b.yml", shell("two"))
        follows("Finds two", MINUTE)
        write(rules / "a.yml", shell("three"))
        good = follows("Finds three", MINUTE)

        (rules / "b.yml").write_text("title: [half a rule")
        eventually(lambda: job.rest.counters(job.jid).get(REFUSED, 0) > 0 or fires(job, feeder, "no rule", good))
        before = len(job.uids("alerts"))
        assert fires(job, feeder, "Finds two", good)
        eventually(lambda: len(job.uids("alerts")) >= before + 6)  # both rules, three events
        assert {row["ruleset"] for row in job.rows("alerts")} >= {good}
        said = "".join(path.read_text(errors="replace") for path in stack.home.rglob("*.log"))
        assert f"the rules ({good[:8]}) stay as they are: {rules / 'b.yml'}:1:" in said
        assert job.rest.counters(job.jid)[RELOADED] >= 2

        write(rules / "b.yml", shell("one two three"))
        follows("Finds one two three", MINUTE)
