// Which part of a list is shown. What is chosen stands in the address, so that a view can be sent to somebody.
import { Button, NativeSelect, TextInput } from "@mantine/core";
import { type FormEvent, type ReactNode, useEffect, useState } from "react";
import { useSpeech } from "../app/language";
import { address, go, link, usePlace } from "../app/router";
import { Icon } from "./icon";

/** The filters of the address, by name; `after` is not among them, since another filter begins at the first page. */
export function useFilters<Name extends string>(names: readonly Name[]): Record<Name, string | null> & { after: string | null } {
  const { query } = usePlace();
  const all = Object.fromEntries(names.map((name) => [name, query.get(name)]));
  return { ...all, after: query.get("after") } as Record<Name, string | null> & { after: string | null };
}

/** Sets one filter and leaves the others. */
export function useChoose(): (name: string, value: string) => void {
  const { path, query } = usePlace();
  return (name, value) => {
    const next = Object.fromEntries([...query].filter(([known]) => known !== "after" && known !== name));
    go(address(path, value === "" ? next : { ...next, [name]: value }));
  };
}

export function Filters({ names, children }: { names: readonly string[]; children: ReactNode }) {
  const { t } = useSpeech();
  const { path, query } = usePlace();
  const some = names.some((name) => query.get(name) !== null);
  return (
    <div className="filters" role="search">
      {children}
      {some && (
        <Button component="a" variant="subtle" size="sm" {...link(path)}>
          {t("list.clear")}
        </Button>
      )}
    </div>
  );
}

/** One of the API's words, or any: the browser's own list, which keyboards and phones know best. */
export function Choice({ label, name, options, say, none }: {
  label: string;
  name: string;
  options: readonly string[];
  say?: (option: string) => string;
  /** What is shown where nothing is chosen; anything, unless it is said. */
  none?: string;
}) {
  const { t, term } = useSpeech();
  const { query } = usePlace();
  const choose = useChoose();
  const value = query.get(name) ?? "";
  const data = [
    { value: "", label: none ?? t("list.any") },
    ...options.map((option) => ({ value: option, label: (say ?? term)(option) })),
  ];
  return (
    <NativeSelect
      size="sm"
      label={label}
      data={data}
      value={value}
      data-on={value !== "" || undefined}
      onChange={(event) => choose(name, event.currentTarget.value)}
    />
  );
}

export function Search({ hint }: { hint: string }) {
  const { t } = useSpeech();
  const { query } = usePlace();
  const choose = useChoose();
  const asked = query.get("q") ?? "";
  const [text, setText] = useState(asked);
  useEffect(() => setText(asked), [asked]);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    choose("q", text.trim());
  };
  return (
    <form onSubmit={submit} className="search">
      <TextInput
        size="sm"
        type="search"
        label={t("list.search")}
        placeholder={hint}
        value={text}
        leftSection={<Icon name="search" size={15} />}
        onChange={(event) => setText(event.currentTarget.value)}
        onBlur={() => text.trim() !== asked && choose("q", text.trim())}
        maxLength={200}
        data-search
      />
    </form>
  );
}

/** To the next page of a list, and back to its first. */
export function Pager({ next }: { next: string | null }) {
  const { t } = useSpeech();
  const { path, query } = usePlace();
  const rest = Object.fromEntries([...query].filter(([name]) => name !== "after"));
  const after = query.get("after");
  if (next === null && after === null) return null;
  return (
    <nav className="pager" aria-label={t("list.next")}>
      {after !== null && (
        <Button component="a" variant="default" size="sm" {...link(address(path, rest))}>
          {t("list.first")}
        </Button>
      )}
      {next !== null && (
        <Button component="a" variant="default" size="sm" {...link(address(path, { ...rest, after: next }))}>
          {t("list.next")}
        </Button>
      )}
    </nav>
  );
}

/** A word that is looked for exactly. */
export function WordFilter({ label, name, hint }: { label: string; name: string; hint?: string }) {
  const { query } = usePlace();
  const choose = useChoose();
  const asked = query.get(name) ?? "";
  const [text, setText] = useState(asked);
  useEffect(() => setText(asked), [asked]);
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        choose(name, text.trim());
      }}
    >
      <TextInput
        size="sm"
        label={label}
        {...(hint === undefined ? {} : { placeholder: hint })}
        value={text}
        onChange={(event) => setText(event.currentTarget.value)}
        onBlur={() => text.trim() !== asked && choose(name, text.trim())}
        maxLength={200}
        spellCheck={false}
        data-on={asked !== "" || undefined}
      />
    </form>
  );
}
