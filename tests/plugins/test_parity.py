# SPDX-License-Identifier: GPL-3.0-or-later

"""The schema of the parity manifest, held to what the binary reads: both take the same files and refuse the same ones."""

from __future__ import annotations

import copy
import json
import lzma
import subprocess

import jsonschema
import pytest
import yaml
from conftest import PLATFORM, ROOT

SCHEMA = json.loads((ROOT / "docs/schema/parity.schema.json").read_text(encoding="utf-8"))
SHIPPED = yaml.safe_load((ROOT / "inventory/parity/manifest.yml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def kit(tmp_path_factory):
    path = tmp_path_factory.mktemp("kit") / "kit"
    path.write_bytes(lzma.decompress((ROOT / "plugins" / "bin" / ("controller_%s.xz" % PLATFORM)).read_bytes()))
    path.chmod(0o755)
    return path


def satisfies(document):
    return jsonschema.Draft202012Validator(SCHEMA).is_valid(document)


def binary_reads(kit, document, directory):
    """Tell whether the binary takes a manifest: then it goes on to the next file, which is not there."""
    (directory / "manifest.yml").write_text(yaml.safe_dump(document), encoding="utf-8")
    call = {"_kit_call": "parity_assert", "manifest": str(directory / "manifest.yml"), "kubeconfig": "none", "boundary": str(directory / "none")}
    done = subprocess.run([kit, "-"], input=json.dumps(call), capture_output=True, text=True, check=False)
    message = json.loads(done.stdout)["msg"]
    assert ("reading the parity manifest" in message) != ("reading the boundary manifest" in message), message
    return "reading the boundary manifest" in message, message


def test_the_schema_is_one():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_the_shipped_manifest_satisfies_it(kit, tmp_path):
    jsonschema.Draft202012Validator(SCHEMA).validate(SHIPPED)
    assert binary_reads(kit, SHIPPED, tmp_path)[0]


def changed(*path, to=None, take=False):
    """Return the shipped manifest with the value at a path changed, or taken out."""
    document = copy.deepcopy(SHIPPED)
    at = document
    for key in path[:-1]:
        at = at[key]
    if take:
        del at[path[-1]]
    else:
        at[path[-1]] = to
    return document


IMAGE = {"image": {"repository": "x"}}
SOURCE = {"repository": "o/r", "revision": "tag"}
GOOD = {
    "no components": changed("components", to=[]),
    "a component by a release": changed("components", 0, "found_by", to={"helm_release": {"namespace": "a", "name": "b", "version_of": "app"}}),
    "a component by an image anywhere": changed("components", 0, "found_by", to=IMAGE),
    "an application of several sources": changed("applications", "items", 0, to={"name": "x", "sources": [SOURCE, dict(SOURCE, path="a")]}),
    "an application of a chart": changed("applications", "items", 0, to=dict(SOURCE, name="x", chart="c")),
    "an outside thing of more images": changed("outside", 0, "images", to=["lab/forge", "registry.test:5000/a/b"]),
    "a claim": changed("backups", to=[{"namespace": "a", "claim": "b"}]),
    "a class that may be empty": changed("backups", to=[{"storage_class": "a", "may_be_empty": True}]),
    "a server of more roles": changed("nodes", 0, "roles", to=["server", "etcd"]),
    "a repository on a port": changed("outside", 0, "compose", "image", to="registry.test:5000/a/b"),
}
BAD = {
    "a section missing": changed("backups", take=True),
    "a section more": changed("beside", to=[]),
    "no nodes": changed("nodes", to=[]),
    "no list": changed("outside", to=None),
    "a node of both roles": changed("nodes", 0, "roles", to=["server", "agent"]),
    "a node of no role": changed("nodes", 0, "roles", to=["etcd"]),
    "a role twice": changed("nodes", 0, "roles", to=["server", "server"]),
    "a name of two segments": changed("nodes", 0, "name", to="a/b"),
    "a version that is a number": changed("outside", 0, "version", to=1.24),
    "a version of no Kubernetes": changed("kubernetes", "version", to="1.34"),
    "a distribution that is not known": changed("kubernetes", "distribution", to="k0s"),
    "two ways to find": changed("components", 0, "found_by", to=dict(IMAGE, api_group="g")),
    "no way to find": changed("components", 0, "found_by", to={}),
    "an unknown way to find": changed("components", 0, "found_by", to={"label": "x"}),
    "a version of something else": changed("components", 0, "found_by", to={"helm_release": {"namespace": "a", "name": "b", "version_of": "x"}}),
    "a URL for a repository": changed("applications", "items", 0, "repository", to="https://forge.test/o/r"),
    "an application of both": changed("applications", "items", 0, to={"name": "x", "sources": [SOURCE], "path": "a"}),
    "an application of neither": changed("applications", "items", 0, to={"name": "x"}),
    "an application of no sources": changed("applications", "items", 0, to={"name": "x", "sources": []}),
    "an application of path and chart": changed("applications", "items", 0, to=dict(SOURCE, name="x", path="a", chart="c")),
    "an absolute path": changed("applications", "items", 0, "path", to="/chart"),
    "an outside thing of no more images": changed("outside", 0, "images", to=[]),
    "an outside thing of an image twice": changed("outside", 0, "images", to=["a/b", "a/b"]),
    "an outside thing of an image with its tag": changed("outside", 0, "images", to=["a/b:1"]),
    "half a service": changed("outside", 0, "compose", "service", take=True),
    "half a claim": changed("backups", to=[{"claim": "b"}]),
    "a claim and a class": changed("backups", to=[{"namespace": "a", "claim": "b", "storage_class": "c"}]),
    "a claim that may be none": changed("backups", to=[{"namespace": "a", "claim": "b", "may_be_empty": True}]),
    "a class that must not be empty": changed("backups", to=[{"storage_class": "a", "may_be_empty": False}]),
    "nothing to back up": changed("backups", to=[{}]),
}


@pytest.mark.parametrize("name", GOOD)
def test_both_take(kit, name, tmp_path):
    assert satisfies(GOOD[name])
    assert binary_reads(kit, GOOD[name], tmp_path)[0], binary_reads(kit, GOOD[name], tmp_path)[1]


@pytest.mark.parametrize("name", BAD)
def test_both_refuse(kit, name, tmp_path):
    assert not satisfies(BAD[name])
    assert not binary_reads(kit, BAD[name], tmp_path)[0]
