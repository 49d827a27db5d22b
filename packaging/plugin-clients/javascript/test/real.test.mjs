// Against the real agent and the real control plane; see tests/setup/client-stage.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import { Agent, api, ops, skipWithoutStage, until } from './support.mjs'

const require = createRequire(import.meta.url)
const { createClient } = require('../index.cjs')

async function running(t) {
  const agent = new Agent()
  await agent.start()
  t.after(() => agent.stop())
  return agent
}

function speaking(t, options) {
  const client = createClient({ pluginVersion: '1.0.0', ...options })
  t.after(() => client.close())
  return client
}

test('the agent counts what a shop says over its socket', { skip: skipWithoutStage }, async (t) => {
  const agent = await running(t)
  const client = speaking(t, { socket: agent.socket, env: { shop: '4.2' } })
  const shop = createServer((request, response) => {
    client.observe(response)
    response.writeHead(request.url === '/broken' ? 500 : 200).end()
  })
  t.after(() => shop.close())
  await once(shop.listen(0, '127.0.0.1'), 'listening')
  for (const path of ['/', '/cart', '/broken']) {
    await fetch(`http://127.0.0.1:${shop.address().port}${path}`, { headers: { connection: 'close' } })
  }
  for (const ok of [true, false, true]) client.webhook(ok)
  client.payment(false)
  client.gauge('queue', 17)
  client.logError('gateway', new Error('time-out'))
  const heard = await agent.heard('all of it', (now) => now.last_error && now.requests === 3 && now.webhook_total === 3)
  assert.equal(heard.errors, 2)
  assert.equal(heard.webhook_failed, 1)
  assert.equal(heard.last_error, 'gateway: time-out')
  assert.equal(heard.version, '1.0.0')
  assert.equal(client.dropped, 0)
})

test('and over UDP', { skip: skipWithoutStage }, async (t) => {
  const agent = await running(t)
  const client = speaking(t, { udp: agent.udp })
  for (let n = 0; n < 40; n += 1) client.request(n % 4 !== 0, 12.5)
  client.webhook(false)
  client.error('only counted here')
  const heard = await agent.heard('all of it', (now) => now.requests === 40 && now.webhook_total === 1)
  assert.equal(heard.errors, 11)
})

test('an agent that is restarted is found again', { skip: skipWithoutStage }, async (t) => {
  const agent = await running(t)
  const client = speaking(t, { socket: agent.socket })
  client.request(true)
  await agent.heard('the first request', (now) => now.requests === 1)
  await agent.stop()
  for (let n = 0; n < 7; n += 1) client.request(true)
  await agent.start()
  await agent.heard('what was said meanwhile', (now) => now.requests === 7)
})

test('an agent that is stopped in its tracks holds nobody up', { skip: skipWithoutStage }, async (t) => {
  const agent = await running(t)
  const client = speaking(t, { socket: agent.socket })
  client.request(true)
  await agent.heard('the first request', (now) => now.requests === 1)
  agent.signal('SIGSTOP')
  for (let round = 0; round < 20; round += 1) {
    for (let n = 0; n < 1000; n += 1) client.error('x'.repeat(200))
    await new Promise(setImmediate)
  }
  assert.ok(client.dropped > 0)
  agent.signal('SIGCONT')
  await until('a word after the flood, of which the agent may drop lines itself', async () => {
    client.webhook(true)
    return (await agent.status()).telemetry?.webhook_total > 0
  })
})

test('without an agent the control plane gets the heartbeat, gives an order and is answered', { skip: skipWithoutStage }, async (t) => {
  const merchant = await ops('POST', '/api/ops/merchants', { name: 'A shop without agent' })
  const plugin = await ops('POST', '/api/ops/plugins', { merchant_id: merchant.id, product: 'pay', cms: 'node' })
  const { plugin_secret: pluginSecret } = await ops('POST', `/api/ops/plugins/${plugin.id}/secret`)
  const set = []
  const client = speaking(t, {
    merchantId: merchant.id,
    pluginId: plugin.id,
    pluginSecret,
    apiBase: api(),
    commands: { config_update: ({ config }) => set.push(config) },
  })
  assert.deepEqual([client.mode, client.problem], ['agentless', null])
  for (let n = 0; n < 3; n += 1) client.logError('gateway', 'time-out')
  assert.equal(await client.sendHeartbeat(), true)
  await until('the errors to be known', async () => {
    await client.sendHeartbeat()
    return (await ops('GET', `/api/ops/plugins/${plugin.id}`)).error_count_24h === 3
  })
  const order = await ops('POST', `/api/ops/plugins/${plugin.id}/commands`, { type: 'config_update', config: { timeout_ms: 3000 } })
  await until('the order to be done', async () => {
    await client.sendHeartbeat()
    return (await ops('GET', `/api/ops/commands/${order.id}`)).status === 'completed'
  })
  assert.deepEqual(set, [{ timeout_ms: 3000 }])
  const forged = speaking(t, { merchantId: merchant.id, pluginId: plugin.id, pluginSecret: 'pms_forged', apiBase: api() })
  assert.equal(await forged.sendHeartbeat(), false)
})
