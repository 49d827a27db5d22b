// Who is told what happens, and whether they heard it.
import { Button } from "@mantine/core";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { useCalls } from "../api/calls";
import type { Webhook } from "../api/types";
import { useSpeech } from "../app/language";
import { useLookEvery } from "../app/live";
import { address, link } from "../app/router";
import { useMay } from "../app/session";
import { Page, Part } from "../ui/page";
import { Id } from "../ui/parts";
import { type Column, Rows } from "../ui/rows";
import { Empty, Failure, Shown } from "../ui/states";
import { Term } from "../ui/term";
import { useTell } from "../ui/toasts";
import { When } from "../ui/when";
import { Add } from "./webhooks/add";
import { Deliveries } from "./webhooks/deliveries";

export default function Webhooks() {
  const { t } = useSpeech();
  const api = useCalls();
  const may = useMay("pay_admin");
  const [adding, setAdding] = useState(false);
  const found = useQuery({
    queryKey: ["webhooks"],
    queryFn: (signal) => api.webhooks({ limit: 200 }, signal),
    refetchInterval: useLookEvery(),
  });
  return (
    <Page
      title={t("nav.webhooks")}
      lead={t("webhooks.lead")}
      actions={may && <Button onClick={() => setAdding(true)}>{t("webhooks.add")}</Button>}
    >
      <Part title={t("webhooks.receivers")} flush>
        <Shown of={found} lines={5}>
          {({ things }) =>
            things.length === 0 ? <Empty icon="webhooks">{t("webhooks.empty")}</Empty> : <List webhooks={things} />
          }
        </Shown>
      </Part>
      <Deliveries />
      {adding && <Add close={() => setAdding(false)} />}
    </Page>
  );
}

function List({ webhooks }: { webhooks: Webhook[] }) {
  const { t, number } = useSpeech();
  const may = useMay("pay_admin");
  const api = useCalls();
  const { busy, error, run } = useDeed();
  const columns: Column<Webhook>[] = [
    {
      title: t("webhook.event"),
      as: "wide",
      cell: (hook) => (
        <>
          <a className="row-link" data-row-link {...link(address("/webhooks", { webhook_id: hook.id }))}>
            {hook.event_type}
          </a>
          <div className="small quiet mono">{hook.url}</div>
        </>
      ),
    },
    {
      title: t("webhook.whose"),
      cell: (hook) => (hook.merchant_id ? <Id id={hook.merchant_id} /> : t("webhook.ours")),
    },
    { title: t("webhook.status"), cell: (hook) => <Term name={hook.status} /> },
    { title: t("webhook.waiting"), as: "number", cell: (hook) => number(hook.waiting) },
    { title: t("webhook.success"), cell: (hook) => <When at={hook.last_success_at} /> },
    {
      title: t("webhook.time"),
      as: "number",
      cell: (hook) => (hook.avg_response_time_ms === null ? t("list.nothing") : `${number(hook.avg_response_time_ms)} ms`),
    },
    ...(may
      ? [
          {
            title: "",
            cell: (hook: Webhook) => (
              <span className="together">
                <Button
                  size="compact-xs"
                  variant="default"
                  loading={busy === `replay ${hook.id}`}
                  onClick={() =>
                    run(`replay ${hook.id}`, async () =>
                      t("webhook.replayed", { n: (await api.replayWebhook(hook.id)).deliveries }),
                    )
                  }
                >
                  {t("webhook.replay")}
                </Button>
                <Button
                  size="compact-xs"
                  variant="default"
                  loading={busy === `switch ${hook.id}`}
                  onClick={() =>
                    run(`switch ${hook.id}`, async () => {
                      await api.switchWebhook(hook.id, hook.status === "disabled");
                      return t("webhook.switched");
                    })
                  }
                >
                  {t(hook.status === "disabled" ? "webhook.on" : "webhook.off")}
                </Button>
              </span>
            ),
          },
        ]
      : []),
  ];
  return (
    <>
      {error !== null && <Failure error={error} />}
      <Rows label={t("webhooks.receivers")} columns={columns} rows={webhooks} id={(one) => one.id} />
    </>
  );
}

/** One small deed at a time: runs it, says what came of it, and looks anew. */
export function useDeed() {
  const queries = useQueryClient();
  const tell = useTell();
  const [busy, setBusy] = useState<string | null>(null);
  const [error, setError] = useState<unknown>(null);
  const run = async (name: string, deed: () => Promise<string>) => {
    setBusy(name);
    setError(null);
    try {
      tell(await deed());
      await queries.invalidateQueries();
    } catch (failed) {
      setError(failed);
    } finally {
      setBusy(null);
    }
  };
  return { busy, error, run };
}
