/** An order from the control plane to a plugin without agent. */
export interface Command {
  id: string
  type: CommandKind
  payload: CommandPayload
}

export type CommandKind = 'update' | 'rollback' | 'config_update' | 'health_check' | 'restart'

export interface CommandPayload {
  version?: string
  config?: Record<string, unknown>
  reason?: string
  generation?: number
  [field: string]: unknown
}

/** Carries an order out. What it returns is reported; what it throws fails the order. */
export type CommandHandler = (payload: CommandPayload) => unknown | Promise<unknown>

interface CommonOptions {
  /** The version of the plugin's code that is running. */
  pluginVersion?: string
  /** Versions of what the plugin runs on, by name; Node's own is added. At most 16, of 64 characters each. */
  env?: Record<string, string | number>
}

/** Where the agent listens. With both given, the socket is used. */
interface AgentAddress {
  /** The agent's `telemetry.socket`. */
  socket?: string | undefined
  /** The agent's `telemetry.udp`, an address on loopback. Error messages and `env` do not travel this way. */
  udp?: string | undefined
}

/** For a host with an agent. */
export type AgentOptions = CommonOptions & AgentAddress & ({ socket: string } | { udp: string })

/** For a host without an agent. */
export interface AgentlessOptions extends CommonOptions {
  merchantId: string
  pluginId: string
  pluginSecret: string
  pluginVersion: string
  /** The control plane's API, `https://…` (`http://` to this machine only). */
  apiBase: string
  /** What the plugin can do when ordered; it is sent no other orders. */
  commands?: Partial<Record<CommandKind, CommandHandler>>
}

export type Options = AgentOptions | AgentlessOptions

/** What `observe` needs of a response: Node's own has it. */
export interface ObservedResponse {
  statusCode: number
  once(event: 'finish', listener: () => void): unknown
}

/** No method throws, no promise rejects, nothing waits for the network. */
export interface Client {
  /** Whom it speaks to. `off`: to nobody, `problem` says why. */
  readonly mode: 'agent' | 'agentless' | 'off'
  /** What is wrong with the options, in words for a log; never the secret. */
  readonly problem: string | null
  /** Events that were given up: the agent was away for too long, or they were not in order. */
  readonly dropped: number
  /** A request was served; `ok` false when it failed (and then it counts as an error too); `ms` is how long it took. */
  request(ok: boolean, ms?: number): void
  /** An error outside of a request. */
  error(message?: string | Error): void
  /** A webhook delivery, and how it went. */
  webhook(ok: boolean): void
  /** A payment, and how it went: the counters `payments` and `payments.failed`. */
  payment(ok: boolean): void
  /** A counter of the plugin's own: letters, digits, `_ . -`; at most 63 names. */
  count(name: string, by?: number): void
  /** A gauge of the plugin's own. */
  gauge(name: string, value: number): void
  /** Says `request` by itself when the response is finished; 5xx is a failure. */
  observe(response: ObservedResponse): void
  /** The reference client's name for `error`. */
  logError(type: string | Error, data?: unknown): void
  /** The reference client's name for `webhook`. */
  trackWebhookCall(success: boolean): void
  /** Sends a heartbeat now (to an agent: a hello). Whether it was taken. */
  sendHeartbeat(): Promise<boolean>
  /** Carries out orders; called by itself for those in a heartbeat's answer. With an agent it does nothing. */
  processCommands(commands: Command[]): Promise<void>
  /** Ends when everything was handed over, or after `ms` (1000). Whether it was. */
  flush(ms?: number): Promise<boolean>
  /** Flushes, then falls silent. */
  close(): Promise<void>
}

/** A client of one's own. */
export function createClient(options: Options): Client

/**
 * Makes the client that the functions below speak through. What is not given is read from the environment:
 * `MOLAM_PLUGIN_CONFIG` (the options as JSON), `MOLAM_API_BASE`, `PLUGMEND_SOCKET`, `PLUGMEND_UDP`.
 */
export function init(options?: AgentAddress & Partial<AgentlessOptions>): Client

export function request(ok: boolean, ms?: number): void
export function error(message?: string | Error): void
export function webhook(ok: boolean): void
export function payment(ok: boolean): void
export function count(name: string, by?: number): void
export function gauge(name: string, value: number): void
export function observe(response: ObservedResponse): void
export function logError(type: string | Error, data?: unknown): void
export function trackWebhookCall(success: boolean): void
export function sendHeartbeat(): Promise<boolean>
export function processCommands(commands: Command[]): Promise<void>
export function flush(ms?: number): Promise<boolean>
export function close(): Promise<void>
