"use strict";
// One worker of the shop: loads the payments plugin from the path where it is installed and serves customers with it.
//
// SHOP_PLUGIN     where the plugin is installed (a symbolic link in the `symlink` layout)
// SHOP_WORKER     Unix socket to listen on
// SHOP_SECRET     the webhook secret shared with the payment provider
// SHOP_ORDERS     file to which paid orders are appended
// SHOP_STATSD     host:port for DogStatsD, when the agent listens
//
// Every answer names the version in the loaded package.json and a fingerprint of the code that was really loaded, so
// that a mixture of two releases would show.

const crypto = require("node:crypto");
const dgram = require("node:dgram");
const fs = require("node:fs");
const http = require("node:http");
const path = require("node:path");

// Resolved once: whatever this worker loads later comes from the same release.
const root = fs.realpathSync(process.env.SHOP_PLUGIN);
const version = JSON.parse(fs.readFileSync(path.join(root, "package.json"), "utf8")).version;

const settings = readSettings();

function readSettings() {
  try {
    return JSON.parse(fs.readFileSync(path.join(process.env.SHOP_PLUGIN, "settings.json"), "utf8"));
  } catch (error) {
    if (error.code === "ENOENT") return {};
    throw error;
  }
}

function load() {
  const { services } = require(root).default;
  const Provider = services.find((service) => service.identifier === "stripe");
  const options = { apiKey: "sk_test_shop", webhookSecret: process.env.SHOP_SECRET, capture: settings.capture === true };
  Provider.validateOptions(options);
  return new Provider({ logger: console }, options);
}

// The text of the function that the two releases differ in, as the engine holds it.
function fingerprint(provider) {
  const text = `${provider.constructWebhookEvent}${provider.getWebhookActionAndData}`;
  return crypto.createHash("sha256").update(text).digest("hex").slice(0, 12);
}

async function selfCheck(provider) {
  const body = JSON.stringify({
    type: "payment_intent.succeeded",
    data: { object: { currency: "eur", amount_received: 1234, metadata: { session_id: "self-check" } } },
  });
  const at = Math.floor(Date.now() / 1000);
  const mac = crypto.createHmac("sha256", process.env.SHOP_SECRET).update(`${at}.${body}`).digest("hex");
  const found = await provider.getWebhookActionAndData({
    rawData: body,
    headers: { "stripe-signature": `t=${at},v1=${mac}` },
  });
  if (found.action !== "captured" || found.data.amount !== 12.34) throw new Error("the self-check's webhook went wrong");
}

const statsd = (() => {
  if (!process.env.SHOP_STATSD) return () => {};
  const [host, port] = process.env.SHOP_STATSD.split(":");
  const socket = dgram.createSocket("udp4");
  socket.unref();
  socket.on("error", () => {});
  return (line) => socket.send(line, Number(port), host);
})();

function answer(response, status, body) {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify({ version, code, ...body }));
}

async function webhook(request, response) {
  const parts = [];
  for await (const part of request) parts.push(part);
  const rawData = Buffer.concat(parts).toString("utf8");
  try {
    provider.constructWebhookEvent({ rawData, headers: request.headers });
  } catch (error) {
    // A forged signature is the sender's fault. How the plugin puts it is what 2.21.1 changed.
    answer(response, 400, { error: error.message });
    return;
  }
  // What goes wrong with a payment that was signed as it must be is the plugin's.
  const found = await provider.getWebhookActionAndData({ rawData, headers: request.headers });
  if (found.action === "captured") {
    fs.appendFileSync(process.env.SHOP_ORDERS, `${found.data.session_id} ${found.data.amount}\n`);
  }
  answer(response, 200, { action: found.action, ...found.data });
}

async function serve(request, response) {
  const url = new URL(request.url, "http://shop");
  if (request.method === "POST" && url.pathname === "/webhook") {
    await webhook(request, response);
  } else if (url.pathname === "/checkout") {
    const intent = provider.normalizePaymentIntentParameters({});
    answer(response, 200, { capture_method: intent.capture_method });
  } else if (url.pathname === "/probe") {
    await selfCheck(provider);
    answer(response, 200, { ok: true });
  } else {
    answer(response, 404, {});
  }
}

function handle(request, response) {
  const begun = process.hrtime.bigint();
  response.on("finish", () => {
    const ms = Number(process.hrtime.bigint() - begun) / 1e6;
    const failed = response.statusCode >= 500;
    if (request.url === "/probe") return;
    const lines = [`requests:1|c|#ok:${!failed},version:${version}`, `latency:${ms.toFixed(2)}|ms`];
    if (request.url === "/webhook") lines.push(`webhook:1|c|#ok:${!failed},version:${version}`);
    statsd(lines.join("\n"));
  });
  serve(request, response).catch((error) => {
    console.error(error.message);
    if (!response.headersSent) answer(response, 500, { error: error.message });
    else response.destroy();
  });
}

let provider;
let code;
let server;

async function main() {
  provider = load();
  code = fingerprint(provider);
  await selfCheck(provider);
  server = http.createServer(handle);
  server.keepAliveTimeout = 60_000;
  server.listen(process.env.SHOP_WORKER, () => process.send({ ready: true, version }));
}

process.on("SIGTERM", () => {
  server?.close(() => process.exit(0));
  server?.closeIdleConnections();
});
process.on("disconnect", () => process.exit(0));
main().catch((error) => process.send({ error: error.message }, () => process.exit(1)));
