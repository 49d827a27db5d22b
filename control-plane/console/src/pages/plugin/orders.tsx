// The orders that were given to a plugin, the newest first, each as far as it came.
import { useQuery } from "@tanstack/react-query";
import { useCalls } from "../../api/calls";
import { ApiError } from "../../api/http";
import type { Command, Plugin } from "../../api/types";
import { useSpeech } from "../../app/language";
import { useLive } from "../../app/live";
import { asText, fields } from "../../app/plain";
import { Part } from "../../ui/page";
import { type Column, Rows } from "../../ui/rows";
import { Empty, Shown } from "../../ui/states";
import { Term } from "../../ui/term";
import { When } from "../../ui/when";

const ENDED = new Set(["completed", "failed", "timeout"]);
/** How often orders under way are looked at, in milliseconds: they are followed step by step. */
const FOLLOW_MS = 1500;
const LOOK_MS = 15_000;

export function Orders({ plugin }: { plugin: Plugin }) {
  const { t } = useSpeech();
  const api = useCalls();
  const live = useLive();
  const found = useQuery({
    queryKey: ["commands", { plugin_id: plugin.id }],
    queryFn: (signal) => api.commands({ plugin_id: plugin.id, limit: 20 }, signal),
    refetchInterval: (query) => {
      const open = query.state.data?.things.some((order) => !ENDED.has(order.status));
      return open && !live ? FOLLOW_MS : LOOK_MS;
    },
  });
  if (found.error instanceof ApiError && found.error.isUnknownPath) return null;
  return (
    <Part title={t("plugin.orders")} flush>
      <Shown of={found}>
        {({ things }) =>
          things.length === 0 ? <Empty icon="attempts">{t("plugin.noOrders")}</Empty> : <List orders={things} />
        }
      </Shown>
    </Part>
  );
}

function List({ orders }: { orders: Command[] }) {
  const { t, term } = useSpeech();
  const nothing = t("list.nothing");
  const columns: Column<Command>[] = [
    {
      title: t("orders.what"),
      as: "wide",
      cell: (order) => (
        <>
          {term(order.type)} <span className="mono">{asText(fields(order.payload)["version"])}</span>
          <div className="small quiet">{asText(fields(order.payload)["reason"])}</div>
        </>
      ),
    },
    {
      title: t("plugin.status"),
      cell: (order) => (
        <>
          <Term name={order.status} />
          {!ENDED.has(order.status) && <div className="small quiet">{asText(fields(order.progress)["step"])}</div>}
        </>
      ),
    },
    { title: t("orders.by"), cell: (order) => order.created_by ?? nothing },
    { title: t("orders.given"), cell: (order) => <When at={order.created_at} /> },
    {
      title: t("orders.ended"),
      cell: (order) => (
        <>
          <When at={order.completed_at} />
          {order.error_message && (
            <div className="small" lang="en">
              {order.error_message}
            </div>
          )}
        </>
      ),
    },
  ];
  return <Rows label={t("plugin.orders")} columns={columns} rows={orders} id={(one) => one.id} />;
}
