// Who did what, and when; and how anybody can prove that nothing of it was changed.
import { Code } from "@mantine/core";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useCalls } from "../api/calls";
import type { AuditEntry } from "../api/types";
import { useSpeech } from "../app/language";
import { link } from "../app/router";
import { Choice, Filters, Pager, useFilters, WordFilter } from "../ui/filters";
import { Page, Part } from "../ui/page";
import { Facts } from "../ui/parts";
import { type Column, Rows } from "../ui/rows";
import { Empty, Raw, Shown } from "../ui/states";
import { When } from "../ui/when";

const NAMES = ["actor_type", "actor", "action", "plugin_id", "merchant_id"] as const;
const KINDS = ["ops", "sira", "merchant", "system"] as const;

export default function Audit() {
  const { t } = useSpeech();
  const api = useCalls();
  const asked = { ...useFilters(NAMES), limit: 50 };
  const found = useQuery({
    queryKey: ["audit", asked],
    queryFn: (signal) => api.audit(asked, signal),
    placeholderData: keepPreviousData,
  });
  return (
    <Page title={t("nav.audit")} lead={t("audit.lead")}>
      <Filters names={NAMES}>
        <Choice label={t("audit.kind")} name="actor_type" options={KINDS} />
        <WordFilter label={t("audit.actor")} name="actor" />
        <WordFilter label={t("audit.action")} name="action" hint="incident_opened" />
      </Filters>
      <Shown of={found} lines={8}>
        {({ things, next }) => (
          <>
            {things.length === 0 ? (
              <Empty icon="audit">{t("audit.empty")}</Empty>
            ) : (
              <Part flush>
                <List entries={things} />
              </Part>
            )}
            <Pager next={next} />
          </>
        )}
      </Shown>
      <Proof />
    </Page>
  );
}

function List({ entries }: { entries: AuditEntry[] }) {
  const { t, term, number } = useSpeech();
  const columns: Column<AuditEntry>[] = [
    {
      title: t("audit.action"),
      as: "wide",
      cell: (entry) => (
        <>
          <span className="row-link">{entry.action.replaceAll("_", " ")}</span>
          <details className="inline">
            <summary>
              {t("audit.details")}
              <span className="unseen"> {entry.id}</span>
            </summary>
            <Raw value={entry.details} label={`${t("audit.details")} ${entry.id}`} />
          </details>
        </>
      ),
    },
    {
      title: t("audit.who"),
      cell: (entry) => (
        <>
          {entry.actor_id ?? term(entry.actor_type)}
          {entry.actor_id !== null && <div className="small quiet">{term(entry.actor_type)}</div>}
        </>
      ),
    },
    {
      title: t("audit.about"),
      cell: (entry) =>
        entry.merchant_plugin_id ? (
          <a {...link(`/plugins/${entry.merchant_plugin_id}`)}>
            {t("plugin.title")} <span className="mono">…{entry.merchant_plugin_id.slice(-8)}</span>
          </a>
        ) : (
          t("list.nothing")
        ),
    },
    { title: t("audit.when"), cell: (entry) => <When at={entry.created_at} /> },
    {
      title: t("audit.place"),
      as: "number",
      cell: (entry) =>
        entry.place === null ? <span className="quiet">{t("audit.unsealed")}</span> : number(entry.place),
    },
  ];
  return <Rows label={t("nav.audit")} columns={columns} rows={entries} id={(one) => one.id} />;
}

function Proof() {
  const { t, number } = useSpeech();
  const api = useCalls();
  const found = useQuery({
    queryKey: ["audit", "checkpoints"],
    queryFn: async (signal) => {
      let newest: string | null = null;
      let after: string | null = null;
      // Each page ends further on; the last one holds the newest.
      for (let page = 0; page < 50; page += 1) {
        const { things, next } = await api.checkpoints({ limit: 10_000, after }, signal);
        newest = things.at(-1) ?? newest;
        if (next === null) break;
        after = next;
      }
      return newest;
    },
    staleTime: 60_000,
  });
  return (
    <Part title={t("audit.proof")}>
      <p className="measure">{t("audit.proofWhat")}</p>
      <Shown of={found} lines={2}>
        {(note) => {
          if (note === null) return <p className="quiet">{t("audit.noCheckpoint")}</p>;
          const [origin = "", size = "0", head = ""] = note.split("\n");
          return (
            <Facts
              facts={[
                [t("audit.newest"), <span key="origin" className="mono">{origin}</span>],
                [t("audit.entries"), number(Number(size))],
                ["SHA-256", <span key="head" className="mono small">{head}</span>],
              ]}
            />
          );
        }}
      </Shown>
      <p className="small quiet">{t("audit.verify")}</p>
      <Code block tabIndex={0}>plugmend audit verify --key KEY --checkpoints FILE</Code>
    </Part>
  );
}
