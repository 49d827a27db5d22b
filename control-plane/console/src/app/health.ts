// How a plugin is doing, in words.
import { isWord, type Word } from "../words";
import { useSpeech } from "./language";

export function useHealthWord(): (health: string) => string {
  const { t, term } = useSpeech();
  return (health) => (isWord(`health.${health}`) ? t(`health.${health}` as Word) : term(health));
}
