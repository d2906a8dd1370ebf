"""The result of rule tests as JUnit's XML, which CI servers show."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.etree.ElementTree import Element, ElementTree, SubElement, indent

from huntbeam.runners.console import printable
from huntbeam.runners.rule_tests import Report
from huntbeam.schemas.errors import UnusableError
from huntbeam.transforms.sigma.plan import RuleError


def write_junit(path: str, report: Report, errors: Sequence[RuleError], *, strict: bool) -> None:
    """A test case a sample, one a rule that cannot run, and one a rule without samples, skipped or failed.

    Raises UnusableError for a file that cannot be written.
    """
    suite = Element("testsuite", name="huntbeam rules test")
    for one in report.tested:
        case = _case(suite, one.fact.file, f"{one.fact.title} ({one.fact.id}): {one.sample.name}", one.seconds)
        if one.failure:
            SubElement(case, "failure", message=printable(one.failure))
    for error in errors:
        case = _case(suite, error.file, error.rule or f"line {error.line}")
        SubElement(case, "error", type=error.error_class, message=printable(f"line {error.line}: {error.reason}"))
    for fact, lacking in report.without:
        case = _case(suite, fact.file, f"{fact.title} ({fact.id})")
        SubElement(case, "failure" if strict else "skipped", message=f"there is no sample: {lacking}")
    for name, element in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(name, str(len(suite.findall(f"testcase/{element}"))))
    suite.set("tests", str(len(suite)))
    suite.set("time", f"{sum(one.seconds for one in report.tested):.3f}")
    suites = Element("testsuites")
    suites.append(suite)
    indent(suites)
    try:
        ElementTree(suites).write(Path(path), encoding="utf-8", xml_declaration=True)
    except OSError as error:
        raise UnusableError(f"--junit {path} cannot be written ({error.strerror}): name a file") from error


def _case(suite: Element, file: str, name: str, seconds: float = 0.0) -> Element:
    """Names come from rule files: what XML cannot hold is replaced, the rest escaped by the library."""
    return SubElement(suite, "testcase", classname=printable(file), name=printable(name), time=f"{seconds:.3f}")
