'use strict'
const net = require('node:net')
const { json } = require('./notation.cjs')
const { Queue } = require('./queue.cjs')
const { guard, later } = require('./guard.cjs')

const FIRST_PAUSE_MS = 250
const LONGEST_PAUSE_MS = 30_000
/** Written at once; while the agent has not read it, the rest waits in the queue. */
const CHUNK = 16 * 1024

/** The agent's Unix stream socket. Connects by itself, again and again; nothing here keeps the process alive. */
class StreamTransport {
  #path
  #queue = new Queue()
  #socket = null
  #ready = false
  #pause = FIRST_PAUSE_MS
  #timer = null
  #scheduled = false
  #closed = false

  constructor(path) {
    this.#path = path
    this.#connect()
  }

  get dropped() {
    return this.#queue.dropped
  }

  get waiting() {
    return this.#queue.length + (this.#socket?.writableLength ?? 0)
  }

  send(event, version) {
    if (this.#closed) return
    this.#queue.push(json(event, version))
    // What is said within one turn of the event loop is one write.
    if (this.#ready && !this.#scheduled) {
      this.#scheduled = true
      setImmediate(() => guard(() => this.#write()))
    }
  }

  /** Ends when the agent has been given everything, or after `ms`. */
  async flush(ms) {
    const until = performance.now() + ms
    guard(() => this.#write())
    while (this.waiting > 0 && performance.now() < until) {
      await new Promise((resolve) => setTimeout(resolve, 10))
      guard(() => this.#write())
    }
    return this.waiting === 0
  }

  close() {
    this.#closed = true
    clearTimeout(this.#timer)
    this.#socket?.end()
    this.#socket?.unref()
  }

  #connect() {
    if (this.#closed) return
    const socket = net.createConnection({ path: this.#path })
    socket.unref()
    this.#socket = socket
    socket.on('connect', () => {
      this.#ready = true
      this.#pause = FIRST_PAUSE_MS
      guard(() => this.#write())
    })
    socket.on('drain', () => guard(() => this.#write()))
    // An agent that stops says so before the socket is closed: what is said from here on waits for the next one.
    socket.on('end', () => {
      this.#ready = false
    })
    // The agent says nothing; whatever came would be read away.
    socket.resume()
    // An error is followed by "close".
    socket.on('error', () => {})
    socket.on('close', () => {
      this.#ready = false
      this.#socket = null
      if (this.#closed) return
      this.#timer = later(this.#pause * (0.75 + Math.random() / 2), () => this.#connect())
      this.#pause = Math.min(this.#pause * 2, LONGEST_PAUSE_MS)
    })
  }

  #write() {
    this.#scheduled = false
    while (this.#ready && this.#queue.length > 0 && !this.#socket.writableNeedDrain) {
      const lines = this.#queue.take(CHUNK)
      if (lines !== '') this.#socket.write(lines)
    }
  }
}

module.exports = { StreamTransport }
