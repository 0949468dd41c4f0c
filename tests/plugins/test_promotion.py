# SPDX-License-Identifier: GPL-3.0-or-later

"""The schema of promotion policies, held to what the binary reads: both take the same files and refuse the same ones."""

from __future__ import annotations

import copy
import json
import lzma
import os
import re
import subprocess

import jsonschema
import pytest
import yaml
from conftest import PLATFORM, ROOT

SCHEMA = json.loads((ROOT / "docs/schema/promotion.schema.json").read_text(encoding="utf-8"))
SHIPPED = yaml.safe_load((ROOT / "promotion/policy.yml").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def ask(tmp_path_factory):
    """Return what asks the binary about a policy; it says what is wrong with it."""
    directory = tmp_path_factory.mktemp("promotion")
    kit = directory / "kit"
    kit.write_bytes(lzma.decompress((ROOT / "plugins/bin" / ("controller_%s.xz" % PLATFORM)).read_bytes()))
    kit.chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "XDG_"))}
    environment.update(HOME=str(directory), XDG_STATE_HOME=str(directory / "state"))
    subprocess.run(["git", "init", "-q", str(directory / "r")], check=True, env=environment)
    for message in ("one", "two"):
        (directory / "r" / "file").write_text(message, encoding="utf-8")
        subprocess.run(["git", "-C", str(directory / "r"), "add", "."], check=True, env=environment)
        subprocess.run(
            ["git", "-C", str(directory / "r"), "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", message], check=True, env=environment)
    (directory / "boundary.yml").write_text("production: {addresses: [192.0.2.1]}\nsandbox: {addresses: [127.0.0.1]}\n", encoding="utf-8")

    def asked(document):
        policy = directory / "policy.yml"
        policy.write_text(document if isinstance(document, str) else yaml.safe_dump(document, width=5000), encoding="utf-8")
        call = {"_kit_call": "promotion_gate", "repository": "r", "path": str(directory / "r"), "base": "HEAD^", "policy": str(policy),
                "ledger": str(directory / "ledger.jsonl"), "boundary": str(directory / "boundary.yml"), "report": str(directory / "report.json")}
        done = subprocess.run([kit, "-"], input=json.dumps(call), capture_output=True, text=True, check=False, env=environment)
        found = json.loads(done.stdout)["findings"]
        return [finding["message"] for finding in found if finding["rule"] == "policy" and "promotion policy: " in finding["message"]]

    return asked


def satisfies(document):
    return jsonschema.Draft202012Validator(SCHEMA).is_valid(document)


def policy(member=None, kind=None, fidelity=None, repository=None, **more):
    """A policy with one repository and one class; a value of None takes a key away."""
    def mixed(base, changes):
        return {key: value for key, value in dict(copy.deepcopy(base), **(changes or {})).items() if value is not None}
    one = mixed({"class": "a", "paths": ["x"]}, member)
    whole = mixed(
        {"gates": ["idempotence_gate"], "max_age": "1h", "fidelity": mixed({"modes": ["vm"], "distributions": "any"}, fidelity)}, kind)
    return dict({"repositories": {"r": mixed({"classes": [one]}, repository)}, "classes": {"a": whole}}, **more)


def patterns(*texts):
    return policy({"paths": list(texts)})


GOOD = {
    "the least": policy(),
    "all of it": policy(
        {"optional_paths": ["y"], "excludes": ["z"]}, {"drills": ["drill_x", {"drill": "drill_y", "report": {"k": "v"}}]},
        {"drivers": ["docker"], "deviations": "any", "waivers": ["a*"]}, {"related_repositories": ["other"]}, signed=True),
    "a report that has to say something": policy(kind={"gates": [{"gate": "idempotence_gate", "report": {"subject": "site.yml"}}]}),
    "a drill alone": policy(kind={"gates": None, "drills": ["drill_x_1"]}),
    "exempt": policy(kind={"gates": None, "max_age": None, "fidelity": None, "exempt": "Pages"}),
    "optional paths alone": policy({"paths": None, "optional_paths": ["x"]}),
    "patterns of every kind": patterns("x", "/x", "x/", "a/b", "a/**/b", "**/x", "x/**", "**", "*.yml", "?x*", "ü x", ".gitea/", "a.b/..c", "...", "/**/x/"),
}

BAD = {
    "a key that is not there": policy(colour="red"),
    "a key of a repository that is not there": policy(repository={"colour": "red"}),
    "a key of a member that is not there": policy({"colour": "red"}),
    "a key of a class that is not there": policy(kind={"colour": "red"}),
    "a key of fidelity that is not there": policy(fidelity={"colour": "red"}),
    "a key of a gate that is not there": policy(kind={"gates": [{"gate": "idempotence_gate", "colour": "red"}]}),
    "signed by a word": policy(signed="yes"),
    "no repositories": {"classes": policy()["classes"]},
    "no classes": {"repositories": policy()["repositories"]},
    "repositories that are none": policy(repositories={}),
    "a name with a slash": policy(repositories={"r/s": policy()["repositories"]["r"]}),
    "a repository without classes": policy(repository={"classes": []}),
    "a member without a class": policy({"class": None}),
    "a member without paths": policy({"paths": None}),
    "a member with no paths": policy({"paths": []}),
    "a gate that is not known": policy(kind={"gates": ["smoke_gate"]}),
    "the promotion gate": policy(kind={"gates": ["promotion_gate"]}),
    "a gate twice": policy(kind={"gates": ["idempotence_gate", "idempotence_gate"]}),
    "a drill that is a gate": policy(kind={"drills": ["idempotence_gate"]}),
    "a drill in capitals": policy(kind={"drills": ["drill_X"]}),
    "no gates and no drills": policy(kind={"gates": None}),
    "no gates": policy(kind={"gates": []}),
    "no age": policy(kind={"max_age": None}),
    "an age in days": policy(kind={"max_age": "3d"}),
    "an age that is a number": policy(kind={"max_age": 3}),
    "no fidelity": policy(kind={"fidelity": None}),
    "no modes": policy(fidelity={"modes": None}),
    "no distributions": policy(fidelity={"distributions": None}),
    "modes that are a word": policy(fidelity={"modes": "vm"}),
    "a mode that is a number": policy(fidelity={"modes": [1]}),
    "nothing, and a gate": policy(kind={"exempt": "Pages"}),
    "nothing, without a reason": policy(kind={"gates": None, "max_age": None, "fidelity": None, "exempt": " "}),
    "related repositories that are numbers": policy(repository={"related_repositories": [1]}),
    "a list": ["a"],
    **{"the pattern %r" % text: patterns(text) for text in (
        "", "/", "//", "!x", "[x]", "a\\b", " x", "x ", "a//b", ".", "..", "a/../b", "./a", "a/.", "a**", "**a", "a/b**/c", "a\tb", "x" * 1025)},
}


def test_the_schema_is_one():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_the_shipped_policy_satisfies_it():
    jsonschema.validate(SHIPPED, SCHEMA)


def test_the_example_in_the_documentation_satisfies_it(ask):
    text = (ROOT / "docs/promotion.md").read_text(encoding="utf-8")
    example = re.search(r"```yaml\n(repositories:.*?)```", text, re.DOTALL).group(1)
    jsonschema.validate(yaml.safe_load(example), SCHEMA)
    assert ask(example) == []


@pytest.mark.parametrize("what", GOOD)
def test_a_good_policy_satisfies_it_and_is_read(what, ask):
    jsonschema.validate(GOOD[what], SCHEMA)
    assert ask(GOOD[what]) == []


@pytest.mark.parametrize("what", BAD)
def test_a_bad_policy_does_not_satisfy_it_and_is_not_read(what, ask):
    assert not satisfies(BAD[what])
    assert ask(BAD[what])
