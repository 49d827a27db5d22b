import { useEffect, useState } from "react";
import { ApiError } from "../api/client";
import type { Command, Json } from "../api/types";
import { useSpeech } from "../app/language";
import { useApi } from "../app/session";
import { type Column, Rows } from "../ui/rows";
import { Empty, Failure } from "../ui/states";
import { Term } from "../ui/term";
import { When } from "../ui/when";

const ENDED = new Set(["completed", "failed", "timeout"]);
/** How often an order that has not ended is looked at, in milliseconds. */
const LOOK_MS = 2000;

/** The orders named, followed until they have ended. */
export function Orders({ ids }: { ids: string[] }) {
  const { t } = useSpeech();
  const [orders, error, again] = useOrders(ids);
  const columns: Column<Command>[] = [
    {
      title: t("orders.what"),
      cell: (order) => (
        <>
          <Term name={order.type} /> {text(order.payload, "version")}
        </>
      ),
    },
    { title: t("plugin.status"), cell: (order) => <Term name={order.status} /> },
    { title: t("order.reason"), cell: (order) => text(order.payload, "reason") },
    { title: t("orders.by"), cell: (order) => order.created_by ?? t("list.nothing") },
    { title: t("orders.given"), cell: (order) => <When at={order.created_at} /> },
    { title: t("orders.ended"), cell: (order) => <When at={order.completed_at} /> },
    { title: t("orders.detail"), cell: (order) => order.error_message ?? t("list.nothing") },
  ];
  return (
    <div aria-live="polite">
      {ids.length === 0 && <Empty>{t("orders.empty")}</Empty>}
      {orders.length > 0 && <Rows label={t("orders.title")} columns={columns} rows={orders} />}
      {error !== null && <Failure error={error} again={again} />}
    </div>
  );
}

function useOrders(ids: string[]): [Command[], unknown, () => void] {
  const api = useApi();
  const [round, setRound] = useState(0);
  const [known, setKnown] = useState<Record<string, Command>>({});
  const [error, setError] = useState<unknown>(null);
  const key = ids.join(" ");

  useEffect(() => {
    const stop = new AbortController();
    let timer = 0;
    // Those that have ended do not change any more; those that are under way are looked at while somebody looks here.
    let open = key === "" ? [] : key.split(" ");
    const look = async () => {
      try {
        if (document.visibilityState === "visible") {
          const fresh = await Promise.all(open.map((id) => api.command(id, stop.signal)));
          setKnown((before) => ({ ...before, ...Object.fromEntries(fresh.map((order) => [order.id, order])) }));
          setError(null);
          open = fresh.filter((order) => !ENDED.has(order.status)).map((order) => order.id);
        }
        if (open.length > 0 && !stop.signal.aborted) timer = window.setTimeout(look, LOOK_MS);
      } catch (failed) {
        // No more looks by itself: the person sees why, and asks again.
        if (!stop.signal.aborted) setError(failed instanceof ApiError ? failed : String(failed));
      }
    };
    if (open.length > 0) void look();
    return () => {
      stop.abort();
      window.clearTimeout(timer);
    };
  }, [api, key, round]);

  return [ids.flatMap((id) => known[id] ?? []), error, () => setRound((n) => n + 1)];
}

function text(payload: Json, field: string): string {
  const value = payload !== null && typeof payload === "object" && !Array.isArray(payload) ? payload[field] : null;
  return typeof value === "string" ? value : "";
}
