"""The verdict as JUnit XML, which Jenkins, GitLab and others show.

The form is that of Jenkins' xUnit plug-in, junit-10.xsd in
https://github.com/jenkinsci/xunit-plugin.
"""

from __future__ import annotations

from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from collectives.labs.verdict import FAILED, PASSED, Graded, Rung, Verdict

ABOUT = "JUnit XML: Jenkins, GitLab"


def text(verdict: Verdict, leaderboard: bool = False) -> str:
    """The XML text: a suite a task, a case a rung. It has no place for a leaderboard."""
    root = Element("testsuites", name=verdict.title, time=f"{verdict.seconds:.2f}")
    for task in verdict.tasks:
        _suite(root, verdict.lab, task)
    ElementTree.indent(root, " ")
    return ElementTree.tostring(root, "utf-8").decode() + "\n"


def _suite(root: Element, lab: str, task: Graded) -> None:
    outcomes = [rung.outcome for rung in task.rungs]
    skipped = sum(outcome not in (PASSED, FAILED) for outcome in outcomes)
    counts = {"tests": len(outcomes), "failures": outcomes.count(FAILED), "skipped": skipped}
    numbers = {name: str(count) for name, count in counts.items()}
    suite = SubElement(root, "testsuite", {"name": task.name, "errors": "0", **numbers})
    for rung in task.rungs:
        _case(suite, f"lab{lab}.{task.name}", rung)


def _case(suite: Element, title: str, rung: Rung) -> None:
    case = SubElement(suite, "testcase", name=rung.name, classname=title)
    if rung.outcome == FAILED:
        first = rung.words.split("\n")[0]
        SubElement(case, "failure", type=rung.name, message=first).text = rung.words
    elif rung.outcome != PASSED:
        SubElement(case, "skipped", message=rung.outcome)
    else:
        SubElement(case, "system-out").text = rung.said
