// The policy: read, tried on what was, changed with a reason; and who changed it before, and why.
import { Alert, Button } from "@mantine/core";
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { type Change, useCalls } from "../api/calls";
import { ApiError } from "../api/http";
import type { PolicyView } from "../api/types";
import { usePolicy } from "../app/kill-switch";
import { useSpeech } from "../app/language";
import { useMay } from "../app/session";
import { AskWhy } from "../ui/ask-why";
import { Page } from "../ui/page";
import { Shown } from "../ui/states";
import { useTell } from "../ui/toasts";
import { When } from "../ui/when";
import { DryRun } from "./policy/dry-run";
import { Changes, Fields, shownValue, useFieldName } from "./policy/fields";
import { History } from "./policy/history";

export default function PolicyPage() {
  const { t } = useSpeech();
  const policy = usePolicy();
  const [draft, setDraft] = useState<Change>({});
  const [saving, setSaving] = useState(false);
  const may = useMay("pay_admin");
  const changed = Object.keys(draft).length;
  return (
    <Page
      title={t("nav.policy")}
      lead={policy.data ? <Since view={policy.data.value} /> : t("policy.lead")}
      actions={
        changed > 0 && (
          <>
            <Button variant="default" onClick={() => setDraft({})}>
              {t("policy.reset")}
            </Button>
            {may && <Button onClick={() => setSaving(true)}>{t("policy.save")}</Button>}
          </>
        )
      }
    >
      <Shown of={policy} lines={12}>
        {({ value, etag }) => (
          <>
            <div className="columns">
              <div className="column-main">
                <Fields policy={value.policy} draft={draft} change={setDraft} />
              </div>
              <div className="column-side">
                <DryRun draft={draft} />
                <History version={value.version} />
              </div>
            </div>
            {saving && (
              <Save view={value} etag={etag ?? ""} draft={draft} done={() => setDraft({})} close={() => setSaving(false)} />
            )}
          </>
        )}
      </Shown>
    </Page>
  );
}

function Since({ view }: { view: PolicyView }) {
  const { t } = useSpeech();
  return (
    <>
      {t("policy.version", { n: view.version })} <When at={view.updated_at} both />{" "}
      {view.updated_by && t("policy.by", { who: view.updated_by })}
    </>
  );
}

function Save({ view, etag, draft, done, close }: {
  view: PolicyView;
  etag: string;
  draft: Change;
  done: () => void;
  close: () => void;
}) {
  const { t } = useSpeech();
  const api = useCalls();
  const queries = useQueryClient();
  const tell = useTell();
  const name = useFieldName();
  const [overtaken, setOvertaken] = useState(false);
  const changes = Object.fromEntries(
    Object.entries(draft).map(([field, is]) => [field, { was: view.policy[field] ?? null, is }]),
  );
  return (
    <AskWhy
      danger
      title={t("policy.saveTitle")}
      what={
        <>
          <p>{t("policy.saveWhat")}</p>
          <Changes changes={changes} name={name} value={shownValue} />
        </>
      }
      go={t("policy.save")}
      act={async (reason, key) => {
        try {
          queries.setQueryData(["policy"], await api.changePolicy(draft, reason, etag, key));
        } catch (refused) {
          if (refused instanceof ApiError && refused.problem?.error === "policy_changed") {
            setOvertaken(true);
            await queries.invalidateQueries({ queryKey: ["policy"] });
          }
          throw refused;
        }
        done();
        close();
        tell(t("policy.saved"));
        await queries.invalidateQueries();
      }}
      close={close}
    >
      {overtaken && <Alert color="yellow">{t("policy.overtaken")}</Alert>}
    </AskWhy>
  );
}
