'use strict'
const { event, words } = require('./events.cjs')
const { AgentMode } = require('./agent.cjs')
const { AgentlessMode } = require('./agentless.cjs')
const { guard, guardAsync } = require('./guard.cjs')

/** Used where there is nobody to speak to: everything is taken and nothing happens. */
const NOBODY = {
  dropped: 0,
  take() {},
  async sendHeartbeat() {
    return false
  },
  async processCommands() {},
  async flush() {
    return false
  },
  close() {},
}

/** The mode that the options ask for, and what is wrong with them. */
function open(options) {
  const Mode = options.socket !== undefined || options.udp !== undefined ? AgentMode : AgentlessMode
  const problem = Mode.complaint(options)
  if (problem !== null) return { name: 'off', mode: NOBODY, problem }
  return { name: Mode === AgentMode ? 'agent' : 'agentless', mode: new Mode(options), problem: null }
}

/** See index.d.cts. No method throws, and no promise rejects. */
class Client {
  #mode

  constructor(options) {
    const failed = { name: 'off', mode: NOBODY, problem: 'the options can not be read' }
    const { name, mode, problem } = guard(() => open(options ?? {}), failed)
    this.#mode = mode
    this.mode = name
    this.problem = problem
  }

  get dropped() {
    return this.#mode.dropped
  }

  request(ok, ms) {
    guard(() => this.#mode.take(event.request(ok, ms)))
  }

  error(message) {
    guard(() => this.#mode.take(event.error(message instanceof Error ? message.message : message)))
  }

  webhook(ok) {
    guard(() => this.#mode.take(event.webhook(ok)))
  }

  payment(ok) {
    guard(() => this.#mode.take(event.counter('payments', 1)))
    if (ok === false) guard(() => this.#mode.take(event.counter('payments.failed', 1)))
  }

  count(name, by = 1) {
    guard(() => this.#mode.take(event.counter(name, by)))
  }

  gauge(name, value) {
    guard(() => this.#mode.take(event.gauge(name, value)))
  }

  observe(response) {
    guard(() => {
      const began = performance.now()
      const tell = () => this.request(response.statusCode < 500, performance.now() - began)
      response.once('finish', () => guard(tell))
    })
  }

  logError(type, data) {
    guard(() => this.#mode.take(event.error(words(type, data))))
  }

  trackWebhookCall(success) {
    this.webhook(Boolean(success))
  }

  sendHeartbeat() {
    return guardAsync(() => this.#mode.sendHeartbeat(), false)
  }

  processCommands(commands) {
    return guardAsync(() => this.#mode.processCommands(commands))
  }

  flush(ms = 1000) {
    return guardAsync(() => this.#mode.flush(ms), false)
  }

  async close() {
    await this.flush()
    guard(() => this.#mode.close())
    this.#mode = NOBODY
  }
}

module.exports = { Client }
