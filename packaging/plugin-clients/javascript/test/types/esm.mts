// Compiled, never run: what a plugin author may write, and what the types must refuse.
import { createClient, init, request, webhook, payment, logError, close, type Client, type Command } from '../../index.mjs'

const agent: Client = init({ socket: '/run/plugmend/shop.sock', pluginVersion: '1.2.3', env: { shop: '4.2' } })
const alone: Client = createClient({
  merchantId: 'm',
  pluginId: 'p',
  pluginSecret: 's',
  pluginVersion: '1.2.3',
  apiBase: 'https://control.example',
  commands: { config_update: async ({ config }) => Object.keys(config ?? {}) },
})
const orders: Command[] = [{ id: '1', type: 'restart', payload: {} }]
await alone.processCommands(orders)
const taken: boolean = await agent.sendHeartbeat()
request(taken, 12)
webhook(false)
payment(true)
logError('gateway', new Error('time-out'))
const mode: 'agent' | 'agentless' | 'off' = agent.mode
await close()
export { mode }

// @ts-expect-error without a secret there is no agentless client
createClient({ merchantId: 'm', pluginId: 'p', pluginVersion: '1', apiBase: 'https://control.example' })
// @ts-expect-error a webhook went well or not
webhook('yes')
// @ts-expect-error there is no such order
orders.push({ id: '1', type: 'reboot', payload: {} })
// @ts-expect-error what it is, is not the plugin's to say
agent.dropped = 0
