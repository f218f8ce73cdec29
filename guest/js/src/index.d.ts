/** A class whose methods are those of an agent. */
export interface AgentClass {
  new (): object;
}

/** What `agent` makes: the default export of an agent's module. */
export interface AgentDefinition<C extends AgentClass = AgentClass> {
  readonly Class: C;
  readonly methods: readonly string[];
  readonly hooks: readonly string[];
  readonly schema?: string;
}

/** Options of an agent whose state has a schema. */
export interface AgentOptions {
  /** The label of the state's schema: 1 to 64 bytes. The class then has `migrate`. */
  schema?: string;
  /** The keys that `migrate` reads, or a function from the old label to them. */
  migrates?: string[] | ((fromLabel: string) => string[]);
}

/**
 * Makes a class an agent. Callers reach its methods by their names. Names that begin with `_`, private names and the
 * hooks below are not methods. A method takes the value of the payload, and then its bytes; neither if there is none.
 *
 * Hooks, all optional: `activate()`, `deactivate()`, `onReminder(name, data)`, `onTimer(name, data)`,
 * `onEffectFailed(effect, reason)`, `migrate(state, fromLabel)`.
 *
 * The fields of an instance may be lost between any two turns; only `state` is durable.
 */
export function agent<C extends AgentClass>(Class: C, options?: AgentOptions): AgentDefinition<C>;

/**
 * The base of what an agent throws on purpose. Anything else that it throws is a fault of the agent: status 500, with
 * its stack in the log.
 */
export class Failure extends Error {
  /** The log gets the `cause`, with its stack; the caller does not. */
  constructor(tag: "invalid" | "not-found" | "failed", message: string, options?: { cause?: unknown });
  readonly tag: "invalid" | "not-found" | "failed";
}
/** The caller's fault: the payload cannot be used. Status 400. */
export class Invalid extends Failure {
  constructor(message: string, options?: { cause?: unknown });
}
/** The caller's fault: the method, or the item that it asks for, does not exist. Status 404. */
export class NotFound extends Failure {
  constructor(message: string, options?: { cause?: unknown });
}
/** The fault of the agent or of a system that it depends on. Status 500. */
export class Failed extends Failure {
  constructor(message: string, options?: { cause?: unknown });
}

export type HostErrorCode = "denied" | "not-found" | "invalid" | "unavailable" | "too-large" | "other";

/** The host rejected a request of the agent. Branch on `code`; the message is for people. */
export class HostError extends Error {
  constructor(code: HostErrorCode, message: string);
  readonly code: HostErrorCode;
}

/** The actor's own durable state. Writes are staged, and commit when the turn succeeds. */
export const state: {
  /** The value of a key, or `otherwise` when there is none. */
  get<T = unknown>(key: string): T | undefined;
  // A value of the same kind, and not `0` alone: `T` would be the literal.
  get(key: string, otherwise: number): number;
  get(key: string, otherwise: string): string;
  get(key: string, otherwise: boolean): boolean;
  // An empty list says nothing of what is in it.
  get(key: string, otherwise: never[]): any[];
  get<T>(key: string, otherwise: T): T;
  /** The values of several keys, in one request; `undefined` for those that do not exist. */
  getMany<T = unknown>(keys: string[]): (T | undefined)[];
  /** The bytes of a key. */
  getBytes(key: string): Uint8Array | undefined;
  /** Stages a write. `ttl` is in seconds; without it the value is kept. A `Uint8Array` is written as it is. */
  set(key: string, value: unknown, options?: { ttl?: number }): void;
  /** Stages a removal. */
  delete(key: string): void;
};

/** Something that leaves after the turn's commit. */
export interface Effect {
  /** The log line that the host writes when the effect has been delivered, or cannot be. */
  logOutcome(delivered: string, undeliverable: string): Effect;
}

/** Stages an event. `topic` is `component/topic`, such as `daca-pubsub/user-chat`. */
export function publish(topic: string, event: unknown): Effect;

export interface BindingResponse {
  readonly bytes: Uint8Array;
  readonly metadata: Record<string, string>;
  text(): string;
  json<T = unknown>(): T | undefined;
}

/** Output bindings. Text is sent as it is, bytes too, anything else as JSON. */
export const bindings: {
  /** Calls a binding now and waits. The call stands even if the turn fails: use it to read, and `send` to write. */
  invoke(name: string, operation: string, data?: unknown, metadata?: Record<string, string | number>): BindingResponse;
  /** Stages a one-way call of a binding. */
  send(name: string, operation: string, data?: unknown, metadata?: Record<string, string | number>): Effect;
};

/** Calls to other actors. */
export const actors: {
  /** Calls a method and waits for its reply. The call takes effect at once, even if this turn fails. */
  invoke<T = unknown>(type: string, id: string, method: string, payload?: unknown): T;
};

/** When a reminder or timer fires, in milliseconds. It has no other keys than these. */
export interface Schedule {
  /** From the commit of this turn to the first firing. 0 fires at once. */
  due?: number;
  /** From one firing to the next. Without it there is one firing. */
  period?: number;
  /** From the commit of this turn to the end. */
  ttl?: number;
}
export interface Registration extends Schedule {
  data: unknown;
}
export interface WakeUps {
  /**
   * Stages a registration. It replaces one of the same name. Each firing carries the data, which are no part of the
   * schedule.
   */
  register(name: string, when: Schedule & { data?: never }, data?: unknown): void;
  /** Stages the removal of a registration. */
  unregister(name: string): void;
  /** The registration of a name. */
  get(name: string): Registration | undefined;
}
/** Durable wake-ups: `onReminder(name, data)`. A firing whose turn fails is retried. */
export const reminders: WakeUps;
/** Wake-ups while the actor is active: `onTimer(name, data)`. */
export const timers: WakeUps;

/** An effect that was given up, for `onEffectFailed`. */
export type FailedEffect = { id: string; attempts: number } & (
  | { kind: "publish"; topic: string; event: Uint8Array }
  | { kind: "send"; binding: string; operation: string; data: Uint8Array; metadata: Record<string, string> }
);

/** Why an effect was given up, for `onEffectFailed`. */
export interface EffectFailure {
  /** `unavailable` when another try might have delivered it. Any other code is definite. */
  code: HostErrorCode;
  message: string;
}

/** Settings of the agent type, from the manifest. */
export const config: {
  get(key: string): string | undefined;
  get(key: string, otherwise: string): string;
  getAll(): Record<string, string>;
};
/** Secrets of the host's secret store, by key. */
export const secrets: { get(name: string): Record<string, string> };

type Line = (...parts: unknown[]) => void;
/** The host's log. `console` writes there, too. */
export const log: { trace: Line; debug: Line; info: Line; warn: Line; error: Line };

/** The id of this actor within its type, such as `user1`. */
export function actorId(): string;
/** The agent type, such as `ChatAgent`. */
export function agentType(): string;
/** The id of the current turn: the field `turn` of the host's log lines. */
export function turnId(): string;
