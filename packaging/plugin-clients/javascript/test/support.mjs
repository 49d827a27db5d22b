// What the tests share: the real agent of the stage that tests/setup/client-stage has set up, and servers of their own.
import { spawn, execFile } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { promisify } from 'node:util'

const stage = process.env.PLUGMEND_CLIENT_STAGE

/** For tests that need the stage: why they are skipped, or false. */
export const skipWithoutStage = stage ? false : 'PLUGMEND_CLIENT_STAGE is not set: run make test-clients'

const PATIENCE_MS = 30_000

/** Waits for a value, with a bound. */
export async function until(what, look) {
  const end = performance.now() + PATIENCE_MS
  for (;;) {
    const found = await look()
    if (found) return found
    if (performance.now() > end) throw new Error(`waited in vain for ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
}

/** A real agent. */
export class Agent {
  home = join(stage ?? '', 'javascript')
  socket = join(this.home, 'agent.sock')
  #config = join(this.home, 'agent.toml')
  #process = null

  get udp() {
    return readFileSync(join(this.home, 'udp'), 'utf8').trim()
  }

  async start() {
    this.#process = spawn(join(stage, 'agent'), ['--config', this.#config, 'run'], { stdio: ['ignore', 'ignore', 'ignore'] })
    await until('the agent to run', async () => (await this.status()).running)
  }

  async status() {
    const run = promisify(execFile)
    const ended = await run(join(stage, 'agent'), ['--config', this.#config, '--json', 'status']).catch((error) => error)
    return ended.stdout ? JSON.parse(ended.stdout) : {}
  }

  /** What it has heard, as soon as that is as `wanted`. */
  heard(what, wanted) {
    return until(what, async () => {
      const { telemetry } = await this.status()
      return telemetry && wanted(telemetry) ? telemetry : null
    })
  }

  signal(name) {
    this.#process.kill(name)
  }

  async stop() {
    const running = this.#process
    if (running === null) return
    this.#process = null
    running.kill('SIGCONT')
    running.kill('SIGTERM')
    if (running.exitCode === null && running.signalCode === null) await once(running, 'exit')
  }
}

/** Calls the real control plane's API as ops. */
export async function ops(method, path, body) {
  const response = await fetch(`${api()}${path}`, {
    method,
    headers: {
      authorization: `Bearer ${readFileSync(join(stage, 'ops-token'), 'utf8').trim()}`,
      'content-type': 'application/json',
      'idempotency-key': crypto.randomUUID(),
    },
    body: body === undefined ? undefined : JSON.stringify(body),
  })
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`)
  return response.json()
}

export const api = () => readFileSync(join(stage, 'api'), 'utf8').trim()

/** An HTTP server on loopback that answers as `answer(request, body)` says; what came is in `requests`. */
export async function server(answer) {
  const requests = []
  const http = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    requests.push({ method: request.method, url: request.url, headers: request.headers, body })
    const { status = 200, headers = {}, text = '{"ok":true,"commands":[]}' } = (await answer(request, body)) ?? {}
    response.writeHead(status, headers).end(text)
  })
  await once(http.listen(0, '127.0.0.1'), 'listening')
  const close = () => {
    http.closeAllConnections?.()
    http.close()
  }
  return { url: `http://127.0.0.1:${http.address().port}`, requests, close }
}
