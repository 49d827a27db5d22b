// Whose shops these are, and what they want of automatic changes.
import { Button } from "@mantine/core";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useCalls } from "../api/calls";
import type { Merchant } from "../api/types";
import { useSpeech } from "../app/language";
import { address, link } from "../app/router";
import { useMay } from "../app/session";
import { Pager, useFilters } from "../ui/filters";
import { Page, Part } from "../ui/page";
import { Id } from "../ui/parts";
import { type Column, Rows } from "../ui/rows";
import { Empty, Shown } from "../ui/states";
import { Term } from "../ui/term";
import { When } from "../ui/when";
import { readWindow, useWindowWords } from "./merchants/window";
import { Wishes } from "./merchants/wishes";

export default function Merchants() {
  const { t } = useSpeech();
  const api = useCalls();
  const asked = { ...useFilters([] as const), limit: 50 };
  const found = useQuery({
    queryKey: ["merchants", asked],
    queryFn: (signal) => api.merchants(asked, signal),
    placeholderData: keepPreviousData,
  });
  const [wishing, setWishing] = useState<Merchant | null>(null);
  return (
    <Page title={t("nav.merchants")} lead={t("merchants.lead")}>
      <Shown of={found} lines={8}>
        {({ things, next }) => (
          <>
            {things.length === 0 ? (
              <Empty icon="merchants">{t("merchants.empty")}</Empty>
            ) : (
              <Part flush>
                <List merchants={things} wish={setWishing} />
              </Part>
            )}
            <Pager next={next} />
          </>
        )}
      </Shown>
      {wishing && <Wishes merchant={wishing} close={() => setWishing(null)} />}
    </Page>
  );
}

function List({ merchants, wish }: { merchants: Merchant[]; wish: (merchant: Merchant) => void }) {
  const { t } = useSpeech();
  const may = useMay("pay_admin", "merchant_admin");
  const words = useWindowWords();
  const columns: Column<Merchant>[] = [
    {
      title: t("plugin.merchant"),
      as: "wide",
      cell: (merchant) => (
        <>
          <a className="row-link" data-row-link {...link(address("/plugins", { merchant_id: merchant.id }))}>
            {merchant.name}
          </a>{" "}
          <Id id={merchant.id} />
        </>
      ),
    },
    {
      title: t("merchant.automatic"),
      cell: (merchant) => (
        <Term
          name="wish"
          tone={merchant.autopatch_opt_out ? "warn" : "good"}
          label={t(merchant.autopatch_opt_out ? "merchant.out" : "merchant.in")}
        />
      ),
    },
    {
      title: t("merchant.window"),
      cell: (merchant) => (merchant.autopatch_opt_out ? t("list.nothing") : words(readWindow(merchant.maintenance_window))),
    },
    {
      title: t("incident.title"),
      cell: (merchant) => <a {...link(address("/incidents", { merchant_id: merchant.id }))}>{t("nav.incidents")}</a>,
    },
    { title: t("merchant.since"), cell: (merchant) => <When at={merchant.created_at} /> },
    ...(may
      ? [
          {
            title: "",
            cell: (merchant: Merchant) => (
              <Button size="compact-xs" variant="default" onClick={() => wish(merchant)}>
                {t("merchant.wishes")}
                <span className="unseen"> {merchant.name}</span>
              </Button>
            ),
          },
        ]
      : []),
  ];
  return <Rows label={t("nav.merchants")} columns={columns} rows={merchants} id={(one) => one.id} />;
}
