#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rewrite a collection's artifact so that equal contents are equal bytes.

``ansible-galaxy collection build`` lists files in the order of the file system and stamps them with the time of the
build. This sorts them, sets owner 0 and the epoch as time, and recomputes the manifest's checksum of the file list.

usage: normalise.py INPUT.tar.gz OUTPUT.tar.gz
"""

import gzip
import hashlib
import io
import json
import os
import sys
import tarfile


def dump(value):
    return (json.dumps(value, indent=4, sort_keys=True) + "\n").encode()


def main(source, target):
    with tarfile.open(source) as archive:
        members = {member.name: (member, archive.extractfile(member).read() if member.isfile() else b"") for member in archive}
    files = json.loads(members["FILES.json"][1])
    files["files"].sort(key=lambda entry: entry["name"])
    listing = dump(files)
    manifest = json.loads(members["MANIFEST.json"][1])
    manifest["file_manifest_file"]["chksum_sha256"] = hashlib.sha256(listing).hexdigest()
    members["FILES.json"] = (members["FILES.json"][0], listing)
    members["MANIFEST.json"] = (members["MANIFEST.json"][0], dump(manifest))

    # ansible-galaxy reads the manifest from the front.
    names = ["MANIFEST.json", "FILES.json"] + sorted(set(members) - {"MANIFEST.json", "FILES.json"})
    unfinished = target + ".part"
    with open(unfinished, "wb") as out, gzip.GzipFile("", "wb", 9, out, mtime=0) as packed:
        with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive:
            for name in names:
                member, data = members[name]
                member.mtime, member.uid, member.gid, member.uname, member.gname = 0, 0, 0, "", ""
                member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data) if member.isfile() else None)
    os.replace(unfinished, target)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2])
