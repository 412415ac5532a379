"""The yardstick's `ceiling` over TLS: tls_ceiling.py PORT CA_FILE DATABASE FILE.bson BATCH CONNECTIONS.

Python only hands memory to OpenSSL and waits, without its lock; it prints the seconds from the first
insert to the last answer.
"""

import socket
import ssl
import struct
import sys
import threading
import time

OP_MSG = 2013


def text(key, value):
    return b"\x02" + key + b"\0" + struct.pack("<i", len(value) + 1) + value + b"\0"


def document(*fields):
    body = b"".join(fields)
    return struct.pack("<i", len(body) + 5) + body + b"\0"


def insert_command(database):
    concern = document(text(b"w", b"majority"), b"\x08j\0\1")
    return document(text(b"insert", b"alerts"), b"\x08ordered\0\0", b"\x03writeConcern\0" + concern,
                    text(b"$db", database.encode()))


def batches(ready, size):
    start = at = count = 0
    while at < len(ready):
        at += struct.unpack_from("<i", ready, at)[0]
        count += 1
        if count == size or at == len(ready):
            yield ready[start:at]
            start, count = at, 0


def connect(port, ca):
    plain = socket.create_connection(("127.0.0.1", port))
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return ssl.create_default_context(cafile=ca).wrap_socket(plain, server_hostname="127.0.0.1")


def answer(server):
    got = b""
    while len(got) < 4 or len(got) < struct.unpack_from("<i", got)[0]:
        more = server.recv(65536)
        if not more:
            raise OSError("the server hung up")
        got += more
    return got


def insert(server, command, documents):
    """The documents travel as a document sequence, which is how they lie in memory."""
    name = b"documents\0"
    head = bytes(5) + command + b"\1" + struct.pack("<i", 4 + len(name) + len(documents)) + name
    server.sendall(struct.pack("<iiii", 16 + len(head) + len(documents), 1, 0, OP_MSG) + head)
    server.sendall(documents)
    said = answer(server)
    if any(fault in said for fault in (b"errmsg", b"writeErrors", b"writeConcernError")):
        raise OSError(repr(said))


def send(server, command, ready, failed):
    try:
        for documents in iter(lambda: next(ready, None), None):
            insert(server, command, documents)
    except OSError as why:
        failed.append(why)


def main():
    port, ca, database, file, batch, connections = sys.argv[1:]
    with open(file, "rb") as opened:
        ready = iter(list(batches(memoryview(opened.read()), int(batch))))
    command, failed = insert_command(database), []
    servers = [connect(int(port), ca) for _ in range(int(connections))]
    threads = [threading.Thread(target=send, args=[server, command, ready, failed]) for server in servers]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        sys.exit(str(failed[0]))
    print(time.perf_counter() - begun)


main()
