// What every page says while it waits, when something went wrong, and when there is nothing.
import { Alert, Button, Code, Skeleton } from "@mantine/core";
import type { UseQueryResult } from "@tanstack/react-query";
import { type ReactNode, useEffect, useState } from "react";
import { ApiError } from "../api/http";
import { type Speech, useSpeech } from "../app/language";
import { link } from "../app/router";
import { Icon, type IconName } from "./icon";
import { Page } from "./page";
import { When } from "./when";

export function Failure({ error, again }: { error: unknown; again?: () => void }) {
  const { t } = useSpeech();
  const problem = error instanceof ApiError ? error.problem : null;
  return (
    <Alert color="red" title={problem?.title || t("error.title")} role="alert" variant="light" className="failure">
      <p>{inWords(error, t)}</p>
      {problem && <p className="small quiet">{t("error.code", { code: problem.error, status: problem.status })}</p>}
      {again && (
        <Button size="xs" variant="default" onClick={again}>
          {t("state.retry")}
        </Button>
      )}
    </Alert>
  );
}

function inWords(error: unknown, t: Speech["t"]): string {
  if (!(error instanceof ApiError)) return t("error.other", { what: String(error) });
  if (error.kind === "unreachable") return t("error.unreachable");
  if (error.kind === "unreadable") return t("error.unreadable");
  return error.problem?.detail ?? "";
}

/** Draws what was asked for, or the state of waiting for it; what was here stays while it is asked for anew. */
export function Shown<T>({ of, children, lines = 4 }: {
  of: UseQueryResult<T>;
  children: (value: T) => ReactNode;
  lines?: number;
}) {
  const { t } = useSpeech();
  const again = () => void of.refetch();
  // During an upgrade the console may be newer than the control plane that answers.
  if (of.data === undefined && of.error instanceof ApiError && of.error.isUnknownPath) {
    return <Empty icon="search">{t("error.older")}</Empty>;
  }
  if (of.data === undefined) return of.error ? <Failure error={of.error} again={again} /> : <Waiting lines={lines} />;
  return (
    <>
      {of.error !== null && (
        <p className="old" role="alert">
          {t("state.old")} (<When at={new Date(of.dataUpdatedAt).toISOString()} />)
        </p>
      )}
      {children(of.data)}
    </>
  );
}

/** Grey lines, after a moment: an answer that comes at once is not announced. */
export function Waiting({ lines = 4 }: { lines?: number }) {
  const { t } = useSpeech();
  const [late, setLate] = useState(false);
  useEffect(() => {
    const timer = window.setTimeout(() => setLate(true), 200);
    return () => window.clearTimeout(timer);
  }, []);
  return (
    <div role="status" className="waiting" aria-busy="true">
      <span className="unseen">{t("state.loading")}</span>
      {late && Array.from({ length: lines }, (_, line) => <Skeleton key={line} height={18} width={`${92 - line * 9}%`} />)}
    </div>
  );
}

export function Empty({ icon = "calm", children, action }: { icon?: IconName; children: ReactNode; action?: ReactNode }) {
  return (
    <div className="empty">
      <Icon name={icon} size={28} />
      <p>{children}</p>
      {action}
    </div>
  );
}

export function NotFound() {
  const { t } = useSpeech();
  return (
    <Page title={t("error.notFound")}>
      <Empty icon="search" action={<a {...link("/")}>{t("error.home")}</a>}>
        {t("error.notFoundWhat")}
      </Empty>
    </Page>
  );
}

/** Stored JSON as it is; React escapes whatever is in it. */
export function Raw({ value, label }: { value: unknown; label: string }) {
  return (
    <Code block tabIndex={0} role="region" aria-label={label} className="raw">
      {JSON.stringify(value, null, 2)}
    </Code>
  );
}
