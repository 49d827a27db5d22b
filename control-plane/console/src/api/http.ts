// How the control plane is asked. The token goes into one header and nowhere else.
import type { Answered, Path, Verb } from "./typed";
import type { Problem } from "./types";

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

  /** The status of the answer; 0 when there was none. */
  get status(): number {
    return this.problem?.status ?? 0;
  }

  /** Whether this server has no such endpoint, as an older one would say. */
  get isUnknownPath(): boolean {
    return this.problem?.error === "unknown_path" || this.problem?.error === "method_not_allowed";
  }
}

export type Query = Record<string, string | number | boolean | null | undefined>;

/** What one request is made of; `{name}` in its path is filled in from `path`. */
export interface Asked<V extends Verb = Verb> {
  method?: V;
  path?: Record<string, string>;
  query?: Query;
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal | undefined;
}

/** What came back, with the version of it where there is one. */
export interface Answer<T> {
  value: T;
  etag: string | null;
}

/** Asks an endpoint by the path that the OpenAPI document has for it. */
export type Ask = <P extends Path, V extends Verb = "GET">(
  template: P,
  asked?: Asked<V>,
) => Promise<Answer<Answered<P, V>>>;

/** A way to ask for the bearer of `token`; `refused` is told when the token is not (or no longer) taken. */
export function connect(token: string, refused: (problem: Problem) => void): Ask {
  return async <P extends Path, V extends Verb = "GET">(template: P, asked: Asked<V> = {}) => {
    const answer = await send(address(template, asked), token, asked);
    if (answer.ok) {
      const value = (answer.status === 204 ? null : await readJson(answer)) as Answered<P, V>;
      return { value, etag: answer.headers.get("etag") };
    }
    const problem = await readProblem(answer);
    if (problem.status === 401) refused(problem);
    throw new ApiError("problem", problem);
  };
}

export function address(template: string, { path = {}, query = {} }: Asked): string {
  const filled = template.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(path[name] ?? ""));
  const given = Object.entries(query).flatMap(([name, value]) =>
    value === null || value === undefined || value === "" ? [] : [[name, String(value)]],
  );
  return given.length === 0 ? filled : `${filled}?${new URLSearchParams(given)}`;
}

async function send(url: string, token: string, asked: Asked): Promise<Response> {
  const late = AbortSignal.timeout(PATIENCE_MS);
  const headers = new Headers(asked.headers);
  try {
    headers.set("authorization", `Bearer ${token}`);
    if (asked.body !== undefined) headers.set("content-type", "application/json");
    return await fetch(url, {
      method: asked.method ?? "GET",
      body: asked.body === undefined ? null : JSON.stringify(asked.body),
      headers,
      signal: asked.signal ? AbortSignal.any([asked.signal, late]) : late,
      credentials: "omit",
      cache: "no-store",
    });
  } catch (error) {
    if (asked.signal?.aborted) throw error;
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
