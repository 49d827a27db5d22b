// What every page says while it waits, when something went wrong, and when there is nothing.
import { Alert, Button, Code, Group, Loader, Text } from "@mantine/core";
import type { ReactNode } from "react";
import { ApiError } from "../api/client";
import { useSpeech } from "../app/language";
import type { Loaded } from "../app/load";

export function Failure({ error, again }: { error: unknown; again?: () => void }) {
  const { t } = useSpeech();
  const problem = error instanceof ApiError ? error.problem : null;
  const title = problem?.title || t("error.title");
  return (
    <Alert color="red" title={title} role="alert" variant="light">
      <Text size="sm">{inWords(error, t)}</Text>
      {problem && (
        <Text size="xs" mt="xs">
          {t("error.code", { code: problem.error, status: problem.status })}
        </Text>
      )}
      {again && (
        <Button mt="sm" size="xs" variant="default" onClick={again}>
          {t("state.retry")}
        </Button>
      )}
    </Alert>
  );
}

function inWords(error: unknown, t: ReturnType<typeof useSpeech>["t"]): string {
  if (!(error instanceof ApiError)) return t("error.other", { what: String(error) });
  if (error.kind === "unreachable") return t("error.unreachable");
  if (error.kind === "unreadable") return t("error.unreadable");
  return error.problem?.detail ?? "";
}

/** Draws what was loaded, or the state of waiting for it. */
export function Shown<T>({ loaded, again, children }: {
  loaded: Loaded<T>;
  again: () => void;
  children: (value: T) => ReactNode;
}) {
  const { t } = useSpeech();
  switch (loaded.state) {
    case "loading":
      return (
        <Group role="status" py="lg" gap="sm">
          <Loader size="sm" />
          <Text>{t("state.loading")}</Text>
        </Group>
      );
    case "failed":
      return <Failure error={loaded.error} again={again} />;
    case "here":
      return <>{children(loaded.value)}</>;
  }
}

export function Empty({ children }: { children: ReactNode }) {
  return (
    <Text py="lg" c="dimmed" role="status">
      {children}
    </Text>
  );
}

/** Stored JSON as it is; React escapes whatever is in it. */
export function Raw({ value, label }: { value: unknown; label: string }) {
  return (
    <Code block tabIndex={0} role="region" aria-label={label} mah={360} style={{ overflow: "auto" }}>
      {JSON.stringify(value, null, 2)}
    </Code>
  );
}
