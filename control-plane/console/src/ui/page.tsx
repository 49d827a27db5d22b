// A page's heading, which takes the focus when one comes to the page, so that keyboard and screen reader start there.
import { Button, Group, Stack, Title } from "@mantine/core";
import { type ReactNode, useEffect, useRef } from "react";
import { useSpeech } from "../app/language";

export function Page({ title, again, actions, children }: {
  title: string;
  again?: () => void;
  actions?: ReactNode;
  children: ReactNode;
}) {
  const { t } = useSpeech();
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => heading.current?.focus({ preventScroll: true }), []);
  useEffect(() => {
    document.title = `${title} · ${t("app.name")}`;
  }, [title, t]);
  return (
    <Stack gap="md">
      <Group justify="space-between" align="center">
        <Title order={1} size="h2" ref={heading} tabIndex={-1} style={{ outline: "none" }}>
          {title}
        </Title>
        <Group gap="xs">
          {actions}
          {again && (
            <Button variant="default" size="xs" onClick={again}>
              {t("state.again")}
            </Button>
          )}
        </Group>
      </Group>
      {children}
    </Stack>
  );
}
