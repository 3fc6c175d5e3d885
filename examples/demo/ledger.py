"""A service on the host's loopback that takes reports: the one thing that the clerk may reach.

    ledger.py FOLDER     keeps each report as FOLDER/1, FOLDER/2…; FOLDER/ready appears when it listens
"""

import http.server
import pathlib
import sys

PORT = 18743
LONGEST = 1 << 20


class Ledger(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        text = self.rfile.read(min(int(self.headers["Content-Length"]), LONGEST))
        self.server.reports += 1
        (self.server.folder / str(self.server.reports)).write_bytes(text)
        self.send_response(201)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format, *arguments):
        """Says nothing: the terminal is for the table."""


def main():
    with http.server.HTTPServer(("127.0.0.1", PORT), Ledger) as server:
        server.reports = 0
        server.folder = pathlib.Path(sys.argv[1])
        server.folder.mkdir()
        (server.folder / "ready").touch()
        server.serve_forever()


main()
