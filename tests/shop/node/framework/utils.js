"use strict";
// What a payment provider takes from its host framework, given here by the shop itself: a payment plugin runs inside a
// commerce framework, and for these tests this shop is that framework. Only the names that the plugin uses exist.

class AbstractPaymentProvider {
  constructor(container, options) {
    this.container = container;
    this.config = options;
  }

  getIdentifier() {
    return this.constructor.identifier;
  }
}

class BigNumber {
  constructor(value) {
    this.numeric = Number(value);
  }
}

const MathBN = {
  mult: (a, b) => Number(a) * Number(b),
  div: (a, b) => Number(a) / Number(b),
};

const PaymentActions = {
  AUTHORIZED: "authorized",
  SUCCESSFUL: "captured",
  FAILED: "failed",
  PENDING: "pending",
  PENDING_AUTHORIZATION: "pending_authorization",
  REQUIRES_MORE: "requires_more",
  CANCELED: "canceled",
  NOT_SUPPORTED: "not_supported",
};

const PaymentSessionStatus = {
  AUTHORIZED: "authorized",
  CAPTURED: "captured",
  PENDING: "pending",
  PENDING_AUTHORIZATION: "pending_authorization",
  REQUIRES_MORE: "requires_more",
  ERROR: "error",
  CANCELED: "canceled",
};

module.exports = {
  AbstractPaymentProvider,
  BigNumber,
  MathBN,
  PaymentActions,
  PaymentSessionStatus,
  Modules: { PAYMENT: "payment" },
  ModuleProvider: (module, { services }) => ({ module, services }),
  isDefined: (value) => value !== undefined,
  isPresent: (value) => value !== undefined && value !== null && value !== "",
};
