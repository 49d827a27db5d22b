'use strict'
// What a plugin can say. Events are made and bounded here, so that the two notations only have to write them down:
// the agent refuses a line that is not in order, and a refused line says nothing.

/** Texts are cut here; the agent keeps no more than 200 bytes. */
const MAX_TEXT = 200
const MAX_ENV = 16
/** Keeps the longest possible hello below the 8,192 bytes of a line, escapes included. */
const MAX_ENV_TEXT = 64

const NAME = /^[A-Za-z][A-Za-z0-9_.-]{0,89}$/
const ENV_NAME = /^[A-Za-z][A-Za-z0-9_.-]{0,39}$/
/** Characters that mean something in DogStatsD do not occur in versions. */
const VERSION = /^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$/

/**
 * The first line of `value` as text of at most `max` characters that UTF-8 can write (a lone surrogate can not be read by the
 * agent). What follows it in an error's words is often a stack trace, with what the shop's functions were given.
 */
function text(value, max = MAX_TEXT) {
  const whole = typeof value === 'string' ? value : String(value)
  const [first] = whole.slice(0, max).split(/[\r\n]/, 1)
  return Buffer.from(first, 'utf8').toString('utf8')
}

/** A version, or nothing when it is none. */
function version(value) {
  return typeof value === 'string' && VERSION.test(value) ? value : undefined
}

/** What the plugin runs on: versions by name. */
function env(values) {
  const kept = {}
  for (const [name, value] of Object.entries(values ?? {}).slice(0, MAX_ENV)) {
    if (ENV_NAME.test(name) && value !== undefined && value !== null) kept[name] = text(value, MAX_ENV_TEXT)
  }
  return kept
}

/** The words of an error: `type: what data says`. */
function words(type, data) {
  const said = data instanceof Error ? data.message : data && typeof data === 'object' ? data.message : data
  const before = type instanceof Error ? type.message : text(type)
  return said === undefined || said === null ? text(before) : text(`${before}: ${text(said)}`)
}

const named = (name) => typeof name === 'string' && NAME.test(name)
const milliseconds = (value) => (Number.isFinite(value) && value >= 0 && value <= 86_400_000 ? value : undefined)

/** What is not in order gives `null`, and is counted as dropped by the caller. */
const event = {
  hello: (environment) => ({ type: 'hello', env: env(environment) }),
  request: (ok, ms) => ({ type: 'request', ok: ok !== false, ms: milliseconds(ms) }),
  error: (message) => ({ type: 'error', message: message === undefined || message === null ? undefined : text(message) }),
  webhook: (ok) => ({ type: 'webhook', ok: ok !== false }),
  counter: (name, by) => (named(name) && Number.isFinite(by) && by >= 0 ? { type: 'counter', name, value: by } : null),
  gauge: (name, value) => (named(name) && Number.isFinite(value) ? { type: 'gauge', name, value } : null),
}

module.exports = { event, text, version, env, words }
