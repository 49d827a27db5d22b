// Signing in at an OpenID provider: the code flow with PKCE (RFC 7636), done by the browser alone. What has to be
// remembered until people come back lies in this tab's sessionStorage, and is used once.
import type { Values, Word } from "../words";
import { SIGNED_IN } from "./pages";

const KEY = "plugmend.sign-in";

/** Where people sign in, as the control plane says. */
export interface Provider {
  issuer: string;
  client_id: string;
  scope: string;
}

export class SignInError extends Error {
  readonly word: Word;
  readonly values: Values;
  constructor(word: Word, values: Values = {}) {
    super(word);
    this.word = word;
    this.values = values;
  }
}

interface Begun {
  state: string;
  verifier: string;
  to: string;
}

/** The provider, or null where people bring a token. */
export async function provider(): Promise<Provider | null> {
  const answer = await fetch("/console.json", { credentials: "omit", cache: "no-store" });
  if (!answer.ok) return null;
  const { sign_in } = (await answer.json()) as { sign_in: Provider | null };
  return sign_in;
}

/** Sends the person there; `to` is where they wanted to be. */
export async function begin(at: Provider, to: string): Promise<void> {
  const { authorization_endpoint } = await about(at);
  const begun: Begun = { state: random(), verifier: random(), to: to === SIGNED_IN ? "/" : to };
  window.sessionStorage.setItem(KEY, JSON.stringify(begun));
  const query = new URLSearchParams({
    response_type: "code",
    client_id: at.client_id,
    redirect_uri: window.location.origin + SIGNED_IN,
    scope: at.scope,
    state: begun.state,
    code_challenge: await challenge(begun.verifier),
    code_challenge_method: "S256",
  });
  window.location.assign(`${authorization_endpoint}?${query}`);
}

/** Trades the code that people came back with for a token. */
export async function finish(at: Provider | null, query: URLSearchParams): Promise<{ token: string; to: string }> {
  const stored = window.sessionStorage.getItem(KEY);
  window.sessionStorage.removeItem(KEY);
  const begun = stored === null ? null : (JSON.parse(stored) as Begun);
  const refused = query.get("error_description") ?? query.get("error");
  if (refused !== null) throw new SignInError("signIn.refused", { why: refused.slice(0, 200) });
  const code = query.get("code");
  if (at === null || begun === null || code === null || query.get("state") !== begun.state) {
    throw new SignInError("signIn.notOurs");
  }
  const { token_endpoint } = await about(at);
  const answer = await fetch(token_endpoint, {
    method: "POST",
    body: new URLSearchParams({
      grant_type: "authorization_code",
      client_id: at.client_id,
      redirect_uri: window.location.origin + SIGNED_IN,
      code,
      code_verifier: begun.verifier,
    }),
    credentials: "omit",
    cache: "no-store",
  });
  const said = (await answer.json().catch(() => ({}))) as { access_token?: string; error?: string };
  if (!answer.ok || said.access_token === undefined) {
    throw new SignInError("signIn.refused", { why: said.error ?? String(answer.status) });
  }
  return { token: said.access_token, to: begun.to };
}

/** What the provider says of itself (OpenID Connect Discovery 1.0 section 4). */
async function about(at: Provider): Promise<{ authorization_endpoint: string; token_endpoint: string }> {
  const answer = await fetch(`${at.issuer}/.well-known/openid-configuration`, { credentials: "omit" }).catch(() => null);
  if (!answer?.ok) throw new SignInError("signIn.refused", { why: at.issuer });
  return (await answer.json()) as { authorization_endpoint: string; token_endpoint: string };
}

function random(): string {
  return base64url(crypto.getRandomValues(new Uint8Array(32)));
}

async function challenge(verifier: string): Promise<string> {
  return base64url(new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier))));
}

function base64url(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}
