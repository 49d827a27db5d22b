'use strict'
// The two notations of the agent: JSON, one object a line, for its stream socket; DogStatsD for its UDP port.

/** An event as a line of JSON. */
function json(event, version) {
  return `${JSON.stringify({ ...event, version })}\n`
}

/** A number as DogStatsD has it. */
const number = (value) => String(value)

/** An event as lines of DogStatsD. The words of an error and what the plugin runs on have no place there. */
function statsd(event, version) {
  const tags = (ok) => {
    const all = [...(ok === undefined ? [] : [`ok:${ok}`]), ...(version === undefined ? [] : [`version:${version}`])]
    return all.length === 0 ? '' : `|#${all.join(',')}`
  }
  switch (event.type) {
    case 'request':
      return `requests:1|c${tags(event.ok)}\n${event.ms === undefined ? '' : `latency:${number(event.ms)}|ms\n`}`
    case 'error':
      return `errors:1|c${tags()}\n`
    case 'webhook':
      return `webhook:1|c${tags(event.ok)}\n`
    case 'counter':
      return `${event.name}:${number(event.value)}|c\n`
    case 'gauge':
      return `${event.name}:${number(event.value)}|g\n`
    default:
      return ''
  }
}

module.exports = { json, statsd }
