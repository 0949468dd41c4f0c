# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask a name server of this network namespace, and tell of every name whether it could be asked for; see names_test.go."""

from __future__ import annotations

import json
import socket
import struct
import sys
import threading


def question(name):
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    # With EDNS, as resolvers ask: what follows the name is no constant.
    return struct.pack(">HHHHHH", 7, 0x100, 1, 0, 0, 1) + labels + b"\0" + struct.pack(">HH", 1, 1) + b"\0\0\x29\x10\0\0\0\0\0\0\0"


def by_udp(name):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(1)
        asking.sendto(question(name), ("127.0.0.1", 53))
        return bool(asking.recv(600))


def by_tcp(name):
    with socket.create_connection(("127.0.0.1", 53), 1) as asking:
        asking.settimeout(1)
        asking.sendall(struct.pack(">H", len(question(name))) + question(name))
        return bool(asking.recv(10))


def answered(how, name):
    try:
        return how(name)
    except OSError:
        return False


def serve_udp(server):
    while True:
        text, whom = server.recvfrom(600)
        server.sendto(text, whom)


def serve_tcp(server):
    while True:
        one = server.accept()[0]
        threading.Thread(target=lambda one=one: one.sendall(one.recv(600)), daemon=True).start()


def main():
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind(("127.0.0.1", 53))
    threading.Thread(target=serve_udp, args=(datagrams,), daemon=True).start()
    threading.Thread(target=serve_tcp, args=(socket.create_server(("127.0.0.1", 53)),), daemon=True).start()
    json.dump({name: [answered(by_udp, name), answered(by_tcp, name)] for name in json.load(sys.stdin)}, sys.stdout)


if __name__ == "__main__":
    main()
