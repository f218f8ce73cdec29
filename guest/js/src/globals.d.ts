// The globals that an agent has beside those of the language: `"lib": ["ES2023"], "types": ["@daca/sdk/globals"]` in
// `tsconfig.json`, in the place of the libraries of browsers and of Node, which have far more.

/** Writes to the host's log. */
interface Console {
  assert(held?: boolean, ...parts: unknown[]): void;
  clear(): void;
  count(label?: string): void;
  countReset(label?: string): void;
  debug(...parts: unknown[]): void;
  dir(value?: unknown): void;
  dirxml(...parts: unknown[]): void;
  error(...parts: unknown[]): void;
  group(...parts: unknown[]): void;
  groupCollapsed(...parts: unknown[]): void;
  groupEnd(): void;
  info(...parts: unknown[]): void;
  log(...parts: unknown[]): void;
  table(value?: unknown): void;
  time(label?: string): void;
  timeEnd(label?: string): void;
  timeLog(label?: string, ...parts: unknown[]): void;
  trace(...parts: unknown[]): void;
  warn(...parts: unknown[]): void;
}
declare var console: Console;

interface Crypto {
  getRandomValues<T extends ArrayBufferView>(array: T): T;
  randomUUID(): `${string}-${string}-${string}-${string}-${string}`;
}
declare var crypto: Crypto;

interface Performance {
  now(): number;
}
declare var performance: Performance;

/** For UTF-8 alone. */
declare class TextEncoder {
  readonly encoding: string;
  encode(text?: string): Uint8Array<ArrayBuffer>;
}
/** For UTF-8 alone. */
declare class TextDecoder {
  constructor(label?: string, options?: { fatal?: boolean; ignoreBOM?: boolean });
  readonly encoding: string;
  decode(bytes?: ArrayBufferLike | ArrayBufferView): string;
}

/** Host names are ASCII. */
declare class URL {
  constructor(url: string | URL, base?: string | URL);
  static canParse(url: string | URL, base?: string | URL): boolean;
  static parse(url: string | URL, base?: string | URL): URL | null;
  hash: string;
  host: string;
  hostname: string;
  href: string;
  readonly origin: string;
  password: string;
  pathname: string;
  port: string;
  protocol: string;
  search: string;
  readonly searchParams: URLSearchParams;
  username: string;
  toJSON(): string;
  toString(): string;
}
declare class URLSearchParams {
  constructor(init?: string[][] | Record<string, string> | string | URLSearchParams);
  readonly size: number;
  append(name: string, value: string): void;
  delete(name: string, value?: string): void;
  entries(): IterableIterator<[string, string]>;
  forEach(call: (value: string, name: string, all: URLSearchParams) => void): void;
  get(name: string): string | null;
  getAll(name: string): string[];
  has(name: string, value?: string): boolean;
  keys(): IterableIterator<string>;
  set(name: string, value: string): void;
  sort(): void;
  toString(): string;
  values(): IterableIterator<string>;
  [Symbol.iterator](): IterableIterator<[string, string]>;
}

declare function atob(text: string): string;
declare function btoa(text: string): string;
declare function queueMicrotask(call: () => void): void;
declare function structuredClone<T>(value: T): T;
