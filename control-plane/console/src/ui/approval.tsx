// One question to people, the same wherever it is asked.
import { Button } from "@mantine/core";
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { useCalls } from "../api/calls";
import type { Approval, Vote } from "../api/types";
import { useSpeech } from "../app/language";
import { asText, cure, fields } from "../app/plain";
import { link } from "../app/router";
import { useMay, useSession } from "../app/session";
import { isWord, type Word } from "../words";
import { AskWhy } from "./ask-why";
import { Id } from "./parts";
import { Severity, Term } from "./term";
import { useTell } from "./toasts";
import { When } from "./when";

type Deed = "yes" | "no" | "remark";

export function ApprovalCard({ approval, withIncident = true }: { approval: Approval; withIncident?: boolean }) {
  const speech = useSpeech();
  const { t, term } = speech;
  const pending = approval.status === "pending";
  return (
    <article className="approval">
      <header>
        <h3>{whatOf(approval, speech)}</h3>
        <Term name={approval.status} />
        {approval.severity && <Severity name={approval.severity} />}
        <span className="quiet small push">
          {t(pending ? "approval.until" : "orders.ended")} <When at={pending ? approval.expires_at : approval.ended_at} />
        </span>
      </header>
      <div className="approval-body">
        <div>
          <p className="together">
            {withIncident && approval.incident_id && (
              <a {...link(`/incidents/${approval.incident_id}`)}>
                {approval.incident_type ? term(approval.incident_type) : t("approval.incident")}
              </a>
            )}
            <a {...link(`/plugins/${approval.plugin_id}`)}>{approval.product ?? t("plugin.title")}</a>
            <span className="mono">
              {approval.from_version} → {approval.to_version ?? "…"}
            </span>
            {approval.release_digest && <Id id={approval.release_digest} />}
          </p>
          <Reasons approval={approval} />
          {approval.requested_why && <p>“{approval.requested_why}”</p>}
          <p className="small quiet">
            {t("approval.askedBy", { who: term(approval.requested_by) })}, <When at={approval.requested_at} />
          </p>
        </div>
        <div>
          {pending && <Missing approval={approval} />}
          {pending && wantsSignatures(approval) && (
            <p className="small">
              {t("approval.byKey")} <code>plugmend approve {approval.id} --key KEY</code>
            </p>
          )}
          <Votes votes={approval.votes} />
          {approval.ended_why && (
            <p className="small quiet" lang="en">
              {approval.ended_why}
            </p>
          )}
        </div>
      </div>
      {pending && <Deeds approval={approval} />}
    </article>
  );
}

function whatOf(approval: Approval, speech: ReturnType<typeof useSpeech>): string {
  const action = approval.action === "update" ? "patch" : approval.action;
  return cure({ action, from: approval.from_version, to: approval.to_version }, speech);
}

/** Whether agents take only what people signed with keys of their own, which no browser of ours holds. */
function wantsSignatures(approval: Approval): boolean {
  const reasons = Array.isArray(approval.reasons) ? approval.reasons : [];
  return reasons.some((reason) => asText(fields(reason)["code"]) === "signed_approvals_needed");
}

function Reasons({ approval }: { approval: Approval }) {
  const { t } = useSpeech();
  const reasons = Array.isArray(approval.reasons) ? approval.reasons : [];
  if (reasons.length === 0) return null;
  return (
    <>
      <div className="small quiet">{t("approval.whyAsked")}</div>
      <ul className="numbers" lang="en">
        {reasons.map((reason, at) => (
          <li key={at}>{asText(fields(reason)["words"]) ?? asText(reason)}</li>
        ))}
      </ul>
    </>
  );
}

function Missing({ approval }: { approval: Approval }) {
  const { t, term } = useSpeech();
  const { people, one_of_each } = approval.missing;
  const roles = one_of_each.map(term).join(", ");
  return (
    <p className="call" data-tone="warn">
      <strong>{people === 1 ? t("approval.needsOne") : t("approval.needs", { n: people })}</strong>
      {roles !== "" && <span>{t("approval.amongThem", { roles })}</span>}
    </p>
  );
}

function Votes({ votes }: { votes: Vote[] }) {
  const { t } = useSpeech();
  return (
    <ul className="votes">
      {votes.map((vote, at) => (
        <li key={at}>
          <Term
            name={vote.says}
            tone={vote.says === "yes" ? "good" : vote.says === "no" ? "bad" : "quiet"}
            label={isWord(`approval.said.${vote.says}`) ? t(`approval.said.${vote.says}` as Word) : vote.says}
          />{" "}
          <strong>{vote.person}</strong>{" "}
          <span className="small quiet">
            {vote.signed_by !== null && `${t("approval.signed")}, `}
            <When at={vote.at} />
          </span>
          {vote.comment && <div>“{vote.comment}”</div>}
        </li>
      ))}
    </ul>
  );
}

function Deeds({ approval }: { approval: Approval }) {
  const { t } = useSpeech();
  const { person } = useSession();
  const may = useMay("pay_admin", "compliance_ops");
  const [deed, setDeed] = useState<Deed | null>(null);
  if (!may) return null;
  const own = approval.requested_by === person.subject;
  const spoke = approval.votes.some((vote) => vote.person === person.subject && vote.says === "yes");
  return (
    <footer className="approval-deeds">
      {own && <span className="quiet">{t("approval.mine")}</span>}
      {spoke && <span className="quiet">{t("approval.spoken")}</span>}
      {!own && !spoke && <Button onClick={() => setDeed("yes")}>{t("act.approve")}</Button>}
      <Button variant="default" onClick={() => setDeed("no")}>
        {t("act.reject")}
      </Button>
      <Button variant="subtle" onClick={() => setDeed("remark")}>
        {t("approval.remark")}
      </Button>
      {deed && <Ask approval={approval} deed={deed} close={() => setDeed(null)} />}
    </footer>
  );
}

function Ask({ approval, deed, close }: { approval: Approval; deed: Deed; close: () => void }) {
  const speech = useSpeech();
  const { t } = speech;
  const api = useCalls();
  const queries = useQueryClient();
  const tell = useTell();
  const what = whatOf(approval, speech);
  const done = async (said: Word) => {
    close();
    tell(t(said));
    await queries.invalidateQueries();
  };
  switch (deed) {
    case "yes":
      return (
        <AskWhy
          title={t("act.approve")}
          what={t("act.approveWhat", { what })}
          go={t("act.approve")}
          needed={false}
          act={async (comment) => {
            await api.sayYes(approval, comment);
            await done("act.approved");
          }}
          close={close}
        />
      );
    case "no":
      return (
        <AskWhy
          danger
          title={t("act.reject")}
          what={t("approval.rejectWhat", { what })}
          go={t("act.reject")}
          act={async (comment) => {
            await api.sayNo(approval.id, comment);
            await done("approval.rejected");
          }}
          close={close}
        />
      );
    case "remark":
      return (
        <AskWhy
          title={t("approval.remark")}
          what={t("approval.remarkWhat")}
          go={t("approval.remark")}
          act={async (comment) => {
            await api.remark(approval.id, comment);
            await done("approval.remarked");
          }}
          close={close}
        />
      );
  }
}
