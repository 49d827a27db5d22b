'use strict'
const { text } = require('./events.cjs')
const { guardAsync } = require('./guard.cjs')

/** Orders that are looked at in one answer. */
const MAX_AT_ONCE = 16
/** Results that are remembered: the same order twice is answered, not carried out again. */
const MAX_REMEMBERED = 64
const PATIENCE_MS = 60_000

/** The kinds of orders there are. A plugin declares those that it has a handler for, and is sent no others. */
const KINDS = ['update', 'rollback', 'config_update', 'health_check', 'restart']

function within(ms, work) {
  let timer
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`timeout: no end within ${ms / 1000} s`)), ms)
    timer.unref()
  })
  return Promise.race([work, late]).finally(() => clearTimeout(timer))
}

/** What JSON has no words for is told as text: an order that was carried out must be answered. */
function sayable(result) {
  try {
    return JSON.stringify(result) === undefined ? null : result
  } catch {
    return text(result)
  }
}

/** Carries orders out by the plugin's own handlers and reports how it went. */
class Commands {
  #handlers
  #report
  #results = new Map()

  /** `report(id, 'ack' | 'fail', body)` tells the control plane. */
  constructor(handlers, report) {
    this.#handlers = new Map(KINDS.filter((kind) => typeof handlers?.[kind] === 'function').map((k) => [k, handlers[k]]))
    this.#report = report
  }

  get capabilities() {
    return [...this.#handlers.keys()]
  }

  async process(commands) {
    if (!Array.isArray(commands)) return
    for (const command of commands.slice(0, MAX_AT_ONCE)) await guardAsync(() => this.#one(command))
  }

  async #one({ id, type, payload }) {
    if (typeof id !== 'string' || !/^[0-9a-fA-F-]{1,64}$/.test(id)) return
    const generation = payload?.generation
    const key = `${id} ${generation ?? ''}`
    if (!this.#results.has(key)) this.#remember(key, await this.#carryOut(type, payload ?? {}))
    const { verb, body } = this.#results.get(key)
    await this.#report(id, verb, generation === undefined ? body : { ...body, generation })
  }

  async #carryOut(type, payload) {
    const handler = this.#handlers.get(type)
    if (handler === undefined) {
      return { verb: 'fail', body: { error: `unsupported: this plugin can not ${text(type, 40)}`, retryable: false } }
    }
    try {
      const result = await within(PATIENCE_MS, Promise.resolve(handler(payload)))
      return { verb: 'ack', body: { result: sayable(result) } }
    } catch (error) {
      return { verb: 'fail', body: { error: `failed: ${text(error?.message ?? error)}` } }
    }
  }

  #remember(key, result) {
    if (this.#results.size >= MAX_REMEMBERED) this.#results.delete(this.#results.keys().next().value)
    this.#results.set(key, result)
  }
}

module.exports = { Commands, KINDS }
