// An OpenID provider that knows one person: enough to try the code flow with PKCE (RFC 7636) against.
import { createHash, randomUUID } from "node:crypto";
import { createServer } from "node:http";

/** Starts it; `token` is asked for the token that a spent code gives. `asked` is what came, for tests to look at. */
export async function startProvider(token) {
  const codes = new Map();
  const asked = [];
  const server = createServer(async (request, response) => {
    const url = new URL(request.url, "http://provider");
    response.setHeader("access-control-allow-origin", "*");
    const json = (status, body) => {
      response.writeHead(status, { "content-type": "application/json" });
      response.end(JSON.stringify(body));
    };
    if (url.pathname === "/.well-known/openid-configuration") {
      const { port } = server.address();
      const at = `http://127.0.0.1:${port}`;
      return json(200, { issuer: at, authorization_endpoint: `${at}/authorize`, token_endpoint: `${at}/token` });
    }
    if (url.pathname === "/authorize") {
      const query = Object.fromEntries(url.searchParams);
      asked.push(query);
      const code = randomUUID();
      codes.set(code, query.code_challenge);
      const back = new URL(query.redirect_uri);
      back.search = new URLSearchParams({ code, state: query.state });
      response.writeHead(302, { location: back.href });
      return response.end();
    }
    if (url.pathname === "/token" && request.method === "POST") {
      let body = "";
      for await (const piece of request) body += piece;
      const form = new URLSearchParams(body);
      const wanted = codes.get(form.get("code"));
      codes.delete(form.get("code"));
      const shown = createHash("sha256").update(form.get("code_verifier") ?? "").digest("base64url");
      if (wanted === undefined || wanted !== shown) return json(400, { error: "invalid_grant" });
      return json(200, { access_token: token(), token_type: "Bearer", expires_in: 3600 });
    }
    return json(404, { error: "not_found" });
  });
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  return {
    address: `http://127.0.0.1:${server.address().port}`,
    asked,
    stop: () => new Promise((stopped) => server.close(stopped)),
  };
}
