// Server-sent events over fetch, because the browser's own EventSource can not send the token in a header. Format:
// https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation

export interface StreamEvent {
  type: string;
  data: string;
  id: string;
}

/** The longest event that is taken, in characters. */
const LONGEST = 1_000_000;

/** Takes the stream's text piece by piece and tells each event that is whole. */
export function reader(tell: (event: StreamEvent) => void): (piece: string) => void {
  let rest = "";
  let type = "";
  let data: string[] = [];
  let id = "";
  const line = (text: string) => {
    if (text === "") {
      if (data.length > 0) tell({ type: type || "message", data: data.join("\n"), id });
      type = "";
      data = [];
      return;
    }
    if (text.startsWith(":")) return;
    const colon = text.indexOf(":");
    const field = colon < 0 ? text : text.slice(0, colon);
    const value = colon < 0 ? "" : text.slice(colon + 1).replace(/^ /, "");
    if (field === "event") type = value;
    else if (field === "data") data.push(value);
    else if (field === "id" && !value.includes("\0")) id = value;
  };
  return (piece) => {
    rest += piece;
    if (rest.length > LONGEST) throw new Error("an event is too long");
    const lines = rest.split(/\r\n|\n|\r/);
    rest = lines.pop() ?? "";
    lines.forEach(line);
  };
}

/** Listens until the stream ends or `signal` says so; resolves with whether there is such a stream at all. */
export async function listen(
  url: string,
  token: string,
  after: string | null,
  told: { opened: () => void; event: (event: StreamEvent) => void },
  signal: AbortSignal,
): Promise<boolean> {
  const headers = new Headers({ authorization: `Bearer ${token}`, accept: "text/event-stream" });
  if (after !== null) headers.set("last-event-id", after);
  const answer = await fetch(url, { headers, signal, credentials: "omit", cache: "no-store" });
  if (!answer.ok || answer.body === null) {
    await answer.body?.cancel();
    return answer.status !== 404 && answer.status !== 403 && answer.status !== 401;
  }
  told.opened();
  const pieces = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  const take = reader(told.event);
  for (;;) {
    const { done, value } = await pieces.read();
    if (done) return true;
    take(value);
  }
}
