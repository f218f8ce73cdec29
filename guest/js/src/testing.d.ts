import type { AgentDefinition } from "./index.js";

export interface TestHostOptions {
  /** The name of the agent type. */
  type?: string;
  /** The time at the start: a date or milliseconds. */
  now?: Date | number;
  config?: Record<string, string>;
  secrets?: Record<string, string | Record<string, string>>;
  /** Answers of bindings. What is not here is denied. */
  bindings?: Record<string, (operation: string, data: Uint8Array, metadata: Record<string, string>) => unknown>;
  /** Answers of other agent types. What is not here is denied. */
  actors?: Record<string, (id: string, method: string, payload: any) => unknown>;
}

/** A host in memory with one agent type. */
export class TestHost {
  constructor(agent: AgentDefinition<any>, options?: TestHostOptions);
  readonly events: { actor: string; topic: string; data: any }[];
  readonly sent: { actor: string; binding: string; operation: string; data: any; metadata: Record<string, string> }[];
  readonly logged: { level: string; message: string }[];
  /** The time of the host, in milliseconds. `Date.now()` gives it within a turn. */
  readonly now: number;
  actor(id: string): TestActor;
  /** Moves the clock by milliseconds, and fires the reminders and timers that become due. */
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
  effectFailed(effect: object, reason: { code: string; message: string }): Promise<void>;
}
