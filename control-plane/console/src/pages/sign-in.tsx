import { Alert, Button, Code, PasswordInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { type FormEvent, useEffect, useState } from "react";
import { connect } from "../api/http";
import { useSpeech } from "../app/language";
import { Preferences } from "../app/mine";
import { begin, finish, provider, SignInError } from "../app/oidc";
import { SIGNED_IN } from "../app/pages";
import { go, replace, usePlace } from "../app/router";
import { useSession } from "../app/session";
import { Mark } from "../app/shell";
import { Failure } from "../ui/states";

/** The ways in: a provider where there is one, and a token that one brings. Either is tried against the API first. */
export default function SignIn() {
  const { t } = useSpeech();
  const { signIn, ended } = useSession();
  const { path } = usePlace();
  const [error, setError] = useState<unknown>(null);
  const offered = useQuery({ queryKey: ["console.json"], queryFn: provider, staleTime: Number.POSITIVE_INFINITY });
  const enter = async (token: string) => {
    await connect(token, () => undefined)("/api/ops/plugins", { query: { limit: 1 } });
    signIn(token);
  };

  useEffect(() => {
    document.title = `${t("signIn.title")} · ${t("app.name")}`;
  }, [t]);
  useEffect(() => {
    if (path !== SIGNED_IN || offered.data === undefined) return;
    // The code in the address is good for one use; it is taken out of the history before it is spent.
    const query = new URLSearchParams(window.location.search);
    if (!query.has("code") && !query.has("error")) return;
    replace("/");
    finish(offered.data, query)
      .then(async ({ token, to }) => {
        await enter(token);
        go(to);
      })
      .catch(setError);
  }, [path, offered.data]);

  return (
    <main className="sign-in">
      <div className="sign-in-card">
        <Mark size={44} />
        <h1>{t("app.name")}</h1>
        <p className="quiet">{t("signIn.what")}</p>
        {ended !== null && error === null && (
          <Alert variant="light" color="petrol" title={t("signIn.ended")} role="status">
            {ended}
          </Alert>
        )}
        {error instanceof SignInError && (
          <Alert color="red" role="alert">
            {t(error.word, error.values)}
          </Alert>
        )}
        {error !== null && !(error instanceof SignInError) && <Failure error={error} />}
        {offered.data && (
          <Button size="md" fullWidth onClick={() => offered.data && begin(offered.data, path).catch(setError)}>
            {t("signIn.provider")}
          </Button>
        )}
        <Token enter={enter} failed={setError} second={Boolean(offered.data)} />
      </div>
      <div className="sign-in-foot">
        <Preferences />
        <p className="small quiet">
          {t("signIn.dev")} <Code>plugmend-control-plane --dev dev-token</Code>
        </p>
      </div>
    </main>
  );
}

function Token({ enter, failed, second }: {
  enter: (token: string) => Promise<void>;
  failed: (error: unknown) => void;
  second: boolean;
}) {
  const { t } = useSpeech();
  const [token, setToken] = useState("");
  const [busy, setBusy] = useState(false);
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    failed(null);
    try {
      await enter(token.trim());
    } catch (refused) {
      failed(refused);
      setBusy(false);
    }
  };
  return (
    <form onSubmit={submit} className="form">
      {/* Without a name, so that no form ever carries it anywhere. */}
      <PasswordInput
        label={second ? t("signIn.orToken") : t("signIn.token")}
        description={t("signIn.hint")}
        value={token}
        onChange={(event) => setToken(event.currentTarget.value)}
        visibilityToggleButtonProps={{ "aria-label": t("signIn.show") }}
        autoComplete="off"
        spellCheck={false}
        required
      />
      <Button type="submit" variant={second ? "default" : "filled"} loading={busy} disabled={token.trim() === ""}>
        {t("signIn.go")}
      </Button>
    </form>
  );
}
