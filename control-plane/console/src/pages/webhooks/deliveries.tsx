// What was sent, to whom, how often it was tried, and what was answered.
import { Button } from "@mantine/core";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useCalls } from "../../api/calls";
import type { Delivery } from "../../api/types";
import { useSpeech } from "../../app/language";
import { useLookEvery } from "../../app/live";
import { useMay } from "../../app/session";
import { Choice, Filters, Pager, useFilters } from "../../ui/filters";
import { Part } from "../../ui/page";
import { type Column, Rows } from "../../ui/rows";
import { Empty, Failure, Shown } from "../../ui/states";
import { Term } from "../../ui/term";
import { When } from "../../ui/when";
import { useDeed } from "../webhooks";

const NAMES = ["status", "webhook_id"] as const;
const STATUSES = ["pending", "delivered", "dead"] as const;

export function Deliveries() {
  const { t } = useSpeech();
  const api = useCalls();
  const asked = { ...useFilters(NAMES), limit: 30 };
  const found = useQuery({
    queryKey: ["deliveries", asked],
    queryFn: (signal) => api.deliveries(asked, signal),
    placeholderData: keepPreviousData,
    refetchInterval: useLookEvery(),
  });
  return (
    <>
      <Filters names={NAMES}>
        <Choice label={t("deliveries.title")} name="status" options={STATUSES} />
      </Filters>
      <Shown of={found} lines={6}>
        {({ things, next }) => (
          <>
            <Part title={t("deliveries.title")} flush>
              {things.length === 0 ? (
                <Empty icon="webhooks">{t("deliveries.empty")}</Empty>
              ) : (
                <List deliveries={things} />
              )}
            </Part>
            <Pager next={next} />
          </>
        )}
      </Shown>
    </>
  );
}

function List({ deliveries }: { deliveries: Delivery[] }) {
  const { t, number } = useSpeech();
  const may = useMay("pay_admin");
  const api = useCalls();
  const { busy, error, run } = useDeed();
  const columns: Column<Delivery>[] = [
    { title: t("webhook.event"), as: "wide", cell: (delivery) => delivery.kind },
    { title: t("webhook.status"), cell: (delivery) => <Term name={delivery.status} /> },
    { title: t("delivery.attempts"), as: "number", cell: (delivery) => number(delivery.attempts) },
    {
      title: t("delivery.answer"),
      cell: (delivery) => (
        <>
          {delivery.last_status ?? t("list.nothing")}
          {delivery.last_error && (
            <div className="small quiet" lang="en">
              {delivery.last_error}
            </div>
          )}
        </>
      ),
    },
    { title: t("delivery.made"), cell: (delivery) => <When at={delivery.created_at} /> },
    {
      title: t("delivery.next"),
      cell: (delivery) => <When at={delivery.status === "pending" ? delivery.next_attempt_at : null} />,
    },
    ...(may
      ? [
          {
            title: "",
            cell: (delivery: Delivery) =>
              delivery.status === "dead" && (
                <Button
                  size="compact-xs"
                  variant="default"
                  loading={busy === delivery.id}
                  onClick={() =>
                    run(delivery.id, async () =>
                      t("webhook.replayed", { n: (await api.replayDelivery(delivery.id)).deliveries }),
                    )
                  }
                >
                  {t("delivery.again")}
                </Button>
              ),
          },
        ]
      : []),
  ];
  return (
    <>
      {error !== null && <Failure error={error} />}
      <Rows label={t("deliveries.title")} columns={columns} rows={deliveries} id={(one) => one.id} />
    </>
  );
}
