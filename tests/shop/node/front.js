"use strict";
// The shop's front: holds the listening socket for good and hands each request to the current worker, a process of its
// own that has loaded the plugin. A reload starts a fresh worker, waits until it has loaded everything and checked
// itself, and only then turns new requests to it; the old one finishes what it has begun and ends. A worker that does
// not come up leaves the old one in place, and the reload fails.
//
// SHOP_PORT       where customers come in, on 127.0.0.1
// SHOP_CONTROL    Unix socket: POST /reload
// SHOP_RUN        folder for the workers' sockets
// The rest of the environment goes to worker.js.

const { fork } = require("node:child_process");
const fs = require("node:fs");
const http = require("node:http");
const path = require("node:path");

const START_LIMIT_MS = 20_000;
let counter = 0;
let current = null;
let reloading = Promise.resolve();

function start() {
  counter += 1;
  const socket = path.join(process.env.SHOP_RUN, `worker-${counter}.sock`);
  fs.rmSync(socket, { force: true });
  const child = fork(path.join(__dirname, "worker.js"), [], { env: { ...process.env, SHOP_WORKER: socket } });
  const agent = new http.Agent({ keepAlive: true, maxSockets: 64 });
  const worker = { child, socket, agent, busy: 0, retired: false };
  return new Promise((resolve, reject) => {
    let words = "it did not come up in time";
    const timer = setTimeout(() => child.kill("SIGKILL"), START_LIMIT_MS);
    child.on("message", (message) => {
      if (message.ready) {
        clearTimeout(timer);
        worker.version = message.version;
        resolve(worker);
      } else {
        words = message.error;
      }
    });
    child.on("exit", () => {
      clearTimeout(timer);
      reject(new Error(`the new worker refused: ${words}`));
      if (worker === current) replace();
    });
  });
}

// A worker that dies at work is replaced; requests wait in the meantime.
function replace() {
  reloading = reloading.then(async () => {
    current = await start();
  });
  reloading.catch((error) => {
    console.error(error.message);
    process.exit(1);
  });
}

async function reload() {
  const next = await start();
  const old = current;
  current = next;
  tell();
  retire(old);
  return next.version;
}

// Says to whoever looks which version serves customers from now on.
function tell() {
  fs.writeFileSync(path.join(process.env.SHOP_RUN, "current"), current.version);
}

function retire(worker) {
  worker.retired = true;
  if (worker.busy === 0) finish(worker);
}

function finish(worker) {
  worker.agent.destroy();
  worker.child.kill("SIGTERM");
}

function pass(request, response) {
  const worker = current;
  worker.busy += 1;
  const options = {
    socketPath: worker.socket,
    agent: worker.agent,
    method: request.method,
    path: request.url,
    headers: request.headers,
  };
  const inner = http.request(options, (answer) => {
    response.writeHead(answer.statusCode, answer.headers);
    answer.pipe(response);
  });
  inner.on("error", (error) => {
    if (!response.headersSent) response.writeHead(502);
    response.end(`${error.message}\n`);
  });
  response.on("close", () => {
    worker.busy -= 1;
    if (worker.retired && worker.busy === 0) finish(worker);
  });
  request.pipe(inner);
}

function command(request, response) {
  if (request.method !== "POST" || request.url !== "/reload") {
    response.writeHead(404).end();
    return;
  }
  // One reload at a time, each with the plugin as it is when its turn comes.
  const mine = reloading.then(reload);
  reloading = mine.catch(() => {});
  mine.then(
    (version) => response.end(`${version}\n`),
    (error) => {
      console.error(error.message);
      response.writeHead(500).end(`${error.message}\n`);
    },
  );
}

async function main() {
  fs.mkdirSync(process.env.SHOP_RUN, { recursive: true });
  current = await start();
  tell();
  fs.rmSync(process.env.SHOP_CONTROL, { force: true });
  http.createServer(command).listen(process.env.SHOP_CONTROL);
  const front = http.createServer(pass);
  front.keepAliveTimeout = 30_000;
  front.listen(Number(process.env.SHOP_PORT), "127.0.0.1", 4096);
}

process.on("SIGHUP", () => {
  const mine = reloading.then(reload);
  reloading = mine.catch((error) => console.error(error.message));
});
process.on("SIGTERM", () => {
  if (current) current.child.kill("SIGTERM");
  process.exit(0);
});
main().catch((error) => {
  console.error(error.message);
  process.exit(1);
});
