// Why a call fails: what an agent throws to answer its caller, and what the host throws when it rejects a request.

/** The base of what an agent throws on purpose. Anything else that it throws is a fault of the agent: status 500. */
export class Failure extends Error {
  constructor(tag, message, options) {
    super(message, options);
    this.name = "Failure";
    this.tag = tag;
  }
}

/** The caller's fault: the payload cannot be used. Status 400. */
export class Invalid extends Failure {
  constructor(message, options) {
    super("invalid", message, options);
    this.name = "Invalid";
  }
}

/** The caller's fault: the method, or the item that it asks for, does not exist. Status 404. */
export class NotFound extends Failure {
  constructor(message, options) {
    super("not-found", message, options);
    this.name = "NotFound";
  }
}

/** The fault of the agent or of a system that it depends on. Status 500. */
export class Failed extends Failure {
  constructor(message, options) {
    super("failed", message, options);
    this.name = "Failed";
  }
}

/** The host rejected a request of the agent. Branch on `code`; the message is for people. */
export class HostError extends Error {
  constructor(code, message) {
    super(message);
    this.name = "HostError";
    /** `denied`, `not-found`, `invalid`, `unavailable`, `too-large` or `other`. */
    this.code = code;
  }
}

let rejected = 0;

/** How many requests the host has rejected in this instance. */
export const rejectedRequests = () => rejected;

/** Calls the host. What it rejects becomes a `HostError`. */
export function ask(call) {
  try {
    return call();
  } catch (thrown) {
    // The bindings of the engines throw `{ payload: { tag, val } }` or the pair itself.
    const reason = thrown?.payload ?? thrown;
    if (!(thrown instanceof Failure) && typeof reason?.tag === "string") {
      rejected += 1;
      throw new HostError(reason.tag, String(reason.val));
    }
    throw thrown;
  }
}
