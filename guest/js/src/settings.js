// Settings of the agent type, secrets, and the log.
import * as settings from "#host/config";
import * as vault from "#host/secrets";
import * as lines from "#host/logging";
import { string } from "./check.js";
import { ask } from "./failures.js";
import { inspect } from "./inspect.js";
import { whole } from "./json.js";

export const config = {
  /** The value of a setting, or `otherwise`. */
  get(key, otherwise) {
    const named = string(key, "the key");
    return ask(() => settings.get(named)) ?? otherwise;
  },
  /** All settings of the agent type. */
  getAll() {
    return Object.fromEntries(ask(() => settings.getAll()));
  },
};

export const secrets = {
  /** The values of a secret, by key. */
  get(name) {
    const named = string(name, "the name of the secret");
    return Object.fromEntries(ask(() => vault.get(named)));
  },
};

const line = (level) => (...parts) => lines.log(level, "", whole(parts.map(inspect).join(" ")));

/** The host's log. `console` writes there, too. */
export const log = {
  trace: line("trace"),
  debug: line("debug"),
  info: line("info"),
  warn: line("warn"),
  error: line("error"),
};
