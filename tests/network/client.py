"""What programs in the cell do to reach the outside. Every function says what became of it as plain values."""

import hashlib
import json
import os
import socket
import ssl
import struct
import sys
import threading

PROXY = ("127.0.0.1", 3128)
CA = "/client/ca.pem"
BLOCK = 1 << 20


def say(value):
    print(json.dumps(value), flush=True)


def tell(what):
    """Runs something and gives its result, or the name of the error that it ended with."""
    try:
        return what()
    except ssl.SSLError as error:
        return f"{type(error).__name__} {error.reason}"
    except OSError as error:
        return type(error).__name__


def connect(host, port, timeout=30):
    return socket.create_connection((host, port), timeout=timeout)


def rest(connection):
    """All that still comes, and how it ends."""
    data = b""
    try:
        while part := connection.recv(BLOCK):
            data += part
        return [data.decode("latin-1"), "end"]
    except OSError as error:
        return [data.decode("latin-1"), type(error).__name__]


def exchange(host, port, data):
    """Sends bytes on a connection of its own, and gives all that comes back and how it ends."""
    with connect(host, port) as connection:
        connection.sendall(data.encode("latin-1") if isinstance(data, str) else data)
        return rest(connection)


def get(host, path="/", connection="close"):
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: {connection}\r\n\r\n"


def answer(reader):
    """One HTTP response of a connection that stays open: status line and body."""
    status, length = reader.readline().decode().strip(), 0
    while line := reader.readline().decode().strip():
        name, value = line.split(": ", 1)
        if name.lower() == "content-length":
            length = int(value)
    return [status, reader.read(length).decode()]


def through_proxy(head):
    """A connection on which a CONNECT was asked for, and the head of the answer."""
    connection = connect(*PROXY)
    connection.sendall(head.encode("latin-1"))
    data = b""
    while b"\r\n\r\n" not in data:
        # No byte further: what comes behind the head is not for us.
        part = connection.recv(1)
        if not part:
            break
        data += part
    return connection, data.decode("latin-1")


def tls(connection, name):
    context = ssl.create_default_context(cafile=CA)
    if name is None:
        context.check_hostname = False
    return context.wrap_socket(connection, server_hostname=name)


def https(host, name, port=443, request_host=None):
    """An HTTPS request to `host` under the server name `name`, and what comes back."""
    def all_of_it():
        with connect(host, port) as connection, tls(connection, name) as secure:
            secure.sendall(get(request_host or name or host).encode())
            return rest(secure)
    return tell(all_of_it)


def blocks(size):
    number = 0
    while size > 0:
        block = hashlib.sha256(struct.pack("!Q", number)).digest() * (BLOCK // 32)
        yield block[: min(size, BLOCK)]
        size -= BLOCK
        number += 1


def query(name, kind, server="8.8.8.8"):
    """What a name server answers: the response code and the addresses."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(30)
        asking.sendto(b"\x13\x37\x01\0\0\1\0\0\0\0\0\0" + labels + b"\0" + struct.pack("!HH", kind, 1), (server, 53))
        data, peer = asking.recvfrom(4096)
    size = {1: 4, 28: 16}.get(kind)
    found = []
    if struct.unpack("!H", data[6:8])[0]:
        found = [socket.inet_ntop({4: socket.AF_INET, 16: socket.AF_INET6}[size], data[-size:])]
    return [data[3] & 0x0F, found, peer[0]]
