import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { server, until } from './support.mjs'

const require = createRequire(import.meta.url)
const { createClient } = require('../index.cjs')

const WHO = {
  merchantId: '0198c0de-0000-7000-8000-000000000001',
  pluginId: '0198c0de-0000-7000-8000-000000000002',
  pluginSecret: 'pms_secret',
  pluginVersion: '1.2.3',
}
const ORDER = { id: '0198c0de-0000-7000-8000-00000000000a', type: 'config_update', payload: { config: { a: 1 }, generation: 7 } }

async function speaking(t, answer, options = {}) {
  const at = await server(answer)
  const client = createClient({ ...WHO, apiBase: at.url, ...options })
  t.after(async () => {
    await client.close()
    at.close()
  })
  return { at, client }
}

test('a heartbeat has the reference shape', async (t) => {
  const { at, client } = await speaking(t, () => undefined, { env: { shop: '4.2' } })
  client.logError('gateway', new Error('time-out'))
  client.request(false, 12)
  client.request(true, 12)
  for (const ok of [true, false, false, true, true]) client.trackWebhookCall(ok)
  await until('the first heartbeat', () => at.requests.length > 0)
  assert.equal(await client.sendHeartbeat(), true)
  const { method, url, headers, body } = at.requests.at(-1)
  const { uptime, timestamp, ...rest } = JSON.parse(body)
  assert.deepEqual([method, url], ['POST', '/api/plugins/heartbeat'])
  assert.equal(headers.authorization, 'Bearer pms_secret')
  assert.equal(headers['x-plugin-version'], '1.2.3')
  assert.deepEqual(rest, {
    plugin_id: WHO.pluginId,
    merchant_id: WHO.merchantId,
    plugin_version: '1.2.3',
    env: { node: process.versions.node, shop: '4.2' },
    errors_last_24h: 2,
    webhook_fail_rate: 0.4,
    capabilities: [],
  })
  assert.ok(Number.isInteger(uptime) && Math.abs(Date.parse(timestamp) - Date.now()) < 60_000)
})

test('without deliveries no fail rate is claimed', async (t) => {
  const { at, client } = await speaking(t, () => undefined)
  await client.sendHeartbeat()
  assert.ok(!('webhook_fail_rate' in JSON.parse(at.requests[0].body)))
})

test('an order is carried out by its handler once, and answered each time it comes', async (t) => {
  const done = []
  const commands = { config_update: async ({ config }) => done.push(config) }
  const once = ({ url }) => (url.endsWith('heartbeat') ? { text: JSON.stringify({ ok: true, commands: [ORDER] }) } : undefined)
  const { at, client } = await speaking(t, once, { commands })
  await client.sendHeartbeat()
  await client.sendHeartbeat()
  assert.deepEqual(done, [{ a: 1 }])
  const acks = at.requests.filter(({ url }) => url === `/api/plugins/commands/${ORDER.id}/ack`)
  assert.ok(acks.length >= 2)
  assert.deepEqual(JSON.parse(acks[0].body), { result: 1, generation: 7 })
  assert.deepEqual(JSON.parse(at.requests[0].body).capabilities, ['config_update'])
})

test('a result that JSON has no words for is answered all the same', async (t) => {
  const commands = { restart: () => 10n }
  const { at, client } = await speaking(t, () => undefined, { commands })
  await client.processCommands([{ ...ORDER, type: 'restart' }])
  assert.deepEqual(JSON.parse(at.requests.at(-1).body), { result: '10', generation: 7 })
})

test('an order that fails, or that nobody handles, is reported as failed', async (t) => {
  const commands = { config_update: () => Promise.reject(new Error('read-only')) }
  const { at, client } = await speaking(t, () => undefined, { commands })
  await client.processCommands([ORDER, { ...ORDER, id: 'abc', type: 'restart' }, null, { id: '../../x', type: 'restart' }])
  const fails = at.requests.filter(({ url }) => url.endsWith('/fail'))
  assert.deepEqual(JSON.parse(fails[0].body), { error: 'failed: read-only', generation: 7 })
  assert.match(fails[1].body, /unsupported.*"retryable":false/)
  assert.equal(fails.length, 2)
})

test('a control plane that is gone, hostile or talks nonsense costs nothing but the heartbeat', async (t) => {
  const answers = [
    { status: 500 },
    { status: 302, headers: { location: 'http://127.0.0.1:1/' } },
    { text: 'not json' },
    { text: '"words"' },
    { text: '{"commands":{"length":1}}' },
    { text: 'x'.repeat(300_000) },
  ]
  let turn = 0
  const { at, client } = await speaking(t, () => answers[turn++ % answers.length])
  for (let n = 0; n < answers.length * 2; n += 1) assert.equal(typeof (await client.sendHeartbeat()), 'boolean')
  at.close()
  assert.equal(await client.sendHeartbeat(), false)
})

test('a script that is done ends while a heartbeat is under way, and one that waits for it does not', async (t) => {
  let answers = () => new Promise(() => {})
  const at = await server(() => answers())
  t.after(() => at.close())
  const path = (name) => JSON.stringify(fileURLToPath(new URL(name, import.meta.url)))
  const run = async (end) => {
    const script = `
      const post = require(${path('../lib/post.cjs')})
      const real = post.post
      let settled = 'under way'
      post.post = (...all) => {
        const answer = real(...all)
        answer.catch(() => {}).finally(() => { settled = 'settled' })
        return answer
      }
      const client = require(${path('../index.cjs')}).init(${JSON.stringify({ ...WHO, apiBase: at.url })})
      process.on('exit', () => console.log(settled))
      setTimeout(async () => { ${end} }, 200)`
    return (await promisify(execFile)(process.execPath, ['-e', script], { timeout: 60_000 })).stdout
  }
  assert.equal(await run(''), 'under way\n')
  answers = () => new Promise((resolve) => setTimeout(resolve, 500))
  assert.equal(await run('console.log(await client.sendHeartbeat())'), 'true\nsettled\n')
})

test('the secret is never sent in the clear or to nowhere', () => {
  for (const apiBase of ['http://control.example', 'ftp://127.0.0.1', 'https://user:pw@control.example', 'words', undefined]) {
    const client = createClient({ ...WHO, apiBase })
    assert.equal(client.mode, 'off')
    assert.match(client.problem, /apiBase/)
  }
  for (const [name, value] of [['merchantId', 'x'], ['pluginSecret', 'two words'], ['pluginVersion', undefined]]) {
    const { mode, problem } = createClient({ ...WHO, apiBase: 'https://control.example', [name]: value })
    assert.equal(mode, 'off')
    assert.ok(problem.includes(name) && !problem.includes('two words'))
  }
})
