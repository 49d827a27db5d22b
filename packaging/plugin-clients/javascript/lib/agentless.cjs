'use strict'
const { env, version } = require('./events.cjs')
const { base, post } = require('./post.cjs')
const { Commands } = require('./commands.cjs')
const { Rolling } = require('./rolling.cjs')
const { guardAsync, later } = require('./guard.cjs')

const HEARTBEAT_S = 120
const HOUR_MS = 3_600_000
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

/** Speaks to the control plane itself: counts, and a heartbeat every two minutes. */
class AgentlessMode {
  #options
  #base
  #env
  #errors = new Rolling(24, HOUR_MS)
  #webhooks = new Rolling(12, HOUR_MS / 12)
  #failed = new Rolling(12, HOUR_MS / 12)
  #commands
  #started = performance.now()
  #interval = HEARTBEAT_S
  #timer = null
  #beating = null
  #closed = false

  /** @returns {string | null} what is wrong with the options; never the secret */
  static complaint(options) {
    if (!UUID.test(options.merchantId) || !UUID.test(options.pluginId)) return 'merchantId and pluginId are not UUIDs'
    if (typeof options.pluginSecret !== 'string' || !/^[\x21-\x7e]{1,200}$/.test(options.pluginSecret)) {
      return 'pluginSecret is missing or has spaces in it'
    }
    if (version(options.pluginVersion) === undefined) return 'pluginVersion is missing or no version'
    if (base(options.apiBase) === null) return 'apiBase is not an https:// address (http:// to this machine only)'
    return null
  }

  constructor(options) {
    this.#options = options
    this.#base = base(options.apiBase)
    this.#env = { node: process.versions.node, ...env(options.env) }
    this.#commands = new Commands(options.commands, (id, verb, body) => this.#post(`commands/${id}/${verb}`, body))
    this.#beat(0)
  }

  /** Nothing is queued here, so nothing is dropped. */
  get dropped() {
    return 0
  }

  /** Counts an event; what a heartbeat has no field for is left out. */
  take(said) {
    const now = performance.now()
    if (said?.type === 'error' || (said?.type === 'request' && !said.ok)) this.#errors.add(now, 1)
    if (said?.type === 'webhook') {
      this.#webhooks.add(now, 1)
      if (!said.ok) this.#failed.add(now, 1)
    }
  }

  /** Sends a heartbeat and carries out what the answer orders. Whether it was taken. */
  async sendHeartbeat() {
    // Whoever waits for the outcome has it: only heartbeats that nobody waits for end with the process.
    const hold = setInterval(() => {}, 1000)
    try {
      return await this.#send()
    } finally {
      clearInterval(hold)
    }
  }

  /** One at a time: who comes meanwhile gets the outcome of the one under way. */
  #send() {
    this.#beating ??= guardAsync(async () => {
      const answer = await this.#post('heartbeat', this.#heartbeat())
      const wanted = Number(answer.tuning?.heartbeat_interval_s)
      if (Number.isFinite(wanted)) this.#interval = Math.min(Math.max(wanted, 1), 3600)
      await this.#commands.process(answer.commands)
      return true
    }, false).finally(() => {
      this.#beating = null
    })
    return this.#beating
  }

  processCommands(commands) {
    return this.#commands.process(commands)
  }

  async flush() {
    return true
  }

  close() {
    this.#closed = true
    clearTimeout(this.#timer)
  }

  #heartbeat() {
    const now = performance.now()
    const tried = this.#webhooks.sum(now)
    return {
      plugin_id: this.#options.pluginId,
      merchant_id: this.#options.merchantId,
      plugin_version: this.#options.pluginVersion,
      env: this.#env,
      errors_last_24h: this.#errors.sum(now),
      // Without deliveries there is no rate; 0 would say that all went well.
      webhook_fail_rate: tried > 0 ? this.#failed.sum(now) / tried : undefined,
      uptime: Math.floor((now - this.#started) / 1000),
      timestamp: new Date().toISOString(),
      capabilities: this.#commands.capabilities,
    }
  }

  #post(path, body) {
    const headers = {
      authorization: `Bearer ${this.#options.pluginSecret}`,
      'x-plugin-version': this.#options.pluginVersion,
    }
    return post(`${this.#base}/api/plugins/${path}`, headers, body)
  }

  #beat(ms) {
    if (this.#closed) return
    this.#timer = later(ms, async () => {
      await this.#send()
      // A fleet that was started by one deployment does not come back in one second.
      this.#beat(this.#interval * 1000 * (0.9 + Math.random() / 5))
    })
  }
}

module.exports = { AgentlessMode }
