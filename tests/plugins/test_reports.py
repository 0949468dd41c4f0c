# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether parsers of others read the reports of the gates: the files are those of internal/gate's own tests."""

from __future__ import annotations

from pathlib import Path

import junitparser
from sarif_pydantic import Sarif

TESTDATA = Path(__file__).parents[2] / "internal" / "gate" / "testdata"


def test_a_junit_parser_reads_findings_as_failures_and_waived_ones_as_skipped():
    suites = list(junitparser.JUnitXml.fromfile(str(TESTDATA / "report.xml")))
    assert len(suites) == 1
    suite = suites[0]
    cases = list(suite)
    results = [type(result) for case in cases for result in case.result]
    assert results.count(junitparser.Failure) == suite.failures == 2
    assert results.count(junitparser.Skipped) == suite.skipped == 1
    assert len(cases) == suite.tests
    assert {case.classname for case in cases} >= {"idempotence.changed", "idempotence.failed", "idempotence.unused_waiver"}


def test_a_model_of_sarif_reads_findings_at_their_lines():
    log = Sarif.model_validate_json((TESTDATA / "report.sarif").read_text())
    assert log.version == "2.1.0"
    run = log.runs[0]
    rules = {rule.id for rule in run.tool.driver.rules}
    assert {result.rule_id for result in run.results} <= rules
    at = [result.locations[0].physical_location for result in run.results]
    assert [place.artifact_location.uri for place in at] == ["playbooks/a,b.yml", ".", "playbooks/a,b.yml"]
    assert 7 in [place.region.start_line for place in at if place.region]
    assert [len(result.suppressions or []) for result in run.results] == [0, 0, 1]
