// What the control plane's OpenAPI document says of its endpoints, as types: which paths there are, and what they answer.
import type { Json } from "./types";
import type { paths } from "./schema";

export type Path = keyof paths;
export type Verb = "GET" | "POST" | "PATCH" | "PUT" | "DELETE";

/**
 * A shape as it is read: what may be left out may as well be null, and what is not described is any JSON.
 */
export type Whole<T> = unknown extends T
  ? Json
  : T extends readonly (infer One)[]
    ? Whole<One>[]
    : T extends object
      ? { [Name in keyof T]-?: Whole<Exclude<T[Name], undefined>> | (undefined extends T[Name] ? null : never) }
      : T;

type Content<Answer> = Answer extends { content: { "application/json": infer Shape } } ? Shape : never;
type Success<Operation> = Operation extends { responses: infer Answers }
  ? Content<Answers[keyof Answers & (200 | 201)]>
  : never;

/** What an endpoint answers when it did what it was asked. */
export type Answered<P extends Path, V extends Verb> = Lowercase<V> extends keyof paths[P]
  ? Whole<Success<paths[P][Lowercase<V>]>>
  : never;
