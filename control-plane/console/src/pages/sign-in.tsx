import { Alert, Button, Code, PasswordInput, Stack, Text } from "@mantine/core";
import { type FormEvent, useState } from "react";
import { connect } from "../api/client";
import { useSpeech } from "../app/language";
import { useSession } from "../app/session";
import { Page } from "../ui/page";
import { Failure } from "../ui/states";

/** A token is tried against the API before it is kept. */
export function SignIn() {
  const { t } = useSpeech();
  const { signIn, ended } = useSession();
  const [token, setToken] = useState("");
  const [error, setError] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);

  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    const wanted = token.trim();
    try {
      await connect(wanted, () => undefined).plugins(null, 1);
      signIn(wanted);
    } catch (refused) {
      setError(refused);
      setBusy(false);
    }
  };

  return (
    <Page title={t("signIn.title")}>
      <form onSubmit={submit} style={{ maxWidth: "32rem" }}>
        <Stack>
          {ended !== null && error === null && (
            <Alert variant="default" title={t("signIn.ended")} role="status">
              {ended}
            </Alert>
          )}
          {/* Without a name, so that no form ever carries it anywhere. */}
          <PasswordInput
            label={t("signIn.token")}
            description={t("signIn.hint")}
            value={token}
            onChange={(event) => setToken(event.currentTarget.value)}
            autoComplete="off"
            spellCheck={false}
            required
          />
          {error !== null && <Failure error={error} />}
          <Button type="submit" loading={busy} disabled={token.trim() === ""}>
            {t("signIn.go")}
          </Button>
          <Text size="sm" c="dimmed">
            {t("signIn.dev")} <Code>plugmend-control-plane --dev dev-token</Code>
          </Text>
        </Stack>
      </form>
    </Page>
  );
}
