// One of the API's words, or any: the browser's own list, which keyboards and phones know best.
import { NativeSelect } from "@mantine/core";
import { useSpeech } from "../app/language";

export function Choice({ label, value, options, choose }: {
  label: string;
  value: string | null;
  options: readonly string[];
  choose: (value: string) => void;
}) {
  const { t, term } = useSpeech();
  const data = [{ value: "", label: t("list.any") }, ...options.map((name) => ({ value: name, label: term(name) }))];
  return (
    <NativeSelect
      label={label}
      data={data}
      value={value ?? ""}
      onChange={(event) => choose(event.currentTarget.value)}
    />
  );
}
