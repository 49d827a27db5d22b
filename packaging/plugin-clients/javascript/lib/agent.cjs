'use strict'
const { event, version } = require('./events.cjs')
const { StreamTransport } = require('./stream.cjs')
const { UdpTransport, address } = require('./udp.cjs')
const { later } = require('./guard.cjs')

/** Said again from time to time, for an agent that was started after the plugin. */
const HELLO_EVERY_MS = 120_000

/** Speaks to the agent on this machine. The agent sends the heartbeats and carries out the orders. */
class AgentMode {
  #transport
  #version
  #env
  #timer = null
  #refused = 0

  /** @returns {string | null} what is wrong with the options */
  static complaint(options) {
    if (options.socket !== undefined && (typeof options.socket !== 'string' || options.socket === '')) {
      return 'socket is not the path of a Unix socket'
    }
    if (options.socket === undefined && address(String(options.udp)) === null) {
      return 'udp is not an address on loopback such as 127.0.0.1:8125'
    }
    return null
  }

  constructor(options) {
    this.#version = version(options.pluginVersion)
    this.#env = { node: process.versions.node, ...options.env }
    this.#transport =
      options.socket !== undefined ? new StreamTransport(options.socket) : new UdpTransport(address(options.udp))
    this.#hello()
  }

  get dropped() {
    return this.#transport.dropped + this.#refused
  }

  /** Takes an event; `null` is one that was not in order. */
  take(said) {
    if (said === null) this.#refused += 1
    else this.#transport.send(said, this.#version)
  }

  async sendHeartbeat() {
    this.take(event.hello(this.#env))
    return this.#transport.flush(1000)
  }

  async processCommands() {}

  flush(ms) {
    return this.#transport.flush(ms)
  }

  close() {
    clearTimeout(this.#timer)
    this.#transport.close()
  }

  #hello() {
    this.take(event.hello(this.#env))
    this.#timer = later(HELLO_EVERY_MS, () => this.#hello())
  }
}

module.exports = { AgentMode }
