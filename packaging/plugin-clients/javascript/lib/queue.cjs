'use strict'

/** The most events that wait. */
const MAX_WAITING = 1000
/** Older ones are worth nothing: the agent would count them as of now, and an hour's errors at once are an alarm. */
const MAX_AGE_MS = 60_000

/** Events on their way to the agent: bounded in number and age, the oldest go first. */
class Queue {
  #items = []
  #max
  #now

  constructor({ max = MAX_WAITING, now = () => performance.now() } = {}) {
    this.#max = max
    this.#now = now
    /** Events that were given up, since the start. */
    this.dropped = 0
  }

  get length() {
    return this.#items.length
  }

  push(line) {
    if (this.#items.length >= this.#max) {
      this.#items.shift()
      this.dropped += 1
    }
    this.#items.push({ line, at: this.#now() })
  }

  /** Lines of at most `bytes` in all, oldest first, and always at least one while there are any. */
  take(bytes) {
    const oldest = this.#now() - MAX_AGE_MS
    let lines = ''
    let length = 0
    while (this.#items.length > 0) {
      const { line, at } = this.#items[0]
      const size = Buffer.byteLength(line)
      if (at >= oldest && length > 0 && length + size > bytes) break
      this.#items.shift()
      if (at < oldest) {
        this.dropped += 1
        continue
      }
      lines += line
      length += size
    }
    return lines
  }
}

module.exports = { Queue, MAX_WAITING, MAX_AGE_MS }
