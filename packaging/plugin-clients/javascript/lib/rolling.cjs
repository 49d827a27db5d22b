'use strict'

/** A sum over the last `slots * slotMs` milliseconds, in fixed memory: exact to one slot. */
class Rolling {
  #slots
  #slotMs
  #newest = 0

  constructor(slots, slotMs) {
    this.#slots = new Array(slots).fill(0)
    this.#slotMs = slotMs
  }

  add(now, by) {
    this.#turn(now)
    this.#slots[this.#newest % this.#slots.length] += by
  }

  sum(now) {
    this.#turn(now)
    return this.#slots.reduce((sum, slot) => sum + slot, 0)
  }

  /** Empties the slots that have come round since the last time. `now` is monotonic. */
  #turn(now) {
    const slot = Math.floor(now / this.#slotMs)
    const steps = Math.min(slot - this.#newest, this.#slots.length)
    for (let step = 1; step <= steps; step += 1) this.#slots[(slot - steps + step) % this.#slots.length] = 0
    this.#newest = Math.max(this.#newest, slot)
  }
}

module.exports = { Rolling }
