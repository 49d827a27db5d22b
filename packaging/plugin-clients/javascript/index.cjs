'use strict'
const { Client } = require('./lib/client.cjs')
const { guard } = require('./lib/guard.cjs')

/** What stands for `init` until it is called: takes everything, does nothing. */
let current = new Client({})

/** Options from the environment, as the reference client reads them; `PLUGMEND_SOCKET` and `PLUGMEND_UDP` name an agent. */
function fromEnvironment(variables) {
  const options = guard(() => JSON.parse(variables.MOLAM_PLUGIN_CONFIG ?? '{}'), {})
  const { MOLAM_API_BASE: apiBase, PLUGMEND_SOCKET: socket, PLUGMEND_UDP: udp } = variables
  return Object.fromEntries(Object.entries({ apiBase, socket, udp, ...options }).filter(([, value]) => value !== undefined))
}

function createClient(options) {
  return new Client(options)
}

function init(options) {
  void current.close()
  current = new Client(guard(() => ({ ...fromEnvironment(process.env), ...options }), null))
  return current
}

module.exports = {
  createClient,
  init,
  request: (ok, ms) => current.request(ok, ms),
  error: (message) => current.error(message),
  webhook: (ok) => current.webhook(ok),
  payment: (ok) => current.payment(ok),
  count: (name, by) => current.count(name, by),
  gauge: (name, value) => current.gauge(name, value),
  observe: (response) => current.observe(response),
  logError: (type, data) => current.logError(type, data),
  trackWebhookCall: (success) => current.trackWebhookCall(success),
  sendHeartbeat: () => current.sendHeartbeat(),
  processCommands: (commands) => current.processCommands(commands),
  flush: (ms) => current.flush(ms),
  close: () => current.close(),
}
