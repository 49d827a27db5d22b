// A control plane of its own for the browser tests: the real binary over a database of its own, and tokens for people.
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, openSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import pg from "pg";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const BINARY = process.env.PLUGMEND_CONTROL_PLANE ?? join(ROOT, "target/debug/plugmend-control-plane");
/** How long the control plane may take until it is ready, in milliseconds. */
const READY_MS = 60_000;

/** Starts it; `stop` ends everything that was started and takes the database away again. */
export async function start({ folder, settings = {} }) {
  const admin = process.env.PLUGMEND_TEST_DATABASE_URL;
  if (!admin) throw new Error("PLUGMEND_TEST_DATABASE_URL is not set: run this by 'make test-console'");
  const name = `console_${process.pid}_${Date.now()}`;
  await administer(admin, `CREATE DATABASE ${name}`);
  const url = new URL(admin);
  url.pathname = `/${name}`;
  const state = mkdtempSync(join(tmpdir(), "plugmend-console-"));
  const port = await freePort();
  const env = {
    ...process.env,
    DATABASE_URL: url.href,
    PLUGMEND_STATE_DIR: state,
    PLUGMEND_API_BIND: "127.0.0.1",
    PLUGMEND_API_PER_SECOND: "1000000",
    PORT: String(port),
    LOG_LEVEL: "warn",
    ...settings,
  };
  const run = (roles) => {
    const log = openSync(join(folder, `${roles}.log`), "w");
    return spawn(BINARY, ["--dev", "serve", "--migrate", "--roles", roles], { env, stdio: ["ignore", log, log] });
  };
  const processes = [run("api")];
  const stop = async () => {
    for (const child of processes) {
      child.kill("SIGTERM");
      await new Promise((ended) => (child.exitCode === null ? child.once("exit", ended) : ended()));
    }
    await administer(admin, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
    rmSync(state, { recursive: true, force: true });
  };
  const address = `http://127.0.0.1:${port}`;
  try {
    await ready(address, processes[0]);
  } catch (error) {
    await stop();
    throw error;
  }
  const token = (sub, roles = "pay_admin,compliance_ops") =>
    execFileSync(BINARY, ["--dev", "dev-token", "--sub", sub, "--roles", roles], { env, encoding: "utf8" }).trim();
  const db = new pg.Pool({ connectionString: url.href, max: 2 });
  db.on("error", () => undefined);
  return {
    address,
    db,
    token,
    /** The jobs, in a process of their own: what was seeded before is left alone by them. */
    work: () => processes.push(run("worker")),
    stop: async () => {
      await db.end();
      await stop();
    },
  };
}

async function administer(url, statement) {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}

function freePort() {
  return new Promise((found, failed) => {
    const server = createServer();
    server.once("error", failed);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => found(port));
    });
  });
}

async function ready(address, child) {
  const until = Date.now() + READY_MS;
  for (;;) {
    if (child.exitCode !== null) throw new Error(`the control plane ended with ${child.exitCode}; see its log`);
    const answer = await fetch(`${address}/readyz`).catch(() => null);
    if (answer?.ok) return;
    if (Date.now() > until) throw new Error("the control plane was not ready in time; see its log");
    await new Promise((done) => setTimeout(done, 100));
  }
}
