// The control plane's API, by hand and small. The token goes into one header and nowhere else.
import type { Agent, Attempt, Command, Given, Incident, NewOrder, Plugin, PluginPage, Problem, Release } from "./types";

/** How long an answer is waited for, in milliseconds. */
const PATIENCE_MS = 20_000;

/** Why a request was not done: what the control plane said, or that nothing of use came back. */
export class ApiError extends Error {
  readonly problem: Problem | null;
  readonly kind: "problem" | "unreachable" | "unreadable";

  constructor(kind: ApiError["kind"], problem: Problem | null = null) {
    super(problem?.title ?? kind);
    this.kind = kind;
    this.problem = problem;
  }

  get status(): number {
    return this.problem?.status ?? 0;
  }
}

type Query = Record<string, string | number | null | undefined>;

export interface Api {
  plugins(after: string | null, limit: number, signal?: AbortSignal): Promise<PluginPage>;
  plugin(id: string, signal?: AbortSignal): Promise<Plugin>;
  /** Null where the plugin has no agent. */
  agent(pluginId: string, signal?: AbortSignal): Promise<Agent | null>;
  releases(product: string, signal?: AbortSignal): Promise<Release[]>;
  command(id: string, signal?: AbortSignal): Promise<Command>;
  /** The same `key` again is the same order, however often it is sent. */
  order(pluginId: string, order: NewOrder, key: string): Promise<Given>;
  incidents(query: Query, signal?: AbortSignal): Promise<Incident[]>;
  incident(id: string, signal?: AbortSignal): Promise<Incident>;
  attempts(query: Query, signal?: AbortSignal): Promise<Attempt[]>;
}

/** A client for the bearer of `token`; `refused` is told when the token is not (or no longer) taken. */
export function connect(token: string, refused: (problem: Problem) => void): Api {
  async function ask<T>(path: string, query: Query = {}, init: RequestInit = {}): Promise<T> {
    const answer = await send(path + search(query), token, init);
    if (answer.ok) return (await readJson(answer)) as T;
    const problem = await readProblem(answer);
    if (problem.status === 401) refused(problem);
    throw new ApiError("problem", problem);
  }
  const get = <T>(path: string, query: Query, signal?: AbortSignal) => ask<T>(path, query, signal ? { signal } : {});
  const id = encodeURIComponent;

  return {
    plugins: (after, limit, signal) => get("plugins", { after, limit }, signal),
    plugin: (plugin, signal) => get(`plugins/${id(plugin)}`, {}, signal),
    agent: (plugin, signal) =>
      get<Agent>(`agents/${id(plugin)}`, {}, signal).catch((error: unknown) => {
        if (error instanceof ApiError && error.problem?.error === "unknown_agent") return null;
        throw error;
      }),
    releases: async (product, signal) =>
      (await get<{ releases: Release[] }>("releases", { product, limit: 200 }, signal)).releases,
    command: (command, signal) => get(`commands/${id(command)}`, {}, signal),
    order: (plugin, order, key) =>
      ask(`plugins/${id(plugin)}/commands`, {}, {
        method: "POST",
        headers: { "content-type": "application/json", "idempotency-key": key },
        body: JSON.stringify(order),
      }),
    incidents: async (query, signal) =>
      (await get<{ incidents: Incident[] }>("plugin-incidents", query, signal)).incidents,
    incident: (incident, signal) => get(`plugin-incidents/${id(incident)}`, {}, signal),
    attempts: async (query, signal) =>
      (await get<{ attempts: Attempt[] }>("autopatch-attempts", query, signal)).attempts,
  };
}

async function send(path: string, token: string, init: RequestInit): Promise<Response> {
  const late = AbortSignal.timeout(PATIENCE_MS);
  const headers = new Headers(init.headers);
  try {
    headers.set("authorization", `Bearer ${token}`);
    return await fetch(`/api/ops/${path}`, {
      ...init,
      headers,
      signal: init.signal ? AbortSignal.any([init.signal, late]) : late,
      credentials: "omit",
      cache: "no-store",
    });
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new ApiError("unreachable");
  }
}

async function readJson(answer: Response): Promise<unknown> {
  try {
    return await answer.json();
  } catch {
    throw new ApiError("unreadable");
  }
}

async function readProblem(answer: Response): Promise<Problem> {
  const type = answer.headers.get("content-type") ?? "";
  if (type.startsWith("application/problem+json")) {
    const body = (await readJson(answer)) as Partial<Problem>;
    return { title: "", error: "unknown", ...body, status: answer.status };
  }
  // Not the control plane's own words: a proxy answers for it, most likely because it is away.
  throw new ApiError(answer.status >= 500 ? "unreachable" : "unreadable");
}

function search(query: Query): string {
  const given = Object.entries(query).flatMap(([name, value]) =>
    value === null || value === undefined || value === "" ? [] : [[name, String(value)]],
  );
  return given.length === 0 ? "" : `?${new URLSearchParams(given)}`;
}
