import type { AgentDefinition, EffectFailure, FailedEffect } from "./index.js";

export interface TestHostOptions {
  /** The name of the agent type. */
  type?: string;
  /** The time at the start: a date or milliseconds. */
  now?: Date | number;
  config?: Record<string, string>;
  secrets?: Record<string, string | Record<string, string>>;
  /** Answers of bindings, which are no promises. What is not here is denied. */
  bindings?: Record<string, (operation: string, data: Uint8Array, metadata: Record<string, string>) => unknown>;
  /**
   * Answers of other agent types, which are no promises. What is not here is denied. An `Invalid`, `NotFound` or
   * `Failed` that one throws reaches the agent as a `HostError` with the code `invalid`, `not-found` or `other`.
   */
  actors?: Record<string, (id: string, method: string, payload: any) => unknown>;
}

/** A host in memory with one agent type. */
export class TestHost {
  constructor(agent: AgentDefinition<any>, options?: TestHostOptions);
  readonly events: { actor: string; topic: string; data: any }[];
  readonly sent: { actor: string; binding: string; operation: string; data: any; metadata: Record<string, string> }[];
  readonly logged: { level: string; message: string }[];
  /** The time of the host, in milliseconds. `Date.now()` and `new Date()` give it within a turn. */
  readonly now: number;
  actor(id: string): TestActor;
  /**
   * Moves the clock by milliseconds, and fires the reminders and timers that become due. A reminder whose turn fails
   * fires again after a wait. Rejects with the first failure once the clock has moved and all have fired.
   */
  advance(ms: number): Promise<void>;
}

export interface TestActor {
  /** The committed state: values by key. */
  readonly state: Map<string, any>;
  readonly reminders: string[];
  readonly timers: string[];
  /** Writes state as if an earlier turn had. */
  setState(key: string, value: unknown): void;
  /** Calls a method, as a route does. Throws `Invalid`, `NotFound` or `Failed`. */
  call<T = any>(method: string, payload?: unknown): Promise<T>;
  /** Ends the activation: instance and timers are gone, state and reminders stay. */
  deactivate(): Promise<void>;
  /** Tells the actor that one of its effects has failed for good. */
  effectFailed(effect: FailedEffect, reason: EffectFailure): Promise<void>;
  /** Migrates the state of another schema, as the first turn on a new version does. */
  migrate(fromLabel: string): Promise<void>;
}
