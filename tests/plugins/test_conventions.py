# SPDX-License-Identifier: GPL-3.0-or-later

"""The schema of conventions files, held to what the binary reads: both take the same files and refuse the same ones."""

from __future__ import annotations

import copy
import json
import re
import subprocess

import jsonschema
import pytest
import yaml
from conftest import PLATFORM, ROOT

SCHEMA = json.loads((ROOT / "docs/schema/conventions.schema.json").read_text(encoding="utf-8"))
SHIPPED = yaml.safe_load((ROOT / "internal/naming/systems.yml").read_text(encoding="utf-8"))
KIT = ROOT / "plugins" / "modules" / ("__target_" + PLATFORM)


def satisfies(document, definition=None):
    schema = dict(SCHEMA) if definition is None else {"$schema": SCHEMA["$schema"], "$ref": "#/$defs/" + definition, "$defs": SCHEMA["$defs"]}
    return jsonschema.Draft202012Validator(schema).is_valid(document)


def binary_reads(document, directory):
    path = directory / "conventions.yml"
    path.write_text(document if isinstance(document, str) else yaml.safe_dump(document), encoding="utf-8")
    call = {"_kit_call": "app_env_name", "app": "erp", "env": "sandbox", "conventions": str(path)}
    done = subprocess.run([KIT, "-"], input=json.dumps(call), capture_output=True, text=True, check=False)
    result = json.loads(done.stdout)
    return not result.get("failed"), result.get("msg", "")


def test_the_schema_is_one():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_the_shipped_table_satisfies_it():
    jsonschema.Draft202012Validator({"$ref": "#/$defs/table", "$defs": SCHEMA["$defs"]}).validate(SHIPPED)


def test_the_example_in_the_documentation_satisfies_it(tmp_path):
    text = (ROOT / "docs/naming.md").read_text(encoding="utf-8")
    example = re.search(r"```yaml\n(base: .*?)```", text, re.DOTALL).group(1)
    jsonschema.validate(yaml.safe_load(example), SCHEMA)
    assert binary_reads(example, tmp_path) == (True, "")


ROW = {"prod": "x-<app>", "other": "x-<app>--<env>", "allows": "bucket"}
RULE = {"says": "a bucket", "max_bytes": 63, "chars": "a-z0-9-", "first": "a-z0-9", "last": "a-z0-9"}


def file(row=None, rule=None, **more):
    """A conventions file with one system of its own; a value of None takes a key away."""
    def mixed(base, changes):
        return {key: value for key, value in dict(copy.deepcopy(base), **(changes or {})).items() if value is not None}
    return dict({"add": {"bucket": mixed(ROW, row)}, "rules": {"bucket": mixed(RULE, rule)}}, **more)


GOOD = {
    "a system and its rule": file(),
    "the same on an empty table": file(base="none"),
    "a system that changes one pattern": {"systems": {"dns": {"prod": "<app>.example.org", "other": "<app>-<env>.example.org"}}},
    "a system that is removed": {"remove": ["gitea_repository"]},
    "words that are reserved": {"reserved": {"apps": ["intranet"], "envs": ["live"]}},
    "a name of the app, the same in every env": file({"scope": "app", "other": None}),
    "a name within what is the app's": file({"scope": "within_app", "prod": "x", "other": "x-<env>"}),
    "parts": file({"prod": "x/<app>", "other": "x/<app>-<env>"}, {"split": "/", "parts": 2, "part_max_bytes": 20}),
    "a shared space": file({"space": "buckets", "what": "Bucket"}),
    "reserved names": file(rule={"reserved": ["x-root"], "reserved_prefixes": ["kube-"]}),
}

BAD = {
    "a key that is not there": file(colour="red"),
    "a base that is not there": file(base="production"),
    "a key of a system that is not there": file({"colour": "red"}),
    "a key of a rule that is not there": file(rule={"colour": "red"}),
    "a key of the reserved words that is not there": {"reserved": {"words": []}},
    "a system without a name in production": file({"prod": None}),
    "a system without a name elsewhere": file({"other": None}),
    "a system without a rule": file({"allows": None}),
    "a production pattern with the env": file({"prod": "x-<app>-<env>"}),
    "a production pattern without the app": file({"prod": "x"}),
    "a pattern of another env without the env": file({"other": "x-<app>"}),
    "a pattern of another env without the app": file({"other": "x-<env>"}),
    "a change without the env": {"systems": {"dns": {"other": "<app>.example.org"}}},
    "placeholders without a joint": file({"other": "x-<app><env>"}),
    "a placeholder that is none": file({"prod": "x-<application>"}),
    "a bracket that is open": file({"prod": "x-<app"}),
    "an empty pattern": file({"prod": ""}),
    "a scope that is none": file({"scope": "everyone"}),
    "a name of the app that differs elsewhere": file({"scope": "app"}),
    "a system with a name that is no identifier": {"add": {"My-Bucket": dict(ROW, allows="dns_name")}},
    "a system that is empty": {"systems": {"dns": None}},
    "a rule that does not say what it is": file(rule={"says": None}),
    "a rule without a length": file(rule={"max_bytes": None}),
    "a rule with a length of zero": file(rule={"max_bytes": 0}),
    "a rule with a length beyond all": file(rule={"max_bytes": 5000}),
    "a rule without characters": file(rule={"chars": None}),
    "a rule with brackets among its characters": file(rule={"chars": "[a-z]"}),
    "a rule with a blank among its characters": file(rule={"chars": "a-z "}),
    "a rule with parts and no separator": file(rule={"parts": 2}),
    "a separator of two characters": file(rule={"split": "//"}),
    "parts that are fewer than none": file(rule={"split": "/", "parts": -1}),
    "a number that is a word": file(rule={"max_bytes": "many"}),
    "production as a reserved env": {"reserved": {"envs": ["prod"]}},
    "systems as a list": {"systems": ["dns"]},
    "a list": ["dns"],
}


def test_the_good_files_have_every_key_of_the_schema():
    text = json.dumps(list(GOOD.values()))
    systems, rules = SCHEMA["$defs"]["system"], SCHEMA["$defs"]["rules"]["additionalProperties"]
    for properties in (SCHEMA["properties"], systems["properties"], rules["properties"], SCHEMA["$defs"]["reserved"]["properties"]):
        for key in properties:
            assert '"%s":' % key in text, key


@pytest.mark.parametrize("what", GOOD)
def test_a_good_file_satisfies_it_and_is_read(what, tmp_path):
    jsonschema.validate(GOOD[what], SCHEMA)
    assert binary_reads(GOOD[what], tmp_path) == (True, "")


@pytest.mark.parametrize("what", BAD)
def test_a_bad_file_does_not_satisfy_it_and_is_not_read(what, tmp_path):
    assert not satisfies(BAD[what])
    read, message = binary_reads(BAD[what], tmp_path)
    assert not read
    assert "conventions" in message


@pytest.mark.parametrize("system", SHIPPED["systems"])
@pytest.mark.parametrize("key", ["prod", "allows"])
def test_a_shipped_system_without_what_it_needs_does_not_satisfy_it(system, key):
    table = copy.deepcopy(SHIPPED)
    del table["systems"][system][key]
    assert not satisfies(table, "table")
