import os
import socket
import urllib.request


def attempt(what, act):
    try:
        act()
        print(f"{what}: done")
    except OSError:
        print(f"{what}: failed")


def connect(host, port):
    attempt(f"connect {host}:{port}", lambda: socket.create_connection((host, port), 5))


attempt("resolve", lambda: socket.getaddrinfo("example.com", 443))
connect("203.0.113.1", 443)
connect("127.0.0.1", 1)
attempt("door", lambda: urllib.request.urlopen("http://llm.nanoclaw.internal/v1/models", timeout=5))
attempt("write model", lambda: open("/opt/model.gguf", "r+b"))
attempt("write server", lambda: open("/opt/llama/llama-server", "r+b"))
attempt("write elsewhere", lambda: open("/opt/new", "wb"))
attempt("read model", lambda: open("/opt/model.gguf", "rb").read(4))
attempt("own server", lambda: urllib.request.urlopen("http://127.0.0.1:8080/health", timeout=60))
