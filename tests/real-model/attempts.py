import os
import socket
import urllib.request


def attempt(what, act):
    try:
        act()
        print(f"{what}: done")
    except OSError:
        print(f"{what}: failed")


def speak(host, port):
    """A connection may seem to stand, as it is the door that takes it: what counts is whether anybody answers."""
    with socket.create_connection((host, port), 30) as stream:
        stream.sendall(b"\x16\x03\x01\x00\x05hello")
        if stream.recv(1) in (b"", b"\x15"):
            raise OSError("closed")


def connect(host, port):
    attempt(f"connect {host}:{port}", lambda: speak(host, port))


attempt("resolve", lambda: socket.getaddrinfo("example.com", 443))
connect("203.0.113.1", 443)
connect("127.0.0.1", 1)
attempt("door", lambda: urllib.request.urlopen("http://llm.nanoclaw.internal/v1/models", timeout=5))
attempt("write model", lambda: open("/opt/model.gguf", "r+b"))
attempt("write server", lambda: open("/opt/llama/llama-server", "r+b"))
attempt("write elsewhere", lambda: open("/opt/new", "wb"))
attempt("read model", lambda: open("/opt/model.gguf", "rb").read(4))
attempt("own server", lambda: urllib.request.urlopen("http://127.0.0.1:8080/health", timeout=60))
