"""Everything that a cell could want to reach, in one process in a network namespace without a way out of it.

Usage: outside.py LOG CERTIFICATE KEY

What each server sees is one JSON line in LOG. A line `sync` on standard input is answered with `synced` once every
server has shown that it is alive and has written down all that came before.
"""

import base64
import hashlib
import json
import socket
import ssl
import struct
import sys
import threading
import time

BANK, BANK6 = "93.184.216.34", "2606:2800:220:1::1"
RESOLVER, STRANGER = "93.184.216.53", "8.8.8.8"
PRIVATE = "10.1.2.3"
METADATA = ["169.254.169.254", "100.100.100.200", "168.63.129.16", "64:ff9b::a9fe:a9fe"]

# Names and what they resolve to. A list of lists is one answer after the other; the last stays.
NAMES = {
    "api.bank.test": [BANK],
    "other.test": [BANK],
    "v6.bank.test": [BANK6],
    "dual.bank.test": [BANK, BANK6],
    "xn--bcher-kva.bank.test": [BANK],
    "wild.test": [BANK],
    "a.wild.test": [BANK],
    "a.b.wild.test": [BANK],
    "internal.bank.test": [PRIVATE],
    "mixed.bank.test": [BANK, PRIVATE],
    "loopback.bank.test": ["127.0.0.1"],
    "aws.bank.test": ["169.254.169.254"],
    "alibaba.bank.test": ["100.100.100.200"],
    "azure.bank.test": ["168.63.129.16"],
    "nat64.bank.test": ["64:ff9b::a9fe:a9fe"],
    "rebind.bank.test": [[BANK], ["169.254.169.254"]],
}

BLOCK = 1 << 20
PROBE = b"are you there"


def blocks(size):
    """`size` bytes of which no two blocks are alike."""
    number = 0
    while size > 0:
        block = hashlib.sha256(struct.pack("!Q", number)).digest() * (BLOCK // 32)
        yield block[: min(size, BLOCK)]
        size -= BLOCK
        number += 1


class Log:
    def __init__(self, path):
        self.file = open(path, "w", buffering=1)
        self.lock = threading.Lock()

    def write(self, server, **fields):
        with self.lock:
            self.file.write(json.dumps({"server": server, **fields}) + "\n")


class Probes:
    """Connections and datagrams of our own, which are not logged."""

    def __init__(self):
        self.ports = set()
        self.seen = threading.Semaphore(0)


class Reader:
    def __init__(self, connection):
        self.connection = connection
        self.ahead = b""

    def until(self, end):
        while end not in self.ahead:
            more = self.connection.recv(65536)
            if not more:
                return None
            self.ahead += more
        found, self.ahead = self.ahead.split(end, 1)
        return found + end

    def exactly(self, size, take):
        while size > 0:
            part = self.ahead[:size] or self.connection.recv(min(size, BLOCK))
            if not part:
                raise EOFError
            self.ahead = self.ahead[len(part):]
            take(part)
            size -= len(part)


def http(connection, log, server):
    reader = Reader(connection)
    while head := reader.until(b"\r\n\r\n"):
        lines = head.decode("latin-1").split("\r\n")[:-2]
        method, target, version = lines[0].split(" ")
        fields = dict((name.lower(), value) for name, value in (line.split(": ", 1) for line in lines[1:]))
        digest, count = hashlib.sha256(), [0]

        def take(part):
            digest.update(part)
            count[0] += len(part)

        log.write(server, event="request", line=lines[0], fields=lines[1:], host=fields.get("host"))
        reader.exactly(int(fields.get("content-length", 0)), take)
        if fields.get("upgrade", "").lower() == "websocket":
            return websocket(connection, reader, fields["sec-websocket-key"])
        extra, body = [], None
        status = "200 OK"
        if target == "/never":
            # Nothing, for as long as the client stays.
            while connection.recv(BLOCK):
                pass
            return
        if target.startswith("/to/"):
            status, extra = "302 Found", [f"Location: {target[4:]}"]
            body = b""
        elif target.startswith("/blocks/"):
            size = int(target[8:])
        elif method == "POST":
            body = f"{count[0]} {digest.hexdigest()}\n".encode()
        else:
            body = f"{server} says hello to {fields.get('host')}\n".encode()
        size = len(body) if body is not None else size
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {size}", *extra, "", ""]
        connection.sendall("\r\n".join(lines).encode())
        if method != "HEAD":
            for part in [body] if body is not None else blocks(size):
                connection.sendall(part)
        if version == "HTTP/1.0" or fields.get("connection") == "close":
            return


def websocket(connection, reader, key):
    """Echoes one masked text frame after the other, at most 125 bytes each (RFC 6455)."""
    accept = hashlib.sha1(key.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    head = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
    head += ["Sec-WebSocket-Accept: " + base64.b64encode(accept).decode(), "", ""]
    connection.sendall("\r\n".join(head).encode())
    while True:
        frame = bytearray()
        try:
            reader.exactly(6, frame.extend)
            reader.exactly(frame[1] & 0x7F, frame.extend)
        except EOFError:
            return
        text = bytes(byte ^ frame[2 + at % 4] for at, byte in enumerate(frame[6:]))
        connection.sendall(bytes([frame[0], len(text)]) + text)
        if frame[0] & 0x0F == 8:
            return


def echo(connection, log, server):
    digest, count = hashlib.sha256(), 0
    while part := connection.recv(BLOCK):
        digest.update(part)
        count += len(part)
        connection.sendall(part)
    log.write(server, event="end", count=count, sha256=digest.hexdigest())


def total(connection, log, server):
    """Says what came, once the client has said that this was all."""
    digest, count = hashlib.sha256(), 0
    while part := connection.recv(BLOCK):
        digest.update(part)
        count += len(part)
    log.write(server, event="end", count=count, sha256=digest.hexdigest())
    connection.sendall(f"{count} {digest.hexdigest()}\n".encode())


def mail(connection, log, server):
    """Speaks first."""
    connection.sendall(b"220 mail.test ready\r\n")
    while line := connection.recv(4096):
        log.write(server, event="line", line=line.decode("latin-1"))
        connection.sendall(b"250 " + line)


def listen(log, probes, server, address, port, handler, tls=None):
    listener = socket.create_server((address, port), family=family(address), backlog=1024)

    def serve(connection, peer):
        try:
            with tls.wrap_socket(connection, server_side=True) if tls else connection as wrapped:
                handler(wrapped, log, server)
                try:
                    wrapped.shutdown(socket.SHUT_WR)
                    while wrapped.recv(BLOCK):
                        pass
                except OSError:
                    pass
        except (OSError, EOFError, ssl.SSLError) as error:
            log.write(server, event="broken", error=str(error))

    def accept():
        while True:
            connection, peer = listener.accept()
            if peer[1] in probes.ports:
                connection.close()
                probes.seen.release()
                continue
            log.write(server, event="connection", to="%s:%d" % connection.getsockname()[:2])
            threading.Thread(target=serve, args=(connection, peer), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return address, port, socket.SOCK_STREAM


def datagrams(log, probes, server, address, port, answer=None):
    listener = socket.socket(family(address), socket.SOCK_DGRAM)
    listener.bind((address, port))

    def serve():
        while True:
            data, peer = listener.recvfrom(65536)
            if data == PROBE:
                probes.seen.release()
                continue
            if answer is None:
                log.write(server, event="datagram", bytes=data.decode("latin-1"))
            elif reply := answer(log, server, data):
                listener.sendto(reply, peer)

    threading.Thread(target=serve, daemon=True).start()
    return address, port, socket.SOCK_DGRAM


def dns():
    """A name server: answers from NAMES, and says that there is no other name."""
    asked = {}

    def answer(log, server, query):
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1: at + 1 + query[at]].decode("latin-1"))
            at += 1 + query[at]
        name, kind = ".".join(labels).lower(), struct.unpack("!H", query[at + 1: at + 3])[0]
        log.write(server, event="query", name=name, kind=kind)
        question = query[12: at + 5]
        known = NAMES.get(name)
        if known and isinstance(known[0], list):
            asked[name, kind] = asked.get((name, kind), 0) + 1
            known = known[min(asked[name, kind], len(known)) - 1]
        of_kind = {1: socket.AF_INET, 28: socket.AF_INET6}.get(kind)
        found = [socket.inet_pton(of_kind, a) for a in known or [] if of_kind and family(a) == of_kind]
        records = b"".join(b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 0, len(a)) + a for a in found)
        flags = 0x8180 if known else 0x8183
        return query[:2] + struct.pack("!HHHHH", flags, 1, len(found), 0, 0) + question + records

    return answer


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def probe(probes, address, port, kind):
    with socket.socket(family(address), kind) as one:
        if kind == socket.SOCK_DGRAM:
            one.sendto(PROBE, (address, port))
        else:
            # Bound before it connects, so that the server knows whose it is.
            one.bind((address, 0))
            own = one.getsockname()[1]
            probes.ports.add(own)
            one.connect((address, port))
        if not probes.seen.acquire(timeout=50):
            sys.exit(f"the server at {address} port {port} does not answer")
        if kind == socket.SOCK_STREAM:
            probes.ports.discard(own)


def main():
    path, certificate, key = sys.argv[1:]
    log, probes = Log(path), Probes()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    tls.sni_callback = lambda _socket, name, _context: log.write("https", event="hello", name=name)
    servers = []
    for address in [BANK, BANK6, PRIVATE, *METADATA]:
        special = address not in (BANK, BANK6)
        servers.append(listen(log, probes, "special" if special else "http", address, 80, http))
        servers.append(listen(log, probes, "special" if special else "https", address, 443, http, tls))
    for name, port, handler in [("echo", 7000, echo), ("total", 7001, total), ("mail", 2525, mail), ("odd", 8443, echo)]:
        servers.append(listen(log, probes, name, BANK, port, handler))
    servers.append(listen(log, probes, "here", "127.0.0.1", 8080, http))
    servers.append(listen(log, probes, "here-not-allowed", "127.0.0.1", 8081, http))
    servers.append(listen(log, probes, "here6", "::1", 8080, http))
    servers.append(datagrams(log, probes, "resolver", RESOLVER, 53, dns()))
    servers.append(datagrams(log, probes, "stranger", STRANGER, 53))
    servers.append(datagrams(log, probes, "quic", BANK, 443))
    servers.append(datagrams(log, probes, "quic", BANK6, 443))
    print("ready", flush=True)
    for line in sys.stdin:
        if line.strip() == "sync":
            for server in servers:
                probe(probes, *server)
            print("synced", flush=True)


main()
