import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { until } from './support.mjs'

const require = createRequire(import.meta.url)
const plugmend = require('../index.cjs')

function folder(t) {
  const made = mkdtempSync(join(tmpdir(), 'plugmend-client-'))
  t.after(() => rmSync(made, { recursive: true, force: true }))
  return made
}

function client(t, options) {
  const made = plugmend.createClient(options)
  t.after(() => made.close())
  return made
}

test('nothing that a shop hands in makes a function throw', (t) => {
  const hostile = new Proxy({}, { get() { throw new Error('hostile') }, ownKeys() { throw new Error('hostile') } })
  const odd = [undefined, null, NaN, -1, '', 'x'.repeat(1e6), Symbol('s'), 10n, [], {}, hostile, () => {}, new Date(NaN)]
  const clients = [...odd, { socket: '/nonexistent' }, { socket: `/${'x'.repeat(500)}` }, { socket: 7 }, { udp: 'example.org:8125' }, { udp: '127.0.0.1:1' }]
  for (const options of clients) {
    const made = plugmend.createClient(options)
    t.after(() => made.close())
    for (const a of odd) {
      for (const b of odd) {
        for (const name of ['request', 'error', 'webhook', 'payment', 'count', 'gauge', 'logError', 'trackWebhookCall']) {
          assert.equal(made[name](a, b), undefined)
        }
        made.observe(a)
      }
    }
  }
})

test('addresses that are not on this machine are refused', () => {
  for (const udp of ['8.8.8.8:8125', 'localhost:8125', '[2001:db8::1]:8125', '127.0.0.1:0', '127.0.0.1:70000', '127.999.1.1:1']) {
    const made = plugmend.createClient({ udp })
    assert.deepEqual([made.mode, made.problem], ['off', 'udp is not an address on loopback such as 127.0.0.1:8125'])
  }
})

test('while the agent is away the queue is bounded, and it is found when it comes', async (t) => {
  const path = join(folder(t), 'agent.sock')
  const made = client(t, { socket: path, pluginVersion: '1.2.3' })
  for (let n = 0; n < 5000; n += 1) made.request(true, n)
  assert.ok(made.dropped >= 4000)
  let text = ''
  const listener = createServer((socket) => socket.setEncoding('utf8').on('data', (data) => (text += data)))
  t.after(() => listener.close())
  await once(listener.listen(path), 'listening')
  await until('the queue to arrive', () => text.includes('"ms":4999'))
  assert.equal(text.trim().split('\n').length, 1000)
  assert.ok(text.trim().split('\n').every((line) => JSON.parse(line).version === '1.2.3'))
})

test('a receiver that does not read costs no more than the queue and the socket', async (t) => {
  const path = join(folder(t), 'agent.sock')
  const taken = []
  const listener = createServer((socket) => taken.push(socket.pause()))
  t.after(() => {
    taken.forEach((socket) => socket.destroy())
    listener.close()
  })
  await once(listener.listen(path), 'listening')
  const made = client(t, { socket: path })
  await until('the connection', () => taken.length > 0)
  for (let round = 0; round < 50; round += 1) {
    for (let n = 0; n < 1000; n += 1) made.error('x'.repeat(200))
    await new Promise(setImmediate)
  }
  assert.ok(made.dropped > 40_000)
  assert.equal(await made.flush(50), false)
})

test('over UDP what is said in one turn is few datagrams', async (t) => {
  const receiver = createSocket('udp4')
  t.after(() => receiver.close())
  const datagrams = []
  receiver.on('message', (message) => datagrams.push(message.toString()))
  receiver.bind(0, '127.0.0.1')
  await once(receiver, 'listening')
  const made = client(t, { udp: `127.0.0.1:${receiver.address().port}`, pluginVersion: '1.2.3' })
  for (let n = 0; n < 50; n += 1) made.webhook(n % 2 === 0)
  await until('all of them', () => datagrams.join('').split('\n').length === 51)
  assert.ok(datagrams.length <= 3)
  assert.ok(datagrams.every((datagram) => Buffer.byteLength(datagram) <= 1400))
})

test('a program that speaks to nobody ends by itself', async () => {
  const program = `
    const { init } = require(${JSON.stringify(fileURLToPath(new URL('../index.cjs', import.meta.url)))})
    const gone = init({ socket: '/nonexistent/agent.sock', pluginVersion: '1.0.0' })
    gone.request(true, 1)
    const udp = init({ udp: '127.0.0.1:1' })
    udp.request(true, 1)
    process.stdout.write('said')`
  const { stdout } = await promisify(execFile)(process.execPath, ['-e', program], { timeout: 20_000 })
  assert.equal(stdout, 'said')
})

test('ESM and CommonJS are one client, and the types name what there is', async () => {
  const { readFileSync } = await import('node:fs')
  const esm = await import('../index.mjs')
  assert.deepEqual(Object.keys(esm).sort(), Object.keys(plugmend).sort())
  assert.equal(esm.init, plugmend.init)
  const types = readFileSync(new URL('../index.d.cts', import.meta.url), 'utf8')
  const declared = [...types.matchAll(/^export function (\w+)/gm)].map(([, name]) => name)
  assert.deepEqual(declared.sort(), Object.keys(plugmend).sort())
})

test('the environment names the agent, and options win over it', async (t) => {
  process.env.MOLAM_PLUGIN_CONFIG = JSON.stringify({ socket: '/nonexistent/a.sock', pluginVersion: '9.9.9' })
  t.after(() => {
    delete process.env.MOLAM_PLUGIN_CONFIG
    return plugmend.close()
  })
  assert.equal(plugmend.init().mode, 'agent')
  assert.equal(plugmend.init({ socket: undefined, udp: 'nowhere' }).mode, 'off')
  process.env.MOLAM_PLUGIN_CONFIG = 'not json'
  assert.equal(plugmend.init().mode, 'off')
})
