// What was published; blocked at once where it does harm.
import { Button } from "@mantine/core";
import { keepPreviousData, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { useCalls } from "../api/calls";
import type { Release } from "../api/types";
import { useSpeech } from "../app/language";
import { useMay } from "../app/session";
import { isWord, type Word } from "../words";
import { AskWhy } from "../ui/ask-why";
import { Filters, Pager, useFilters, WordFilter } from "../ui/filters";
import { Page, Part } from "../ui/page";
import { Id } from "../ui/parts";
import { type Column, Rows } from "../ui/rows";
import { Empty, Shown } from "../ui/states";
import { Severity, Term } from "../ui/term";
import { useTell } from "../ui/toasts";
import { When } from "../ui/when";

const NAMES = ["product"] as const;

export default function Releases() {
  const { t } = useSpeech();
  const api = useCalls();
  const asked = { ...useFilters(NAMES), limit: 100 };
  const found = useQuery({
    queryKey: ["releases", asked],
    queryFn: (signal) => api.releases(asked, signal),
    placeholderData: keepPreviousData,
  });
  const [blocking, setBlocking] = useState<Release | null>(null);
  return (
    <Page title={t("nav.releases")} lead={t("releases.lead")}>
      <Filters names={NAMES}>
        <WordFilter label={t("plugin.product")} name="product" />
      </Filters>
      <Shown of={found} lines={8}>
        {({ things, next }) => (
          <>
            {things.length === 0 ? (
              <Empty icon="releases">{t("releases.empty")}</Empty>
            ) : (
              <Part flush>
                <List releases={things} block={setBlocking} />
              </Part>
            )}
            <Pager next={next} />
          </>
        )}
      </Shown>
      {blocking && <Block release={blocking} close={() => setBlocking(null)} />}
    </Page>
  );
}

function List({ releases, block }: { releases: Release[]; block: (release: Release) => void }) {
  const { t, term, number } = useSpeech();
  const may = useMay("pay_admin");
  const size = (bytes: number) =>
    number(bytes / 1e6, { style: "unit", unit: "megabyte", unitDisplay: "short", maximumFractionDigits: 1 });
  const columns: Column<Release>[] = [
    {
      title: t("release.title"),
      as: "wide",
      cell: (release) => (
        <>
          <span className="row-link">{release.product}</span> <span className="mono">{release.version}</span>{" "}
          <Id id={release.digest} />
        </>
      ),
    },
    {
      title: t("release.state"),
      cell: (release) => (
        <>
          <Term name={release.state} />
          {release.reason && <div className="small quiet">{release.reason}</div>}
        </>
      ),
    },
    {
      title: t("release.impact"),
      cell: (release) => (
        <>
          <Severity name={release.impact} />
          {release.approvals_required > 0 && (
            <div className="small">{t("release.approvals", { n: release.approvals_required })}</div>
          )}
        </>
      ),
    },
    { title: t("release.fixes"), cell: (release) => release.fixes.map(term).join(", ") || t("list.nothing") },
    {
      title: t("release.undo"),
      cell: ({ undo }) => (isWord(`release.undo.${undo}`) ? t(`release.undo.${undo}` as Word) : undo),
    },
    { title: t("release.size"), as: "number", cell: (release) => size(release.pack_bytes) },
    { title: t("release.published"), cell: (release) => <When at={release.published_at} /> },
    ...(may
      ? [
          {
            title: "",
            cell: (release: Release) =>
              (release.state === "published" || release.state === "blocked") && (
                <Button size="compact-xs" variant="default" onClick={() => block(release)}>
                  {t(release.state === "published" ? "release.block" : "release.lift")}
                  <span className="unseen">
                    {" "}
                    {release.product} {release.version}
                  </span>
                </Button>
              ),
          },
        ]
      : []),
  ];
  return (
    <Rows label={t("nav.releases")} columns={columns} rows={releases} id={(one) => `${one.product} ${one.version}`} />
  );
}

function Block({ release, close }: { release: Release; close: () => void }) {
  const { t } = useSpeech();
  const api = useCalls();
  const queries = useQueryClient();
  const tell = useTell();
  const lift = release.state === "blocked";
  const name = `${release.product} ${release.version}`;
  return (
    <AskWhy
      danger={!lift}
      title={t(lift ? "release.lift" : "release.block")}
      what={t(lift ? "release.liftWhat" : "release.blockWhat", { release: name })}
      go={t(lift ? "release.lift" : "release.block")}
      act={async (reason) => {
        const { orders_ended: n } = await api.block(release, lift, reason);
        close();
        tell(lift ? t("release.lifted") : t("release.blocked", { n }));
        await queries.invalidateQueries();
      }}
      close={close}
    />
  );
}
